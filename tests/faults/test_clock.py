"""Clocks that are wrong, are set, or jump; copies, and inputs that are touched."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Note
from tests.faults.pipeline import Undisturbed, remove
from tests.faults.processes import run_again
from tests.workflow.conftest import Project

pytestmark = pytest.mark.thorough

DAY = 24 * 3600.0  # seconds
MADE_FROM_FRAMES = "results/astronaut/dataset.h5"
# A sitecustomize.py, which every Python of the jobs runs when it starts.
JUMPING_CLOCK = f"""
import time

right = time.time

def jumping():
    now = right()
    return now + {DAY} * (int(now * 5) % 3 - 1)  # yesterday, today, tomorrow, for 0.2 s each

time.time = jumping
"""


def make_and_compare(undisturbed: Undisturbed, project: Project, *targets: str) -> str:
    """Make targets, compare everything; the rules that ran, in the order in which they did."""
    said = run_again(project, *targets)
    assert not undisturbed.differences(project.folder)
    ran = dict.fromkeys(
        line.removeprefix("local").removeprefix("rule ").rstrip(":")
        for line in said.splitlines()
        if line.startswith(("rule ", "localrule "))
    )
    return ", ".join(ran) or "nothing"


def set_time(folder: Path, seconds_ahead: float, *names: str) -> None:
    for name in names:
        now = time.time()
        os.utime(folder / name, (now + seconds_ahead, now + seconds_ahead))


def test_inputs_that_are_touched(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    """... as git does: a small one is known by its checksum, a large one by its time."""
    project = undisturbed.copy(tmp_path / "copy")
    set_time(project.folder, 0, "clip.mp4", "other.wav")
    assert (project.folder / "clip.mp4").stat().st_size < 1_000_000
    assert project.planned() == {}
    note("clock", "inputs below 1 MB touched, their content as before", "nothing")
    frames = "results/astronaut/frames.h5"
    with open(project.folder / frames, "rb") as file:
        assert len(file.read()) > 1_000_000
    set_time(project.folder, 0, frames)
    ran = make_and_compare(undisturbed, project, MADE_FROM_FRAMES)
    assert "detect_landmarks" in ran
    note("clock", f"{frames} (over 1 MB) touched, {MADE_FROM_FRAMES} asked for", ran)
    remove(project.folder)


def test_a_clock_that_is_set_back(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    """What the first stages made is of tomorrow: Snakemake says so."""
    project = undisturbed.copy(tmp_path / "copy", "results/astronaut/parsing.h5", MADE_FROM_FRAMES)
    early = ("frames.h5", "portrait.mp4", "speech.wav", "landmarks.h5")
    set_time(project.folder, DAY, "clip.mp4", *(f"results/astronaut/{name}" for name in early))
    refused = project.snakemake(MADE_FROM_FRAMES)
    assert refused.returncode == 1 and "Traceback" not in refused.stdout
    (line, *_) = [line for line in refused.stdout.splitlines() if "clock skew" in line]
    assert "has older modification time" in line
    assert not undisturbed.half_written(project.folder)
    outcome = re.sub(r" \(20.*?\)", "", line)  # without the times
    note("clock", "set back by a day after the landmarks; no classes and dataset yet", outcome)
    touch = ["bash", "-c", "find clip.mp4 results -newermt now -exec touch {} +"]
    assert project.popen(touch).wait() == 0
    ran = make_and_compare(undisturbed, project, MADE_FROM_FRAMES)
    assert "parse_frames" in ran
    note("clock", "... and what is of the future touched, as docs/clusters.md says", ran)
    remove(project.folder)


def test_a_clock_that_jumps_while_jobs_run(
    undisturbed: Undisturbed, tmp_path: Path, note: Note
) -> None:
    lacking = [
        "results/astronaut/model", "results/astronaut/checkpoints", "results/astronaut/speech.wav",
        "results/astronaut/qc/crop.png", "results/astronaut/driven/other.mp4",
    ]  # fmt: skip
    project = undisturbed.copy(tmp_path / "copy", *lacking)
    (project.folder / "sitecustomize.py").write_text(JUMPING_CLOCK)
    clock = 'PYTHONPATH=. python -c "import time; print(int(time.time()))"; sleep 0.2; '
    with project.popen(["bash", "-c", 6 * clock], stdout=subprocess.PIPE) as process:
        told = [int(line) for line in process.communicate()[0].split()]
    assert max(told) - min(told) > DAY / 2  # it does jump
    ran = make_and_compare(undisturbed, project, *(name for name in lacking if "check" not in name))
    note("clock", "jumps by days, five times a second, while these run", ran)
    remove(project.folder)


@pytest.mark.parametrize("way", ["-a", "-r"])
def test_a_copy_of_the_results(
    undisturbed: Undisturbed, tmp_path: Path, note: Note, way: str
) -> None:
    """`cp -a` keeps times, `cp -r` gives each file the time at which it was copied."""
    project = undisturbed.copy(tmp_path / "copy")
    remove(project.folder / "results")
    source = undisturbed.project.folder / "results"
    subprocess.run(["cp", way, source, project.folder], check=True)
    ran = make_and_compare(undisturbed, project, MADE_FROM_FRAMES)
    if way == "-a":
        assert ran == "nothing"
    note("clock", f"results copied with cp {way}, {MADE_FROM_FRAMES} asked for", ran)
    remove(project.folder)
