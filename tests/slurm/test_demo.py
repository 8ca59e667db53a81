"""The demo subject end to end on SLURM: two subjects' clips, a portrait, two videos, one table."""

import csv
import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ssp_nerf.files import sha256
from tests.slurm.conftest import environment
from tests.slurm.table import write_jobs
from tests.workflow.conftest import ROOT, checkout

pytestmark = pytest.mark.slurm

SAME = ("model/weights.safetensors", "video.mp4", "driven/weather.mp4", "metrics.csv")
"""Of what is made on SLURM, what must be the bytes of a run without it."""


def demo_config(folder: Path) -> list[Path]:
    """`make demo`'s, with the first of its subjects alone, and every stage asking for a GPU that
    would use one."""
    config = yaml.safe_load((ROOT / "config/demo_subjects.yaml").read_text())
    config["subjects"] = {"demo": config["subjects"]["demo"]}
    config["device"] = "auto"
    path = folder / "demo_subject.yaml"
    path.write_text(yaml.safe_dump(config))
    return [ROOT / "config/demo.yaml", path]


def partitions(profile: Path) -> None:
    """Name the cluster's partitions in the profile, as a user would."""
    (profile / "partitions.yaml").write_text(
        "partitions:\n  cpu: {max_runtime: 3000}\n  gpu: {max_runtime: 3000, max_gpu: 1}\n"
    )
    with (profile / "config.yaml").open("a") as file:
        file.write("slurm-partition-config: profiles/slurm/partitions.yaml\n")
        file.write("slurm-array-jobs: render_frames\n")


def test_the_demo_subject_on_slurm(submission, record_property) -> None:
    project = checkout(submission.project)
    submission.configs = demo_config(project)
    partitions(project / "profiles/slurm")
    submission.begin("--", "summary")
    submission.end_well(3600)
    attempts = submission.attempts()
    write_jobs(attempts, project, Path("results/slurm_jobs.md"))

    assert {attempt.state for attempt in attempts} == {"COMPLETED"}
    with open(project / "results/summary.csv") as file:
        assert [row["speech"] for row in csv.DictReader(file)] == ["heldout", "weather"]
    # The profile alone says where jobs go, and a job that uses a GPU asks SLURM for one.
    with_gpu = [attempt for attempt in attempts if attempt.gpu]
    assert {attempt.partition for attempt in with_gpu} == {"gpu"}
    assert {attempt.partition for attempt in attempts if not attempt.gpu} == {"cpu"}
    assert {"train", "render_frames", "evaluate"} <= {attempt.rule for attempt in with_gpu}
    # The parts of a rendering wait at the same time for the only card, and get it in turn.
    for before, after in itertools.pairwise(with_gpu):
        assert before.end <= after.start, (before, after)
    parts = [attempt for attempt in with_gpu if attempt.rule == "render_frames"]
    assert len(parts) == 4 and all("_" in part.job for part in parts), "no array"

    # Without SLURM, from the same clips, the same bytes.
    alone = checkout(submission.project.parent / "alone")
    shutil.copytree(
        project / "results/demo_subjects", alone / "results/demo_subjects", dirs_exist_ok=True
    )
    configs = [str(path) for path in submission.configs]
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", *configs]
    command += ["--rerun-triggers", "mtime", "--quiet", "all"]
    subprocess.run(
        [*command, "--", "summary"], cwd=alone, check=True, env=environment(submission.cluster)
    )
    for name in SAME:
        found, expected = (folder / "results/demo" / name for folder in (project, alone))
        assert sha256(found) == sha256(expected), name
    assert (project / "results/summary.csv").read_text() == (
        alone / "results/summary.csv"
    ).read_text()
    found = f"{len(attempts)} jobs, {len(with_gpu)} of them with the GPU, in turn"
    record_property("found", f"{found}; same bytes without SLURM: {', '.join(SAME)}, summary.csv")
