"""Frames packed outside of HDF5 are HDF5's own, whoever packs and whoever unpacks them."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from ssp_nerf.frame_store import PackedFrames, copy_frame, read_frame, write_frame
from ssp_nerf.schema import FRAMES

COUNT, HEIGHT, WIDTH = 6, 40, 30


@pytest.fixture
def images() -> np.ndarray:
    """(6, 40, 30, 3) uint8: noise, which gzip cannot make smaller, among pictures that it can."""
    random = np.random.default_rng(0)
    smooth = np.linspace(0, 255, WIDTH)[:, None] + np.zeros((COUNT, HEIGHT, 1, 3))
    pictures = smooth.round().astype(np.uint8)
    pictures[::2] = random.integers(0, 256, pictures[::2].shape)
    return pictures


@pytest.fixture(params=["isal", "zlib"])
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the package isal, and on a machine that lacks it."""
    if request.param == "zlib":
        monkeypatch.setitem(sys.modules, "isal", None)
    return request.param


def write(path: Path, images: np.ndarray, order: list[int], by_hdf5: bool = False) -> Path:
    sizes = {"N": COUNT, "H": HEIGHT, "W": WIDTH}
    with FRAMES.create(path, sizes, {"source_box": [0, 0, 1, 1]}, {}) as file:
        for index in order:
            if by_hdf5:
                file["frames"][index] = images[index]
            else:
                write_frame(file["frames"], index, images[index])
    return path


@pytest.mark.parametrize("by_hdf5", [True, False])
def test_what_one_writes_the_other_reads(
    tmp_path: Path, images: np.ndarray, codec: str, by_hdf5: bool
) -> None:
    path = write(tmp_path / "frames.h5", images, list(range(COUNT)), by_hdf5)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["frames"][()], images)
        for index, image in enumerate(images):
            np.testing.assert_array_equal(read_frame(file["frames"], index), image)
        frames = PackedFrames(file["frames"])
        assert len(frames) == COUNT and frames.shape == images.shape
        np.testing.assert_array_equal(list(frames), images)


def test_the_same_frames_give_the_same_bytes(
    tmp_path: Path, images: np.ndarray, codec: str
) -> None:
    files = [write(tmp_path / f"{i}.h5", images, list(range(COUNT))) for i in range(2)]
    assert files[0].read_bytes() == files[1].read_bytes()
    # What was packed before leaves no trace in what is packed after.
    back = write(tmp_path / "back.h5", images, list(range(COUNT))[::-1])
    with h5py.File(files[0]) as a, h5py.File(back) as b:
        for index in range(COUNT):
            corner = (index, 0, 0, 0)
            packed = [file["frames"].id.read_direct_chunk(corner) for file in (a, b)]
            assert packed[0] == packed[1]


@pytest.mark.parametrize("by_hdf5", [True, False])
def test_a_copy_is_packed_as_it_was(tmp_path: Path, images: np.ndarray, by_hdf5: bool) -> None:
    path = write(tmp_path / "frames.h5", images, list(range(COUNT)), by_hdf5)
    copy = write(tmp_path / "copy.h5", images, [])
    with h5py.File(path) as source, h5py.File(copy, "r+") as target:
        for index in range(COUNT):
            copy_frame(source["frames"], target["frames"], index)
            corner = (index, 0, 0, 0)
            packed = [file["frames"].id.read_direct_chunk(corner) for file in (source, target)]
            assert packed[0] == packed[1]
        np.testing.assert_array_equal(target["frames"][()], images)


def test_a_frame_never_written_is_black(tmp_path: Path, images: np.ndarray) -> None:
    for name, written in (("none.h5", []), ("two.h5", [1, 3])):
        path = write(tmp_path / name, images, written)
        copy = write(tmp_path / "copy.h5", images, [])
        with h5py.File(path) as source, h5py.File(copy, "r+") as target:
            for index in range(COUNT):
                expected = images[index] if index in written else np.zeros_like(images[index])
                copy_frame(source["frames"], target["frames"], index)
                for frames in (source["frames"], target["frames"]):
                    np.testing.assert_array_equal(read_frame(frames, index), expected)
