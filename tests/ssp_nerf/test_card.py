"""Each command has a card of its own, with a driver that tells of two."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.ssp_nerf.small_training import ROOT


@pytest.fixture
def machine(tmp_path) -> dict[str, str]:
    """The environment of a machine with two cards."""
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho GPU-aaaa\necho GPU-bbbb\n")
    driver.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "TMPDIR": str(tmp_path)}


def start(machine: dict[str, str], words: str, gpus: int = 1) -> subprocess.Popen:
    """Run a line of shell on so many cards."""
    command = [sys.executable, "-m", "ssp_nerf.card", "--gpus", str(gpus), "--", "sh", "-c", words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=machine, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


TELL = "echo $CUDA_VISIBLE_DEVICES"


def test_two_commands_have_two_cards_and_a_third_waits(machine, tmp_path):
    runs = [start(machine, f"{TELL}; exec sleep 100") for _ in range(2)]
    assert sorted(run.stdout.readline().strip() for run in runs) == ["GPU-aaaa", "GPU-bbbb"]
    third = start(machine, f"touch {tmp_path}/began; {TELL}")
    assert "waits for 1 of 2 GPUs" in third.stderr.readline()
    time.sleep(2)
    assert not Path(tmp_path, "began").exists()
    runs[1].send_signal(signal.SIGKILL)  # nothing could be tidied up
    freed = third.communicate(timeout=30)[0].strip()
    assert freed in ("GPU-aaaa", "GPU-bbbb") and third.returncode == 0
    runs[0].kill()
    for run in runs:
        run.communicate()


def test_cards_are_taken_all_at_once(machine):
    assert start(machine, TELL, gpus=2).communicate()[0].strip() == "GPU-aaaa,GPU-bbbb"


@pytest.mark.parametrize("visible", ["1", "GPU-bb"])
def test_only_visible_cards_are_taken(machine, visible):
    machine["CUDA_VISIBLE_DEVICES"] = visible
    assert start(machine, TELL).communicate()[0].strip() == "GPU-bbbb"


def test_more_cards_than_there_are_is_a_mistake(machine):
    run = start(machine, TELL, gpus=3)
    said = run.communicate()[1]
    assert run.returncode == 2 and said.startswith("error: --gpus: 3 are asked for, 2 may be used")


def test_without_a_driver_the_command_runs_as_it_is(machine, tmp_path):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho no devices were found\nexit 9\n")
    run = start(machine, "echo ${CUDA_VISIBLE_DEVICES-unset}; exit 7")
    assert run.communicate()[0].strip() == "unset" and run.returncode == 7
