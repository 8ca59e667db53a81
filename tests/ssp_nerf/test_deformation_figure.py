"""Figure 3 on a small model: which frames, which numbers, which colours."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssp_nerf import deformation_figure
from ssp_nerf.bundle import load_bundle
from ssp_nerf.deformation_figure import PosedFrame, observations
from ssp_nerf.frame_renderer import ExactRenderer
from ssp_nerf.heat import heat_map
from ssp_nerf.parsing_map import HAIR, HEAD_CLASSES, NECK, TORSO
from ssp_nerf.schema import AUDIO_FEATURES
from tests.ssp_nerf import synthetic_clip as clip
from tests.ssp_nerf.small_training import train

CPU = torch.device("cpu")
FACTOR = 7  # 40 pixels high, at least 256 wanted


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    dataset = clip.write_dataset(folder / "dataset.h5")
    enough = ("--steps", "30", "--learning-rate", "0.01")
    return {
        "speech": clip.write_features(folder / "features.h5"),
        "model": train(folder, dataset, *enough),
        "still": train(folder / "still", dataset, *enough, "--deformation", "none"),
    }


def run(folder: Path, model: Path, speech: Path) -> tuple[dict, np.ndarray]:
    deformation_figure.main(
        [
            "--bundle", str(model), "--audio-features", str(speech), "--device", "cpu",
            "--picture", str(folder / "d.png"), "--json", str(folder / "d.json"),
        ]
    )  # fmt: skip
    return json.loads((folder / "d.json").read_text()), np.asarray(Image.open(folder / "d.png"))


@pytest.fixture(scope="module")
def made(tmp_path_factory, data) -> tuple[dict, np.ndarray]:
    return run(tmp_path_factory.mktemp("made"), data["model"], data["speech"])


def lengths(model: Path, speech: Path, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Displacement (H, W) in cm and parsing map of a frame, drawn here."""
    bundle = load_bundle(model, CPU)
    windows = torch.from_numpy(AUDIO_FEATURES.read(speech)[0]["windows"])
    drawn = ExactRenderer(bundle.model, bundle, windows).draw(frame, frame)
    return 10 * np.linalg.norm(drawn.displacement.numpy(), axis=-1), drawn.parsing.numpy()


def test_the_three_frames_lie_at_their_percentiles_of_pose(made):
    poses, vertices = clip.poses(), clip.vertices()

    def pixels(frame):  # a pinhole camera, spelled out for one vertex at a time
        seen = [poses[frame, :, :3].T @ (v - poses[frame, :, 3]) for v in vertices]
        return np.array([(clip.FOCAL * x / -z, clip.FOCAL * -y / -z) for x, y, z in seen])

    frames = range(1, 9)  # trained on, and after t = 0, where nothing is displaced
    distances = {f: np.hypot(*(pixels(f) - pixels(0)).T).mean() for f in frames}
    for found, percentile in zip(made[0]["frames"], (5, 50, 95), strict=True):
        wanted = np.percentile(list(distances.values()), percentile, method="lower")
        expected = min(frames, key=lambda f: abs(distances[f] - wanted))
        assert found["frame"] == expected
        assert found["pose_distance"] == pytest.approx(distances[expected], abs=1e-3)
        assert found["time"] == pytest.approx(expected / 11, abs=1e-4)


def test_the_numbers_are_those_of_the_frames_drawn_by_themselves(made, data):
    regions = {"head": HEAD_CLASSES, "hair": [HAIR], "torso": [NECK, TORSO]}
    for found in made[0]["frames"]:
        length, parsing = lengths(data["model"], data["speech"], found["frame"])
        assert length.max() > 0.01  # the model has learned to move something
        assert found["displacement_cm"]["person"] == pytest.approx(
            length[parsing > 0].mean(), abs=1e-4
        )
        for region, classes in regions.items():
            inside = np.isin(parsing, classes)
            mean = found["displacement_cm"][region]
            if inside.any():
                assert mean == pytest.approx(length[inside].mean(), abs=1e-4)
            else:
                assert mean is None


def test_the_heat_maps_share_one_scale(made, data):
    about, picture = made
    low, limit = about["colour_scale_cm"]
    top = 34 + FACTOR * clip.HEIGHT + 34  # under a caption, a rendering and another caption
    every = []
    for column, found in enumerate(about["frames"]):
        length, _ = lengths(data["model"], data["speech"], found["frame"])
        left = 8 + column * (FACTOR * clip.WIDTH + 8)
        shown = picture[top:, left:][: FACTOR * clip.HEIGHT, : FACTOR * clip.WIDTH]
        shown = shown[::FACTOR, ::FACTOR].astype(int)
        # Two routes round differently: a shade at most.
        assert np.abs(shown - heat_map(length, limit)).max() <= 8
        every.append(length)
    assert low == 0
    assert 0.5 * limit < np.percentile(every, 99) <= np.percentile(every, 99.5) <= 1.1 * limit


def test_without_deformation_nothing_moves(tmp_path, data):
    about, picture = run(tmp_path, data["still"], data["speech"])
    means = [list(frame["displacement_cm"].values()) for frame in about["frames"]]
    assert {mean for row in means for mean in row} == {0.0, None}
    assert about["observations"]["more with a larger pose"] is False
    assert picture.shape[1] == 8 + 3 * (FACTOR * clip.WIDTH + 8)


def test_the_speech_of_another_clip_is_refused(tmp_path, data, capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip, "FRAMES", clip.FRAMES - 2)
        other = clip.write_features(tmp_path / "other.h5")
    with pytest.raises(SystemExit) as stop:
        run(tmp_path, data["model"], other)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert f"{other}: 10 frames" in error and "the clip itself" in error
    assert not (tmp_path / "d.png").exists() and not (tmp_path / "d.json").exists()


def posed(head: float | None, torso: float | None, person: float | None) -> PosedFrame:
    means = {"head": head, "hair": None, "torso": torso, "person": person}
    return PosedFrame("any", 0, 0.5, 1.0, means)


@pytest.mark.parametrize(
    ("frames", "torso", "pose"),
    [
        ([posed(1, 2, 1), posed(1, 3, 2), posed(1, 4, 3)], True, True),
        ([posed(1, 2, 2), posed(3, 2, 1), posed(1, 2, 3)], False, False),
        ([posed(1, 2, 1), posed(None, 2, 2), posed(1, 2, None)], None, None),
    ],
)
def test_observations(frames, torso, pose):
    assert observations(frames) == {"mostly on the torso": torso, "more with a larger pose": pose}


def test_heat_grows_up_to_its_limit():
    heat = heat_map(np.linspace(0, 3, 301)[None], 2.0)[0].astype(int).sum(axis=1)
    assert np.all(np.diff(heat[:201:10]) > 0)
    assert np.all(heat[200:] == heat[200])
