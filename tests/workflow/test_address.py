"""A real clip, eight seconds of one speaker, where it is at hand; it is not part of the project."""

import json
import os
import shutil
from pathlib import Path

import av
import pytest
import yaml

from tests.workflow.conftest import ROOT, Project, checkout

CONFIG = Path(__file__).with_name("address.yaml")
SUBJECT = yaml.safe_load(CONFIG.read_text())["subjects"]["address"]
CLIP = ROOT / SUBJECT["video"]

pytestmark = pytest.mark.skipif(not CLIP.exists(), reason=f"needs {SUBJECT['video']}")


@pytest.fixture
def project(tmp_path) -> Project:
    """A checkout with the clips beside it, as the config says."""
    folder = checkout(tmp_path / "checkout")
    for name in (SUBJECT["video"], *SUBJECT["speeches"].values()):
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy)
    return Project(folder, [folder / "config" / "demo.yaml", CONFIG])


def test_one_command_plans_the_whole_road(project):
    planned = project.planned()
    assert planned["render_frames"] == 4  # two parts of the held-out take and of the driven one
    assert {"crop_video", "fit_face_model", "train", "evaluate", "gather_driven_video"} <= set(
        planned
    )


@pytest.mark.skipif("SLOW_TESTS" not in os.environ, reason="takes 15 minutes; set SLOW_TESTS=1")
def test_the_portrait_beats_every_baseline_inside_the_head(project):
    done = project.snakemake("results/address/video.mp4", "results/address/metrics.json")
    assert done.returncode == 0, done.stdout
    with av.open(str(project.folder / "results/address/video.mp4")) as file:
        assert len(list(file.decode(video=0))) == 19
        assert file.streams.audio
    metrics = json.loads((project.folder / "results/address/metrics.json").read_text())
    assert all(margin["psnr_head"] > 0 for margin in metrics["margins"].values())
