"""The ablations' command on six small models: table, picture, and what it refuses."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from ssp_nerf import ablations, evaluate
from ssp_nerf.ablation_picture import close_up_box
from ssp_nerf.ablation_table import _change
from ssp_nerf.landmarks import MESH_MOUTH
from tests.ssp_nerf import synthetic_clip as clip
from tests.ssp_nerf.small_training import train

FLAGS = {
    "without_deformation": ["--deformation", "none"],
    "deformation_by_audio": ["--deformation", "audio"],
    "without_semantic_branch": ["--no-semantic-branch"],
    "without_dynamic_sampling": ["--no-dynamic-sampling"],
    "without_3d_information": ["--no-structured-codes"],
    "full": [],
}
STEPS = ["--steps", "2", "--decay-steps", "2"]


def psnr_of(offset: int) -> float:
    return 20 * np.log10(255 / offset)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    return {
        "dataset": clip.write_dataset(folder / "dataset.h5"),
        "landmarks": clip.write_landmarks(folder / "landmarks.h5", clip.face_points()),
    }


@pytest.fixture(scope="module")
def variants(tmp_path_factory, data) -> dict[str, list[str]]:
    """Name -> model, metrics and rendering, which is too bright by 11 levels, 12, ... 16."""
    held_out = list(clip.HELD_OUT)
    files = {}
    for number, (name, flags) in enumerate(FLAGS.items()):
        folder = tmp_path_factory.mktemp(name)
        model = train(folder, data["dataset"], *STEPS, *flags)
        pictures = (clip.pictures() + np.uint8(11 + number))[held_out]
        rendering = clip.write_render(folder / "render.h5", held_out, pictures)
        faces = clip.write_landmarks(folder / "faces.h5", clip.face_points()[held_out])
        evaluate.main(
            [
                "--dataset", str(data["dataset"]), "--landmarks", str(data["landmarks"]),
                "--render", str(rendering), "--render-landmarks", str(faces),
                "--metrics-json", str(folder / "metrics.json"),
                "--metrics-csv", str(folder / "metrics.csv"),
            ]
        )  # fmt: skip
        files[name] = [str(path) for path in (model, folder / "metrics.json", rendering)]
    return files


def run(folder: Path, data: dict[str, Path], variants: dict[str, list[str]]) -> None:
    arguments = [f"--{name}={path}" for name, path in data.items()]
    outputs = {"csv": "a.csv", "markdown": "a.md", "picture": "a.png"}
    arguments += [f"--{name}={folder / file}" for name, file in outputs.items()]
    for name, files in variants.items():
        arguments += ["--variant", name, *files]
    ablations.main(arguments)


@pytest.fixture(scope="module")
def made(tmp_path_factory, data, variants) -> Path:
    folder = tmp_path_factory.mktemp("made")
    run(folder, data, variants)
    return folder


def test_a_row_for_each_variant(made, variants):
    with open(made / "a.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["variant"] for row in rows] == list(FLAGS)
    for number, row in enumerate(rows):
        assert float(row["psnr"]) == pytest.approx(psnr_of(11 + number), abs=1e-4)
        assert (float(row["lmd"]), row["steps"], row["seed"]) == (0.0, "2", "0")
        weights = load_file(Path(variants[row["variant"]][0]) / "weights.safetensors")
        buffers = sum(
            array.size
            for name, array in weights.items()
            if name in ("pose_mean", "pose_deviation", "canonical_pose")
            or name.startswith(("audio_encoder.mean", "audio_encoder.deviation"))
        )
        assert int(row["parameters"]) == sum(a.size for a in weights.values()) - buffers


def test_the_table_has_the_best_in_bold_and_the_papers_figures_apart(made):
    ours, papers = (made / "a.md").read_text().split("## ")
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:-1]]
        for line in ours.splitlines()
        if line.startswith("|")
        for cells in [line.split("|")]
    }
    assert rows["without deformation"][0] == f"**{psnr_of(11):.2f}**"
    assert rows["without deformation"][-2] == "4" and rows["full"][-2] == "4, 5"
    assert rows["full"][0] == f"{psnr_of(16):.2f}"
    heads = ["PSNR (dB) ↑", "SSIM ↑", "PSNR head (dB) ↑", "SSIM head ↑", "LMD (px) ↓"]
    assert rows[""][:5] == heads
    assert [row[4] for name, row in rows.items() if name not in ("", "---")] == ["**0.00**"] * 6
    assert "32.7" not in ours
    change = psnr_of(11) - psnr_of(16)
    assert f"| without deformation | {change:+.2f} | -5.31 |" in papers


def test_a_change_of_what_is_not_defined_is_a_dash():
    assert _change("psnr", None, 1.0) == _change("psnr", 1.0, None) == "-"


def test_the_picture_shows_truth_and_variants_of_the_frame_with_the_widest_mouth(made):
    mouths = clip.face_points()[:, list(MESH_MOUTH), :2]
    opening = np.linalg.norm(mouths[:, 14] - mouths[:, 18], axis=1)  # points 62 and 66
    frame = max(clip.HELD_OUT, key=lambda held_out: opening[held_out])
    picture = np.asarray(Image.open(made / "a.png"))
    # Seven columns of 48 pixels, enlarged 7 times, 8 apart; pictures begin 34 from the top.
    assert picture.shape[1] == 8 + 7 * (7 * clip.WIDTH + 8)
    truth = clip.pictures()[frame].astype(int)
    for column, offset in enumerate((0, 11, 12, 13, 14, 15, 16)):
        left = 8 + column * (7 * clip.WIDTH + 8)
        shown = picture[34:, left:][3 : 7 * clip.HEIGHT : 7, 3 : 7 * clip.WIDTH : 7]
        error = shown.astype(int) - truth - offset
        assert np.abs(error).mean() < 3, column  # enlarging is smooth: edges differ


def test_the_close_up_stays_in_the_picture():
    mouth = np.zeros((20, 2))
    mouth[:10] = (20, 0)
    assert close_up_box(mouth + (50, 40), 100, 80) == (40, 30, 80, 50)
    assert close_up_box(mouth - 30, 100, 80) == (0, 0, 40, 20)
    assert close_up_box(mouth + (95, 79), 100, 80) == (60, 60, 100, 80)
    assert close_up_box(50 * mouth, 100, 80) == (0, 0, 100, 50)  # as wide as can be


def refused(folder: Path, data, variants, capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        run(folder, data, variants)
    assert stop.value.code == 2
    assert list(folder.iterdir()) == []
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--seed", "1"], "training.seed is 1, expected 0"),
        (["--rays", "88"], "training.rays is 88, expected 44"),
        (["--deformation", "audio"], "model.deformation is 'audio', expected 'none'"),
    ],
)
def test_a_variant_that_differs_in_more_than_its_switch_is_refused(
    tmp_path, data, variants, capsys, flags, words
):
    model = train(
        tmp_path / "other", data["dataset"], *STEPS, *FLAGS["without_deformation"], *flags
    )
    _, *others = variants["without_deformation"]
    (tmp_path / "out").mkdir()
    mixed = variants | {"without_deformation": [str(model), *others]}
    message = refused(tmp_path / "out", data, mixed, capsys)
    assert words in message and str(model) in message


def test_every_variant_is_asked_for(tmp_path, data, variants, capsys):
    some = {name: files for name, files in variants.items() if name != "full"}
    assert "full missing" in refused(tmp_path, data, some, capsys)
    assert "no such variant" in refused(tmp_path, data, some | {"fuller": ["a"] * 3}, capsys)
    short = variants | {"full": variants["full"][:2]}
    assert "--variant full: got 2 paths" in refused(tmp_path, data, short, capsys)


def test_metrics_that_are_not_ours_are_named(tmp_path, data, variants, capsys):
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps({"frames": 3}))
    model, _, rendering = variants["full"]
    (tmp_path / "out").mkdir()
    mixed = variants | {"full": [model, str(metrics), rendering]}
    assert str(metrics) in refused(tmp_path / "out", data, mixed, capsys)
