"""What training reads: split, sizes, labels, and inputs that do not belong together."""

from fractions import Fraction
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from preprocess.pack import main, pack_dataset, resize_image, resize_labels, share, split
from ssp_nerf.cameras import project
from ssp_nerf.errors import InputError
from ssp_nerf.schema import DATASET
from tests.preprocess.stages import (
    refused,
    write_audio_features,
    write_frames,
    write_parsing,
    write_track,
)

COUNT, HEIGHT, WIDTH, FOCAL = 23, 24, 36, 80.0


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (COUNT, HEIGHT, WIDTH, 3), np.uint8)
    labels = random.integers(0, 11, (COUNT, HEIGHT, WIDTH), np.uint8)
    background = tmp_path / "background.png"
    cv2.imwrite(str(background), random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    return {
        "frames": write_frames(tmp_path / "frames.h5", images),
        "parsing": write_parsing(tmp_path / "parsing.h5", labels),
        "background": background,
        "track": write_track(tmp_path / "track.h5", COUNT, WIDTH, HEIGHT, FOCAL),
        "audio_features": write_audio_features(tmp_path / "audio.h5", COUNT),
    }


def pack(inputs: dict[str, Path], folder: Path, size: int | None = None) -> tuple[dict, dict]:
    dataset = folder / "dataset.h5"
    pack_dataset(**inputs, dataset=dataset, size=size, held_out_fraction=Fraction(1, 11))
    return DATASET.read(dataset)


def test_the_dataset_holds_what_the_stages_made(inputs: dict[str, Path], tmp_path: Path) -> None:
    arrays, attributes = pack(inputs, tmp_path)
    assert attributes["focal"] == FOCAL
    assert (attributes["near"], attributes["far"]) == (5.0, 9.0)
    assert attributes["audio_extractor"] == "test"
    np.testing.assert_array_equal(arrays["c2w"][:, 0, 3], np.arange(COUNT))
    np.testing.assert_array_equal(arrays["audio"][:, 0, 0], np.arange(COUNT))
    written = cv2.cvtColor(cv2.imread(str(inputs["background"])), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(arrays["background"], written)
    np.testing.assert_allclose(arrays["time"], np.arange(COUNT) / (COUNT - 1), rtol=1e-6)


def test_frames_of_the_stored_size_are_copied_as_they_are_packed(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    pack(inputs, tmp_path)
    with h5py.File(tmp_path / "dataset.h5") as dataset:
        for name in ("frames", "parsing"):
            with h5py.File(inputs[name]) as source:
                np.testing.assert_array_equal(dataset[name][()], source[name][()])
                for index in range(COUNT):
                    corner = (index, *[0] * (source[name].ndim - 1))
                    packed, copy = (f[name].id.read_direct_chunk(corner) for f in (source, dataset))
                    assert packed == copy


def test_focal_scales_with_the_size_so_that_points_stay_in_place(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    arrays, attributes = pack(inputs, tmp_path, size=HEIGHT // 2)
    assert arrays["frames"].shape == (COUNT, HEIGHT // 2, WIDTH // 2, 3)
    assert arrays["parsing"].shape == (COUNT, HEIGHT // 2, WIDTH // 2)
    assert arrays["background"].shape == (HEIGHT // 2, WIDTH // 2, 3)
    points = np.random.default_rng(1).normal(0, 1, (5, 3)) - (0, 0, 8)
    c2w = np.eye(3, 4)
    large = project(points, c2w, FOCAL, WIDTH, HEIGHT)
    small = project(points, c2w, attributes["focal"], WIDTH // 2, HEIGHT // 2)
    np.testing.assert_allclose(small, large / 2)


@pytest.mark.parametrize(("count", "trained"), [(11, 10), (12, 10), (200, 181), (1779, 1617)])
def test_the_first_ten_elevenths_train(count: int, trained: int) -> None:
    for text in ("1/11", "0.0909090909", "0.09090909091"):
        held_out = split(count, share(text))
        assert (~held_out).sum() == trained == count * 10 // 11
        assert not held_out[:trained].any() and held_out[trained:].all()


@pytest.mark.parametrize("fraction", ["0", "1", "-0.2", "0.99"])
def test_a_split_that_leaves_one_side_empty_is_refused(fraction: str) -> None:
    with pytest.raises(InputError, match=r"pack\.held_out_fraction"):
        split(20, share(fraction))


def test_labels_are_never_blended() -> None:
    # Classes 0 and 10 side by side: their mean is no class that is there.
    labels = np.zeros((9, 9), np.uint8)
    labels[:, 4:] = 10
    for size in (3, 5, 7, 20):
        assert set(np.unique(resize_labels(labels, size, size))) == {0, 10}


def test_a_smaller_parsing_map_takes_the_majority() -> None:
    labels = np.random.default_rng(0).choice([1, 5, 7], (12, 12), p=[0.6, 0.3, 0.1])
    small = resize_labels(labels.astype(np.uint8), 3, 3)
    blocks = labels.reshape(3, 4, 3, 4).swapaxes(1, 2).reshape(3, 3, 16)
    for row, column in np.ndindex(3, 3):
        counts = np.bincount(blocks[row, column], minlength=11)
        assert counts[small[row, column]] == counts.max()


def test_a_smaller_image_is_the_mean_over_its_area() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    small = resize_image(image, 6, 4)
    mean = image.reshape(4, 2, 6, 2, 3).mean((1, 3))
    assert np.abs(small - mean).max() <= 0.5


def test_mismatched_inputs_are_named(
    inputs: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    picture = other / "background.png"
    cv2.imwrite(str(picture), np.zeros((HEIGHT, WIDTH + 1, 3), np.uint8))
    labels = np.zeros((COUNT, HEIGHT, WIDTH), np.uint8)
    wrong = {
        "parsing": [
            write_parsing(other / "short.h5", labels[1:]),
            write_parsing(other / "low.h5", labels[:, 1:]),
        ],
        "background": [picture, tmp_path / "absent.png"],
        "track": [
            write_track(other / "track_short.h5", COUNT - 1, WIDTH, HEIGHT, FOCAL),
            write_track(other / "track_large.h5", COUNT, 2 * WIDTH, 2 * HEIGHT, FOCAL),
        ],
        "audio_features": [write_audio_features(other / "audio.h5", COUNT + 2)],
    }
    dataset = tmp_path / "dataset.h5"
    for name, paths in wrong.items():
        for path in paths:
            arguments: list = ["--dataset", dataset]
            for key, value in {**inputs, name: path}.items():
                arguments += [f"--{key.replace('_', '-')}", value]
            line = refused(main, arguments, capfd)
            assert str(path) in line
            assert str(inputs["frames"]) in line or "absent.png" in line
            assert not dataset.exists()
            assert not list(tmp_path.glob(".dataset*"))
