"""A few kills of short commands, for `make test`; make test-faults has all of them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.faults.pipeline import is_scratch
from tests.hostile import data, videos
from tests.hostile.case import Folders
from tests.workflow.conftest import ROOT


def speech(folders: Folders) -> list[str]:
    return [f"--media={videos.plain_clip(folders.made)}", f"--wav={folders.out}/speech.wav"]


def crop(folders: Folders) -> list[str]:
    return videos.crop(lambda _: videos.plain_clip(folders.made))(folders)


COMMANDS: dict[str, Callable[[Folders], list[str]]] = {
    "preprocess.speech": speech,
    "preprocess.crop": crop,
    "preprocess.pack": data.packed(),
}


@pytest.mark.parametrize("module", COMMANDS)
def test_a_command_that_is_killed(tmp_path: Path, random: Random, module: str) -> None:
    """... leaves nothing half-written, and gives the same bytes when it is run again."""
    folders = Folders(tmp_path, tmp_path / "out", tmp_path)
    words = [sys.executable, "-m", module, *map(str, COMMANDS[module](folders))]
    begun = time.monotonic()
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    seconds = time.monotonic() - begun
    whole = contents(folders.out)

    for path in folders.out.iterdir():
        path.unlink()

    process = subprocess.Popen(
        words, cwd=ROOT, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(random.uniform(0.5, 1) * seconds)  # before that it has only begun to be loaded
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    left = contents(folders.out)
    assert {name: left[name] for name in left if not is_scratch(name)}.items() <= whole.items()
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    assert contents(folders.out) == whole


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
