"""A synthetic person on the real road: drawn, put through the stages, compared with its truth."""

import csv
import json
import re

import pytest
import yaml

from ssp_nerf.keys import imported
from tests.workflow.conftest import ROOT, Project, checkout

SIZE = 192
CONFIG = {
    "demo_subjects": {"tim": {"person": "ben", "text": "Hi there.", "seed": 4, "size": SIZE}},
    "subjects": {
        "tim": {"video": "results/demo_subjects/tim/video.mp4"},
        "filmed": {"video": "me.mp4"},
    },
    "crop": {"size": SIZE},
}
STAGES = {
    "crop_video",
    "extract_speech",
    "detect_landmarks",
    "parse_frames",
    "extract_background",
    "fit_face_model",
    "extract_audio_features",
}
COMPARED = {"measure_accuracy", "accuracy"}
ALL = {"make_demo_subject", *STAGES, *COMPARED}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A checkout in which the accuracy of one small synthetic subject was measured."""
    folder = checkout(tmp_path_factory.mktemp("demo") / "checkout")
    config = folder / "tim.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    project = Project(folder, [config])
    done = project.snakemake("results/accuracy.json")
    assert done.returncode == 0, done.stdout
    return project


def test_the_stages_find_what_is_true(project):
    found = json.loads((project.folder / "results/tim/accuracy.json").read_text())
    # At 192 pixels, a fifth of the paper's area: gross mistakes, such as a sign or an axis, show.
    assert found["rotation"]["turn_taken_out"]["mean_deg"] < 5
    assert found["landmarks"]["mean_px"] < 3
    assert found["iou"]["classes"]["hair"] > 0.8 and found["iou"]["classes"]["torso"] > 0.8
    assert found["background"]["psnr_seen_db"] > 28
    assert abs(found["sound"]["alignment_ms"]) < 40


def test_the_table_covers_the_subjects_whose_truth_is_known(project):
    with open(project.folder / "results/accuracy.csv") as file:
        columns = next(csv.reader(file))
    assert "tim" in columns and "filmed" not in columns
    assert (project.folder / "results/accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert "rotation error" in (project.folder / "results/logs/accuracy.log").read_text()


def planned(project, *arguments, overlay=None):
    done = project.snakemake("--dry-run", "results/accuracy.json", *arguments, overlay=overlay)
    assert done.returncode == 0, done.stdout
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE))
    return set(jobs) - {"total"}


@pytest.mark.parametrize("rules", ["preprocess.smk", "train.smk", "render.smk", "evaluate.smk"])
def test_no_stage_knows_that_a_subject_is_synthetic(rules):
    text = (ROOT / "rules" / rules).read_text()
    modules = re.findall(r'source_key\("([\w.]+)"\)', text)
    assert modules and "demo_subject" not in text
    for module in modules:
        assert not [name for name in imported(module) if "demo_subject" in name], module


def test_a_second_call_does_nothing(project):
    assert planned(project) == set()


@pytest.mark.parametrize(
    ("source", "rules"),
    [
        ("preprocess/demo_subject/paint.py", ALL),
        ("preprocess/accuracy/pose.py", COMPARED),
        ("preprocess/accuracy/plot.py", {"accuracy"}),
        ("preprocess/face_fit.py", {"fit_face_model", *COMPARED}),  # the truth does not change
    ],
)
def test_an_edit_reruns_what_depends_on_it(project, source, rules):
    path = project.folder / source
    original = path.read_text()
    try:
        path.write_text(original + "\nEDITED = True\n")
        assert planned(project) == rules
    finally:
        path.write_text(original)


def test_another_text_makes_another_video(project, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("demo_subjects: {tim: {text: Bye.}}")
    assert planned(project, overlay=overlay) == ALL


def test_accuracy_without_synthetic_subjects_is_refused_in_words(project):
    bare = Project(project.folder, [project.folder / "config.yaml"])
    done = bare.snakemake("--dry-run", "results/accuracy.json")
    assert done.returncode != 0
    assert "add --configfile config/demo_subjects.yaml" in done.stdout


def test_accuracy_of_a_filmed_subject_is_refused_in_words(project):
    done = project.snakemake("--dry-run", "results/filmed/accuracy.json")
    assert done.returncode != 0
    assert "accuracy can only be measured where the truth is known" in done.stdout
