"""A disk that fills up, and one that cannot be written to."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from random import Random

import pytest

from ssp_nerf.files import SCRATCH_PREFIX
from tests.faults.conftest import Note
from tests.faults.pipeline import TARGETS, Undisturbed, empty_project, remove, scratch_folders
from tests.faults.small_disk import ROOMY, Command
from tests.hostile.case import error_line
from tests.workflow.conftest import ROOT, Project

NAMESPACE = ["unshare", "--mount"]
SEVERAL = ("crop_video", "detect_landmarks", "train", "render_frames", "evaluate")
"""Rules that write for long: disks of more than one size."""
DATASET = "results/astronaut/dataset.h5"
BEFORE_TRAINING = (
    "crop_video", "extract_speech", "detect_landmarks", "parse_frames", "extract_background",
    "fit_face_model", "extract_audio_features", "pack_dataset",
)  # fmt: skip


def may_mount() -> bool:
    try:
        trial = [*NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"]
        return subprocess.run(trial, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(
        not may_mount(), reason="mounting a small disk needs unshare and root (or CAP_SYS_ADMIN)"
    ),
]


def commands_of(undisturbed: Undisturbed, random: Random) -> list[Command]:
    """The command of every rule, each module once."""
    dry = undisturbed.project.snakemake("--dry-run", "--forceall", "--printshellcmds", *TARGETS)
    jobs = {job.log: job for job in undisturbed.jobs}
    lines = {line.split()[-1]: line for line in dry.stdout.splitlines() if " -m " in line}
    found = {}
    # In an order that does not change; of two rules with one command, that which writes for longer.
    for log in sorted(lines, key=lambda log: (jobs[log].rule not in SEVERAL, log)):
        words = shlex.split(lines[log].partition(" 2>&1 |")[0])
        module, *arguments = words[words.index("-m") + 1 :]
        shares = [round(random.uniform(0, 0.9), 2)]
        if jobs[log].rule in SEVERAL:
            shares = [0.3, 0.7]
        found.setdefault(module, Command(module, arguments, list(jobs[log].outputs), shares))
    return list(found.values())


def test_commands_on_disks_that_are_full_or_read_only(
    undisturbed: Undisturbed, tmp_path: Path, random: Random, note: Note
) -> None:
    """One line of error, nothing half-written; with room again, the bytes of an undisturbed run."""
    commands = commands_of(undisturbed, random)
    assert len(commands) > 20
    listed = tmp_path / "commands.json"
    listed.write_text(json.dumps([asdict(command) for command in commands]))
    project = undisturbed.copy(tmp_path / "copy")
    done = subprocess.run(
        [*NAMESPACE, sys.executable, "-m", "tests.faults.small_disk", project.folder, listed],
        cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # as Snakemake tells a job of one thread
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(runs) == sum(len(command.shares) + 1 for command in commands)
    for run in runs:
        where = f"{run['name']}, {run['disk']}"
        assert "Traceback" not in run["said"], (where, run["said"])
        assert run["status"] == 2, (where, run["said"])
        line = error_line(run["said"])
        if run["disk"] != "read-only":
            assert not run["half_written"], (where, run["half_written"])
            assert run["again"] == 0 and run["same"], (where, run["said_again"])
            assert "No space left" in line, (where, line)
        else:
            assert "Read-only file system" in line, (where, line)
        line = re.sub(rf"{re.escape(SCRATCH_PREFIX)}\w+", f"{SCRATCH_PREFIX}*", line)
        begun = time.monotonic() - run["seconds"]
        note("disk", f"`{run['name']}`", run["disk"], line, begun=begun)
    remove(project.folder)


# In a mount namespace of its own: Snakemake on a small disk, and again when it is larger.
ON_A_SMALL_DISK = """
mount -t tmpfs -o size=$1 none results; size=$2; shift 2; mkdir before after
"$@"; echo "ended: $?"
cp -a results before; mount -o remount,size=$size results
echo "with more room"
"$@"; echo "ended: $?"
cp -a results after
"""
ON_A_READ_ONLY_DISK = """
mount --bind results results; mount -o remount,ro,bind results
"$@"; echo "ended: $?"
"""


def in_namespace(project: Project, script: str, *words: str) -> str:
    """What a script of bash says that may mount what nobody else sees."""
    words = (*NAMESPACE, "bash", "-c", script, "bash", *words)
    with project.popen(list(words), stdout=subprocess.PIPE) as process:
        said, _ = process.communicate()
    assert process.returncode == 0, said
    return said


def test_a_pipeline_whose_disk_fills_up(
    undisturbed: Undisturbed, tmp_path: Path, tiny_config: Path, random: Random, note: Note
) -> None:
    """... ends with one line, and with more room it goes on."""
    project = empty_project(tmp_path / "checkout", tiny_config)
    (project.folder / "results").mkdir()
    needed = sum(
        (undisturbed.project.folder / name).stat().st_size
        for job in undisturbed.jobs if job.rule in BEFORE_TRAINING for name in job.outputs
    )  # fmt: skip
    share = random.uniform(0.3, 0.9)
    said = in_namespace(
        project, ON_A_SMALL_DISK, str(int(share * needed)), str(ROOMY), *project.command(DATASET)
    )
    first, second = said.split("\nwith more room\n")
    assert first.endswith("ended: 1") and second.rstrip().endswith("ended: 0"), said
    assert "Traceback" not in said
    (error,) = {line for line in first.splitlines() if line.startswith("error: ")}
    assert "No space left" in error
    for folder in ("before", "after"):
        assert not undisturbed.half_written(project.folder / folder)
        assert not scratch_folders(project.folder / folder)
    assert (project.folder / "after" / DATASET).exists()
    note("pipeline_disk", f"{share:.0%} of the room", error.removeprefix("error: "))
    remove(project.folder)


def test_a_pipeline_that_cannot_write_its_results(
    undisturbed: Undisturbed, tmp_path: Path, note: Note
) -> None:
    """... says so in one line; what is there already can be used."""
    project = undisturbed.copy(tmp_path / "copy", "results/astronaut/speech.wav")
    said = in_namespace(
        project, ON_A_READ_ONLY_DISK, *project.command("results/astronaut/speech.wav")
    )
    assert said.rstrip().endswith("ended: 1") and "Traceback" not in said, said
    (error,) = [line for line in said.splitlines() if line.startswith("results: ")]
    assert "Read-only file system" in error
    whole = in_namespace(project, ON_A_READ_ONLY_DISK, *project.command("results/summary.csv"))
    assert "Nothing to be done" in whole and whole.rstrip().endswith("ended: 0"), whole
    note("pipeline_disk", "read-only", error.replace(f"{project.folder}/", ""))
    remove(project.folder)
