"""Training under Snakemake is asked to end: by Ctrl-C, a scheduler, or `kill`."""

import os
import re
import signal
import time
from pathlib import Path

import pytest
import torch

from tests.faults.conftest import Note
from tests.faults.pipeline import Undisturbed, remove, scratch_folders
from tests.faults.processes import Run, run_again

pytestmark = pytest.mark.thorough

MODEL, CHECKPOINTS = "results/astronaut/model", "results/astronaut/checkpoints"
LOG = "results/astronaut/logs/train.log"
FRAMES_ARE_READ = "44/44 frames (100%)"  # training begins
PAUSE = 0.5  # seconds, in which the first step begins


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_training_that_is_asked_to_end_with_all_of_snakemake(
    undisturbed: Undisturbed, tmp_path: Path, note: Note, number: signal.Signals
) -> None:
    """... saves a checkpoint, though none was due, and says so; it goes on from there."""
    project = undisturbed.copy(tmp_path / "copy", MODEL, CHECKPOINTS, LOG)
    run = Run(project, MODEL)
    run.wait_for_text(project.folder / LOG, FRAMES_ARE_READ)
    time.sleep(PAUSE)
    run.signal(number)
    assert run.wait() == 1
    assert "Traceback" not in run.said
    saved = re.search(r"stopped at step (\d+), saved in", (project.folder / LOG).read_text())
    assert saved is not None, run.said
    assert saved[0] in run.said
    (checkpoint,) = (project.folder / CHECKPOINTS).glob("*/checkpoint.pt")
    assert torch.load(checkpoint, weights_only=True)["step"] == int(saved[1])
    assert not (project.folder / MODEL).exists() and not run.others()
    run_again(project, MODEL)
    assert f"continues at step {saved[1]} from" in (project.folder / LOG).read_text()
    assert not undisturbed.differences(project.folder)
    assert not scratch_folders(project.folder)
    outcome = f"saved at step {saved[1]} of 40, and said so; goes on from there to the same bytes"
    note("signal", f"{number.name} to Snakemake and all it started", outcome)
    remove(project.folder)


def test_sigterm_to_snakemake_alone(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    """... lets training end; nothing after it begins."""
    project = undisturbed.copy(
        tmp_path / "copy", MODEL, CHECKPOINTS, LOG, "results/astronaut/deformation.png"
    )
    run = Run(project, "results/astronaut/deformation.png")
    run.wait_for_text(project.folder / LOG, FRAMES_ARE_READ)
    os.kill(run.process.pid, signal.SIGTERM)
    status = run.wait()
    assert "Will exit after finishing currently running jobs" in run.said
    assert (project.folder / MODEL).exists()
    assert not (project.folder / "results/astronaut/deformation.png").exists()
    run_again(project, "results/astronaut/deformation.png")
    assert not undisturbed.differences(project.folder)
    outcome = f"training ends first, nothing more begins; exit status {status}"
    note("signal", "SIGTERM to Snakemake alone", outcome)
    remove(project.folder)
