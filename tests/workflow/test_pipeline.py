"""The whole road, for real: from a video to a talking video, and what reruns after a change."""

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
import yaml

from ssp_nerf import summary
from ssp_nerf.estimate.__main__ import read_config
from ssp_nerf.estimate.plan import jobs_of
from ssp_nerf.files import folder_sha256
from ssp_nerf.provenance.__main__ import read_provenance
from tests import clips
from tests.ssp_nerf.report_inputs import Page
from tests.workflow.conftest import ROOT, Project, checkout

SUBJECT = "results/astronaut"
FRAMES, HELD_OUT = 44, 4
SPOKEN_SECONDS = 1.0
FIRST_RUN = "first_run.log"
JOBS = "34"
EVERYTHING = {"all": 1, "total": int(JOBS) + 1}

# What depends on what: a rule and all that follow it.
AFTER_EVALUATE = {"evaluate", "report_page", "tabulate"}
AFTER_RENDER = {"gather_video", "compare", "detect_render_landmarks", *AFTER_EVALUATE}
DRIVEN = {"gather_driven_video", "evaluate_driven", "tabulate"}
AFTER_TRAIN = {"render_frames", "deformation", *AFTER_RENDER, *DRIVEN}
AFTER_PACK = {"train", *AFTER_TRAIN}
FILMS = {"qc_landmarks", "qc_parsing", "qc_face_model"}
AFTER_BACKGROUND = {"qc_background", "pack_dataset", *AFTER_PACK}
AFTER_PARSING = {"extract_background", "qc_parsing", *AFTER_BACKGROUND}
AFTER_TRACK = {"qc_face_model", "qc_motion", "pack_dataset", *AFTER_PACK}
AFTER_LANDMARKS = {
    "parse_frames", "fit_face_model", "evaluate", "qc_landmarks", *AFTER_PARSING, *AFTER_TRACK
}  # fmt: skip
AFTER_FEATURES = {"qc_audio_features", "pack_dataset", *AFTER_PACK}
AFTER_CROP = {
    "detect_landmarks", "extract_audio_features", "qc_crop", *AFTER_LANDMARKS, *AFTER_FEATURES
}  # fmt: skip
AFTER_SPEECH = {"extract_audio_features", "qc_motion", *FILMS, *AFTER_FEATURES}

AFTER_CHECK = {"admit_video", "gather_video", *DRIVEN}  # no stage: only the last step asks for it
CHECK = {"check_video", *AFTER_CHECK}

CONFIG_CHANGES = {
    "subjects.astronaut.duration: 1.5": {
        "crop_video",
        "extract_speech",
        *AFTER_CROP,
        *AFTER_SPEECH,
        *CHECK,
    },
    "check.stop: true": AFTER_CHECK,
    "crop.face_fraction: 0.3": {"crop_video", *AFTER_CROP, *CHECK},
    "landmarks.max_gap: 3": {"detect_landmarks", *AFTER_LANDMARKS},
    "landmarks.detector: face_alignment": {
        "download_weights",
        "detect_landmarks",
        "detect_render_landmarks",
        "evaluate_driven",
        *AFTER_LANDMARKS,
    },
    "parsing.weights: elsewhere": {"parse_frames", *AFTER_PARSING},
    "background.samples: 30": {"extract_background", *AFTER_BACKGROUND},
    "face_model.smoothness: 0.5": {"fit_face_model", *AFTER_TRACK},
    "audio.channels: 16": {"extract_audio_features", "extract_driving_features", *AFTER_FEATURES},
    "pack.size: 36": {"pack_dataset", *AFTER_PACK},
    "pack.held_out_fraction: 1/8": {"qc_motion", "pack_dataset", *AFTER_PACK},
    "qc.seconds: 1": FILMS,
    "model.width: 24": AFTER_PACK,
    "training.steps: 50": AFTER_PACK,
    "ablations.steps: 5": set(),  # only asked for by name
    "rendering.rays_per_chunk: 1000": AFTER_TRAIN,
    "evaluation.crop_size: 128": {"evaluate_driven", *AFTER_EVALUATE},
    "provenance.mark: AI": {"gather_video", "compare", "report_page", *DRIVEN},
    "report.panel_size: 100": {"report_page"},
    'downloads: {"net.pth":{"url":"https://mirror/net.pth","sha256":"%s"}}' % (64 * "0"): set(),
    "demo_subjects.anna.seed: 5": set(),  # this subject is filmed
    "device: auto": set(),
    "gpus: 2": set(),
}

SOURCE_CHANGES = {
    "preprocess/check/limits.py": CHECK,
    "preprocess/crop.py": {"crop_video", *AFTER_CROP, *CHECK},
    "preprocess/speech.py": {
        "extract_speech", "extract_driving_speech", "extract_driving_features", *AFTER_SPEECH
    },
    "preprocess/landmarks.py": {
        "detect_landmarks", "detect_render_landmarks", "evaluate_driven", *AFTER_LANDMARKS
    },
    "preprocess/landmarks_mediapipe.py": {
        "detect_landmarks", "detect_render_landmarks", "evaluate_driven", *AFTER_LANDMARKS,
        "build_face_model", *AFTER_TRACK, *CHECK
    },
    "preprocess/face_models/surface.py": {"build_face_model", "fit_face_model", *AFTER_TRACK},
    "preprocess/frames.py": {"evaluate_driven", "tabulate"},
    "preprocess/materials.py": {"parse_frames", *AFTER_PARSING, *CHECK},
    "preprocess/background.py": {"extract_background", *AFTER_BACKGROUND},
    "preprocess/face_model.py": {"fit_face_model", *AFTER_TRACK},
    "preprocess/logmel.py": {
        "extract_audio_features", "extract_driving_features", *AFTER_FEATURES
    },
    "preprocess/pack.py": {"pack_dataset", "qc_motion", *AFTER_PACK},  # motion shows the split
    "preprocess/qc/film.py": FILMS,
    "preprocess/qc/mesh.py": {"qc_face_model"},
    "preprocess/qc/waveform.py": {"qc_motion", "qc_audio_features"},
    "ssp_nerf/ray_sampling.py": AFTER_PACK,
    "ssp_nerf/render.py": AFTER_TRAIN,
    "ssp_nerf/gather.py": {"gather_video", "compare", *DRIVEN},
    "ssp_nerf/panels.py": {"compare", "deformation", "qc_background", "report_page"},
    "ssp_nerf/head_angles.py": {"qc_face_model", "qc_motion", "report_page"},
    "ssp_nerf/report/film.py": {"report_page"},
    "ssp_nerf/deformation_figure.py": {"deformation"},
    "ssp_nerf/ablation_table.py": set(),
    "ssp_nerf/metrics/lmd.py": {"evaluate_driven", *AFTER_EVALUATE},
    "ssp_nerf/method_table.py": {"tabulate"},
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_config) -> Project:
    """A checkout in which the pipeline has run once, for everything the config names."""
    folder = checkout(tmp_path_factory.mktemp("checkout") / "with a space")
    clips.talking_clip(folder / "clip.mp4", frames=FRAMES)
    clips.write_wav(folder / "other.wav", clips.speech(SPOKEN_SECONDS))
    project = Project(folder, [tiny_config])
    done = project.snakemake()
    assert done.returncode == 0, done.stdout
    (folder / FIRST_RUN).write_text(done.stdout)
    return project


def test_a_run_tells_once_what_it_will_need(project, tiny_config):
    said = (project.folder / FIRST_RUN).read_text()
    assert re.findall(r"^estimate: (\w+)", said, re.MULTILINE) == [JOBS, "disk", "memory", "time"]
    assert f"estimate: {JOBS} jobs, 1 subject, 2 s of video" in said
    assert said.index("Job stats") < said.index("estimate:") < said.index("\nlocalrule ")
    stats = dict(re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE))
    jobs = Counter(job.rule for job in jobs_of(read_config([tiny_config])))
    assert stats == {rule: str(count) for rule, count in (jobs | EVERYTHING).items()}


def test_the_disk_that_it_tells_is_that_of_the_results_within_a_factor_of_two(project):
    said = (project.folder / FIRST_RUN).read_text()
    told = float(re.findall(r"^estimate: disk ([\d.]+) MB", said, re.MULTILINE)[0])
    files = (project.folder / "results").rglob("*")
    written = sum(path.stat().st_size for path in files if path.is_file()) / 1e6
    assert written / 2 < told < 2 * written


def test_the_video_talks(project):
    with av.open(str(project.folder / SUBJECT / "video.mp4")) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert float(file.streams.video[0].average_rate) == 25
    assert len(pictures) == HELD_OUT
    assert pictures[0].shape == (40, 40, 3)
    with av.open(str(project.folder / SUBJECT / "video.mp4")) as file:
        sound = np.concatenate([f.to_ndarray()[0] for f in file.decode(audio=0)])
    assert np.abs(sound).max() > 0.05


def test_a_driven_video_is_as_long_as_its_speech(project):
    with av.open(str(project.folder / SUBJECT / "driven/other.mp4")) as file:
        assert len(list(file.decode(video=0))) == SPOKEN_SECONDS * 25
        assert file.streams.audio[0].duration * file.streams.audio[0].time_base == pytest.approx(
            SPOKEN_SECONDS, abs=0.05
        )


def test_every_generated_video_says_that_it_is(project):
    results = project.folder / SUBJECT
    for name in ("video.mp4", "comparison.mp4", "driven/other.mp4"):
        about = read_provenance(results / name)
        assert (about.subject, about.model) == ("astronaut", folder_sha256(results / "model"))
        assert about.is_foreign == (name == "driven/other.mp4")
    assert (about.speech, about.consent) == ("other", "an astronaut's, 'once'; and {twice}")


def test_the_dataset_describes_itself(project):
    with h5py.File(project.folder / SUBJECT / "dataset.h5") as file:
        assert file["frames"].shape == (FRAMES, 40, 40, 3)
        assert np.flatnonzero(file["held_out"]).tolist() == list(range(40, 44))
        assert json.loads(file.attrs["config"])["size"] == 40
        assert "mediapipe" in json.loads(file.attrs["software"])
        # The head is 10 dm or so away, in front of the camera, inside near and far.
        distance = np.linalg.norm(file["c2w"][:, :, 3], axis=1)
        assert (file.attrs["near"] < distance).all() and (distance < file.attrs["far"]).all()


def test_metrics_say_what_was_measured(project):
    metrics = json.loads((project.folder / SUBJECT / "metrics.json").read_text())
    assert metrics["frames"] == HELD_OUT
    assert set(metrics["baselines"]) == {"background", "mean_frame", "nearest_pose"}
    with open(project.folder / SUBJECT / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == [40, 41, 42, 43]


def test_the_page_shows_what_was_made(project):
    page = Page((project.folder / SUBJECT / "report/index.html").read_text(encoding="utf-8"))
    content = page.content
    assert content["subject"] == "astronaut"
    assert content["frames"] == list(range(FRAMES - HELD_OUT, FRAMES))
    assert content["missing"] == []
    assert {"psnr", "ssim"} <= {metric["name"] for metric in content["metrics"]}
    assert {"train", "crop_video", "render_frames/heldout"} <= {
        s["name"] for s in content["stages"]
    }
    assert [file["name"] for file in content["settings"]] == [
        "frames", "landmarks", "parsing", "track", "audio_features", "dataset",
    ]  # fmt: skip


def test_snakemakes_own_report_shows_it_under_the_subject(project, tmp_path):
    path = tmp_path / "report.zip"
    done = project.snakemake("--report", str(path))
    assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(path) as file:
        names = {Path(name).name for name in file.namelist()}
        (overview,) = (n for n in file.namelist() if n.endswith("/report.html"))
        text = file.read(overview).decode()
    assert {"index.html", "video.mp4", "comparison.mp4", "metrics.csv", "other.mp4"} <= names
    assert {"curves.png", "deformation.png", "check.png", "motion.png"} <= names
    for said in ("everything on one page", "driven by other, video", "Stages", "All of astronaut"):
        assert said in text


def test_the_summary_names_what_is_there_and_how_good_it_is(project, monkeypatch, capsys):
    monkeypatch.chdir(project.folder)
    summary.main(["--subject", SUBJECT])
    said = capsys.readouterr().out
    metrics = json.loads((project.folder / SUBJECT / "metrics.json").read_text())
    assert f"{metrics['ours']['psnr_head']:.2f}" in said
    named = re.findall(rf"{SUBJECT}/\S+", said)
    for name in ("video.mp4", "comparison.mp4", "comparison.png", "portrait.mp4"):
        assert f"{SUBJECT}/{name}" in named
    assert all((project.folder / name).exists() for name in named)
    assert f"{HELD_OUT} frames" in said
    assert "suits training: will not work (length, " in said
    assert "VIDEO=me.mp4" in said
    summary.main(["--subject", SUBJECT, "--next", "mine"])
    own = capsys.readouterr().out
    assert "VIDEO" not in own and "make accuracy" in own


def test_a_summary_of_nothing_says_what_is_missing(tmp_path, capsys):
    (tmp_path / "metrics.json").write_text("[1, 2]")
    for folder, problem in (
        (tmp_path / "nobody", "does not exist"),
        (tmp_path, "ssp_nerf.evaluate"),
    ):
        with pytest.raises(SystemExit) as stop:
            summary.main(["--subject", str(folder)])
        assert stop.value.code == 2
        error = capsys.readouterr().err
        assert problem in error and error.count("\n") == 1


def test_every_job_has_a_log_and_training_a_curve(project):
    logs = {path.stem for path in (project.folder / SUBJECT / "logs").glob("*.log")}
    assert {"crop_video", "train", "evaluate", "pack_dataset"} <= logs
    assert "40/40 steps (100%)" in (project.folder / SUBJECT / "logs/train.log").read_text()
    benchmark = (project.folder / SUBJECT / "benchmarks/train.tsv").read_text()
    assert benchmark.startswith("s\th:m:s")
    curves = (project.folder / SUBJECT / "training/curves.png").read_bytes()
    assert curves.startswith(b"\x89PNG")


def test_the_deformation_is_drawn_at_three_poses(project):
    about = json.loads((project.folder / SUBJECT / "deformation.json").read_text())
    assert [frame["pose"] for frame in about["frames"]] == ["small", "medium", "large"]
    assert all(frame["displacement_cm"]["person"] > 0 for frame in about["frames"])
    picture = (project.folder / SUBJECT / "deformation.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_every_stage_has_its_picture(project):
    folder = project.folder / SUBJECT / "qc"
    assert sorted(path.name for path in folder.iterdir()) == [
        "audio_features.png", "background.png", "check.png", "crop.png", "face_model.mp4",
        "landmarks.mp4", "motion.png", "parsing.mp4",
    ]  # fmt: skip
    for path in folder.glob("*.mp4"):
        with av.open(str(path)) as file:
            assert len(list(file.decode(video=0))) == FRAMES
            assert file.streams.audio


def test_a_second_call_does_nothing(project):
    assert project.planned() == {}
    # Neither in fact: no file is touched.
    before = {p: p.stat().st_mtime_ns for p in (project.folder / SUBJECT).rglob("*")}
    done = project.snakemake()
    assert "Nothing to be done" in done.stdout
    assert before == {p: p.stat().st_mtime_ns for p in (project.folder / SUBJECT).rglob("*")}


@pytest.mark.parametrize("change", CONFIG_CHANGES)
def test_a_config_change_reruns_exactly_what_uses_it(project, tmp_path, change):
    path, value = change.split(": ")
    content = yaml.safe_load(value)
    for key in reversed(path.split(".")):
        content = {key: content}
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(yaml.safe_dump(content))
    assert set(project.planned(overlay)) == CONFIG_CHANGES[change]


def test_one_gpu_is_never_given_to_two_jobs(project, tmp_path):
    """By profiles/default, however many cores there are."""
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("device: auto\nrendering: {parts: 4}")  # parts that no other test has
    parts = [f"{SUBJECT}/renders/heldout/{part}-of-4.h5" for part in (1, 2)]
    done = project.snakemake("--cores", "8", "--", *parts, overlay=overlay)
    assert done.returncode == 0, done.stdout
    events = re.findall(r"rule render_frames:|^Finished jobid", done.stdout, re.MULTILINE)
    assert events == ["rule render_frames:", "Finished jobid"] * 2, done.stdout


def test_more_parts_change_only_rendering(project, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("rendering: {parts: 3}")
    planned = project.planned(overlay)
    assert set(planned) == AFTER_TRAIN - {"deformation"}  # whose three frames are one job
    assert planned["render_frames"] == 6  # three of the held-out take, three of the driven one


ABLATIONS = {"train_variant", "render_variant", "detect_variant_landmarks", "evaluate_variant"}
SWITCHES = {
    "without_deformation": {"deformation": "none"},
    "deformation_by_audio": {"deformation": "audio"},
    "without_semantic_branch": {"semantic_branch": False},
    "without_dynamic_sampling": {"dynamic_sampling": False},
    "without_3d_information": {"structured_codes": False},
    "full": {},
}


@pytest.fixture(scope="module")
def ablations(project, tmp_path_factory) -> Path:
    """The config file with which the project's ablations were made."""
    overlay = tmp_path_factory.mktemp("ablations") / "overlay.yaml"
    overlay.write_text("rendering: {parts: 1}")
    done = project.snakemake(f"{SUBJECT}/ablations.csv", overlay=overlay)
    assert done.returncode == 0, done.stdout
    return overlay


def test_the_ablations_differ_in_one_switch_each(project, ablations):
    trained = {}
    for variant in SWITCHES:
        bundle = project.folder / SUBJECT / "ablations" / variant / "model/bundle.json"
        about = json.loads(bundle.read_text())
        trained[variant] = {**about["model"], **about["training"]}
    full = trained["full"]
    assert (full["steps"], full["decay_steps"], full["seed"]) == (4, 4, 0)
    assert full["rays"] == 256  # the subject's own config but for the schedule
    for variant, switch in SWITCHES.items():
        assert trained[variant] == {**full, **switch}, variant
        assert all(full[key] != value for key, value in switch.items()), variant


def test_the_ablations_are_a_table_and_a_picture(project, ablations):
    with open(project.folder / SUBJECT / "ablations.csv") as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(SWITCHES)
    assert {(row["steps"], row["seed"]) for row in rows.values()} == {("4", "0")}
    for variant, row in rows.items():
        metrics = project.folder / SUBJECT / "ablations" / variant / "metrics.json"
        ours = json.loads(metrics.read_text())["ours"]
        for figure in ("psnr", "ssim", "psnr_head", "ssim_head"):
            assert float(row[figure]) == ours[figure]
        for figure in ("lmd", "mouth_opening_correlation"):  # none where no face was found
            assert row[figure] == ("" if ours[figure] is None else str(ours[figure]))
    assert int(rows["without_deformation"]["parameters"]) < int(rows["full"]["parameters"])
    assert (project.folder / SUBJECT / "ablations.md").read_text().startswith("# Ablations")
    assert (project.folder / SUBJECT / "ablations.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("change", "target", "reruns"),
    [
        ("ablations: {steps: 5}", "ablations", {*ABLATIONS, "gather_ablations"}),
        ("ablations: {steps: 5}", f"{SUBJECT}/video.mp4", set()),
        ("training: {steps: 50, decay_steps: 50}", "ablations", set()),
        ("training: {seed: 1}", "ablations", {*ABLATIONS, "gather_ablations"}),
        ("model: {deformation: none}", "ablations", set()),  # `full` is the whole method anyway
    ],
)
def test_ablations_rerun_when_they_would_come_out_otherwise(
    project, ablations, tmp_path, change, target, reruns
):
    overlay = tmp_path / "overlay.yaml"
    content = yaml.safe_load(ablations.read_text()) if target == "ablations" else {}
    overlay.write_text(yaml.safe_dump({**content, **yaml.safe_load(change)}))
    planned = project.planned(overlay, target)
    planned.pop("ablations", None)
    assert set(planned) == reruns
    assert all(planned[rule] == len(SWITCHES) for rule in ABLATIONS & set(planned))


@pytest.mark.parametrize("source", SOURCE_CHANGES)
def test_an_edited_stage_reruns_with_all_that_follow(project, source):
    path = project.folder / source
    original = path.read_text()
    try:
        path.write_text(original + "\nEDITED = True\n")
        assert set(project.planned()) == SOURCE_CHANGES[source]
    finally:
        path.write_text(original)


def test_a_comment_reruns_nothing(project):
    originals = {
        project.folder / name: (project.folder / name).read_text() for name in SOURCE_CHANGES
    }
    try:
        for path, text in originals.items():
            path.write_text(text + "\n# A comment changes no result.\n")
        assert project.planned() == {}
    finally:
        for path, text in originals.items():
            path.write_text(text)


def test_large_files_of_a_finished_subject_can_be_deleted(project):
    kept = project.folder / "kept"
    kept.mkdir()
    large = [project.folder / SUBJECT / name for name in ("frames.h5", "parsing.h5", "renders")]
    try:
        for path in large:
            path.rename(kept / path.name)
        assert project.planned() == {}
    finally:
        for path in large:
            (kept / path.name).rename(path)
        kept.rmdir()


def test_every_section_of_the_config_is_covered(project):
    sections = yaml.safe_load((project.folder / "config.yaml").read_text())
    assert {re.split(r"[.:]", change)[0] for change in CONFIG_CHANGES} == set(sections)


def test_a_stage_that_is_deleted_and_rerun_gives_the_same_bytes(project):
    """Interrupted or undisturbed, the result is the same: nothing depends on the moment."""
    names = [
        "frames.h5", "landmarks.h5", "parsing.h5", "background.png", "track.h5",
        "audio_features.h5", "dataset.h5", "speech.wav", "portrait.mp4",
    ]  # fmt: skip
    results = project.folder / SUBJECT
    before = {name: (results / name).read_bytes() for name in names}
    kept = project.folder / "kept"
    shutil.copytree(results, kept)
    try:
        for name in names:
            (results / name).unlink()
        done = project.snakemake(f"{SUBJECT}/dataset.h5", f"{SUBJECT}/portrait.mp4")
        assert done.returncode == 0, done.stdout
        different = [name for name in names if (results / name).read_bytes() != before[name]]
        assert different == []
    finally:
        shutil.rmtree(results)
        kept.rename(results)


def test_a_result_that_a_job_lost_is_made_again_from_its_checkpoint(project):
    shutil.rmtree(project.folder / SUBJECT / "model")
    done = project.snakemake(f"{SUBJECT}/model")
    assert done.returncode == 0, done.stdout
    assert "continues at step 40" in (project.folder / SUBJECT / "logs/train.log").read_text()
    assert (project.folder / SUBJECT / "model/weights.safetensors").stat().st_size > 0


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ("training: {stepz: 3}", "training.stepz: unknown key; did you mean 'steps'?"),
        ("model: {width: wide}", "model.width: expected int, got 'wide'"),
        ("training: {learning_rate: -1}", "training.learning_rate: expected at least 0"),
        ("crop: {sise: 450}", "'sise' was unexpected"),
        ("pack: {size: big}", "pack.size: 'big' is not of type 'integer'"),
        ("parsing: {parser: guess}", "parsing.parser: 'guess' is not one of"),
        ("subjects: {astronaut: {film: x.mp4}}", "'film' was unexpected"),
        ("subjects: {astronaut: {consent: ' '}}", "subjects.astronaut.consent: ' ' does not match"),
        ("provenance: {key: me.pem}", "provenance.certificate: expected a file"),
        ("{gpus: 7, device: auto}", "training.rays: expected a multiple of 28 (gpus x"),
    ],
)
def test_a_mistake_in_the_config_is_one_line_before_anything_runs(project, tmp_path, overlay, said):
    path = tmp_path / "mistake.yaml"
    path.write_text(overlay)
    done = project.snakemake("--dry-run", overlay=path)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if said in line]
    assert "--configfile" in line


@pytest.fixture(scope="module")
def bad(tmp_path_factory, tiny_config) -> Project:
    """A checkout for videos that cannot be used."""
    folder = checkout(tmp_path_factory.mktemp("bad"))
    (folder / "other.wav").touch()
    return Project(folder, [tiny_config])


def one_frame(path: Path) -> None:
    clips.talking_clip(path, frames=1)


def no_face(path: Path) -> None:
    from ssp_nerf.video import write_video

    wall = clips.background(128, 128)
    sound = clips.write_wav(path.with_suffix(".wav"), clips.speech(1.0))
    write_video(path, [wall.astype(np.uint8)] * 25, audio=sound)


BAD_VIDEOS = {
    "no audio track": lambda path: clips.talking_clip(path, frames=20, sound=False),
    "no face": no_face,
    "one frame": one_frame,
    "not a video": lambda path: path.write_text("not a video"),
    "no bytes": lambda path: path.touch(),
}


@pytest.mark.parametrize("problem", BAD_VIDEOS)
def test_a_bad_video_gives_one_clear_line_and_nothing_else(bad, problem):
    clip = bad.folder / "clip.mp4"
    BAD_VIDEOS[problem](clip)
    results = bad.folder / "results"
    shutil.rmtree(results, ignore_errors=True)
    target = f"{SUBJECT}/dataset.h5"
    done = bad.snakemake(target)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    errors = {line for line in done.stdout.splitlines() if line.strip().startswith("error: ")}
    assert errors and all("clip.mp4" in line for line in errors)
    assert not list(results.rglob("*.partial*"))
    assert not (bad.folder / target).exists()


def make(project: Project, *arguments: str) -> subprocess.CompletedProcess:
    shutil.copy(ROOT / "Makefile", project.folder)
    return subprocess.run(
        ["make", f"PYTHON={sys.executable}", *arguments],
        cwd=project.folder, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["""it's "me" for $5 $(HOME).mp4""", "{} and {.mp4"])
def test_make_takes_a_video_with_any_characters_in_its_name(bad, name):
    (bad.folder / name).touch()
    config = "results/mine/subject.json"
    done = make(bad, config, f"VIDEO={name}")
    assert done.returncode == 0, done.stderr
    assert json.loads((bad.folder / config).read_text()) == {"subjects": {"mine": {"video": name}}}
    planned = bad.snakemake(
        "--dry-run", "--printshellcmds", "results/mine/portrait.mp4", overlay=bad.folder / config
    )
    assert f"--video={shlex.quote(name)} " in planned.stdout


def test_make_without_a_name_after_video_is_a_mistake(bad):
    (bad.folder / "results/mine/subject.json").unlink(missing_ok=True)
    done = make(bad, "demo", "VIDEO=")
    assert done.returncode == 2
    assert "needs a video file, got VIDEO=''" in done.stdout
    assert not (bad.folder / "results/mine/subject.json").exists()


def test_a_video_whose_name_is_a_wildcard_is_refused(bad, tmp_path):
    overlay = tmp_path / "braces.yaml"
    overlay.write_text("subjects: {astronaut: {video: 'me{1}.mp4'}}")
    done = bad.snakemake("--dry-run", f"{SUBJECT}/dataset.h5", overlay=overlay)
    assert done.returncode != 0
    assert "me{1}.mp4: Snakemake would fill in" in done.stdout and "Traceback" not in done.stdout


def test_a_text_that_begins_with_a_hyphen_is_no_flag(bad, tmp_path):
    overlay = tmp_path / "hyphen.yaml"
    overlay.write_text("demo_subjects: {tim: {text: -Hello}}")
    video = "results/demo_subjects/tim/video.mp4"
    done = bad.snakemake("--dry-run", "--printshellcmds", video, overlay=overlay)
    assert " --text=-Hello " in done.stdout


def test_a_video_that_is_not_there_is_named(bad):
    (bad.folder / "clip.mp4").unlink(missing_ok=True)
    done = bad.snakemake("--dry-run", f"{SUBJECT}/dataset.h5")
    assert done.returncode != 0
    assert "clip.mp4" in done.stdout and "Traceback" not in done.stdout


def test_a_video_that_will_not_work_ends_the_run_before_it_trains(bad, tmp_path):
    clips.talking_clip(bad.folder / "clip.mp4", frames=30)
    shutil.rmtree(bad.folder / "results", ignore_errors=True)
    overlay = tmp_path / "stop.yaml"
    overlay.write_text("check: {stop: true}")
    done = bad.snakemake(f"{SUBJECT}/video.mp4", overlay=overlay)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert "clip.mp4: will not work. length: 1.2 s." in done.stdout
    assert (bad.folder / SUBJECT / "qc/check.png").exists()  # the reasons stay
    assert not (bad.folder / SUBJECT / "frames.h5").exists()  # on two cores nothing else began
