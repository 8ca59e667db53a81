"""Profiles, as far as no cluster is needed to see it; tests/slurm has one."""

import re
from pathlib import Path

import pytest

from tests.workflow.conftest import Project, checkout

MODELS = ("results/astronaut/model", "results/second/model")


@pytest.fixture
def project(tmp_path, tiny_config) -> Project:
    """A checkout with nothing left to do but to train two portraits, each on two GPUs."""
    folder = checkout(tmp_path / "checkout")
    (folder / "clip.mp4").touch()
    for model in MODELS:
        dataset = folder / Path(model).with_name("dataset.h5")
        dataset.parent.mkdir(parents=True)
        dataset.touch()
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("device: auto\ngpus: 2\nsubjects: {second: {video: clip.mp4}}\n")
    return Project(folder, [tiny_config, overlay])


@pytest.mark.parametrize("flag", ["--profile", "--workflow-profile"])
def test_what_a_job_needs_is_asked_of_slurm(project, flag):
    """Where none answers, the plugin says how it asked. The one GPU of profiles/default, which
    `--profile` is added to, is not the cluster's: both jobs are submitted at once, for two each."""
    done = project.snakemake(
        *(flag, "profiles/slurm", "--retries", "0", "--default-resources", "slurm_partition=cpu"),
        *("--slurm-init-seconds-before-status-checks", "1"),
        *("--set-resources", "train:slurm_partition=big", "--", *MODELS),
    )
    assert done.returncode != 0 and "Execute 2 jobs..." in done.stdout, done.stdout
    asked = re.findall(r"^ *(sbatch .*?) --wrap", done.stdout, re.MULTILINE)
    assert len(asked) == 2, done.stdout
    for call in asked:
        words = (" -p big ", " -t 2880 ", " --mem 16000 ", " --requeue ", " --cpus-per-task=1 ")
        assert all(word in call for word in words) and call.endswith(" --gpus=2"), call
