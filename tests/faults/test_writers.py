"""Two Snakemakes, or two trainings, that make the same at the same time."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Note
from tests.faults.pipeline import Undisturbed, remove, scratch_folders
from tests.faults.processes import Run, run_again, unlocked

pytestmark = pytest.mark.thorough

BUNDLE = "results/astronaut/model/bundle.json"
TRAINED = ("results/astronaut/model", "results/astronaut/checkpoints")
MADE = (
    "results/astronaut/portrait.mp4", "results/astronaut/frames.h5", "results/astronaut/speech.wav"
)  # fmt: skip


def test_a_second_snakemake_is_refused(
    undisturbed: Undisturbed, tmp_path: Path, note: Note
) -> None:
    project = undisturbed.copy(tmp_path / "copy", *MADE)
    first = Run(project, *MADE)
    first.wait_for(project.folder / ".snakemake/locks/0.output.lock")
    first.signal(signal.SIGSTOP)  # or it may have ended before the second has begun
    second = project.snakemake(*MADE)
    first.signal(signal.SIGCONT)
    assert first.wait() == 0, first.said
    assert second.returncode == 1 and "Traceback" not in second.stdout
    assert "Directory cannot be locked" in second.stdout and "--unlock" in second.stdout
    assert not undisturbed.differences(project.folder)
    said = "the first makes all of it; the second: Error: Directory cannot be locked."
    note("writers", "a Snakemake beside a running one", said)
    remove(project.folder)


@pytest.mark.parametrize("options", [(), ("--nolock",)], ids=["with locks", "nolock"])
def test_two_snakemakes_that_begin_at_once(
    undisturbed: Undisturbed, tmp_path: Path, note: Note, options: tuple[str, ...]
) -> None:
    """... leave nothing half-written, whichever ends well; a third makes what is lacking."""
    project = undisturbed.copy(tmp_path / "copy", *MADE, *TRAINED)
    # Each with a file of its own for what it says.
    said = [tmp_path / "first.txt", tmp_path / "second.txt"]
    runs = []
    for path in said:
        with open(path, "w") as file:
            runs.append(project.start(*options, *MADE, TRAINED[0], stdout=file))
    while any(run.poll() is None for run in runs):
        assert not undisturbed.half_written(project.folder)
        time.sleep(0.1)
    for run, path in zip(runs, said, strict=True):
        assert run.returncode == 0 or "Traceback" not in path.read_text(), path.read_text()
    ended = [run.returncode for run in runs]
    assert unlocked(project).returncode == 0
    run_again(project, *MADE, TRAINED[0])
    assert not undisturbed.differences(project.folder)
    assert not scratch_folders(project.folder)
    what = f"two Snakemakes within half a second {' '.join(options)}"
    note("writers", what, f"exit status {ended[0]} and {ended[1]}, nothing half-written")
    remove(project.folder)


def test_two_trainings_with_one_folder_of_checkpoints(
    undisturbed: Undisturbed, tmp_path: Path, note: Note
) -> None:
    """... take turns, and what either writes is what the other would have."""
    project = undisturbed.copy(tmp_path / "copy", *TRAINED)
    dry = project.snakemake("--dry-run", "--printshellcmds", TRAINED[0])
    (command,) = [line for line in dry.stdout.splitlines() if " -m ssp_nerf.train " in line]
    command = command[command.index("OMP_NUM_THREADS") :].partition(" 2>&1 |")[0]
    often = re.sub(r"--checkpoint-seconds \S+", "--checkpoint-seconds 0", command)
    assert often != command
    runs = [project.popen(["bash", "-c", often], stdout=subprocess.PIPE) for _ in range(2)]
    while any(run.poll() is None for run in runs):
        wrong = undisturbed.half_written(project.folder)
        assert set(wrong) <= {BUNDLE}, wrong
        time.sleep(0.1)
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert sum("waits for its end" in each for each in said) == 1
    # A bundle tells how often training saved; nothing else is different.
    assert undisturbed.differences(project.folder) == [f"other bytes: {BUNDLE}"]
    bundles = [
        json.loads((folder / BUNDLE).read_text())
        for folder in (project.folder, undisturbed.project.folder)
    ]
    for bundle in bundles:
        del bundle["training"]["checkpoint_seconds"]
    assert bundles[0] == bundles[1]
    assert not scratch_folders(project.folder)
    note(
        "writers", "two trainings, one folder of checkpoints, saved at each step",
        "one waits for the other; both end well, in the same bytes",
    )  # fmt: skip
    remove(project.folder)
