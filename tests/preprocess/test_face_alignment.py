"""face-alignment's networks, with weights in their real format that find what is known."""

import subprocess
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from preprocess import landmarks_face_alignment as backend
from preprocess.face_topology import points_68
from preprocess.landmarks import main
from preprocess.landmarks_face_alignment import FaceAlignmentDetector, moved_box, peaks
from ssp_nerf.errors import InputError
from ssp_nerf.landmarks import mouth_points
from ssp_nerf.schema import LANDMARKS
from tests.preprocess import colour_networks as known
from tests.preprocess.stages import refused, write_frames

SIZE = 256
PLACES = [complex(120 + 5 * i, 130 - 3 * i) for i in range(5)]
RADII = [42.0 + 1.5 * i for i in range(5)]
TURNS = [0.04 * i for i in range(5)]


@pytest.fixture(scope="module")
def weights() -> Iterator[tuple[Path, str, str]]:
    """A folder with both files, 190 MB, and their names, which hold their own checksums."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        s3fd = known.write(folder, "s3fd-{}.pth", known.disc_finder())
        fan = known.write(folder, "2DFAN4-{}.pth.tar", known.spot_finder())
        yield folder, s3fd, fan


@pytest.fixture
def brought(weights: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder, when its files are the ones that are asked for."""
    folder, s3fd, fan = weights
    monkeypatch.setattr(backend, "S3FD", s3fd)
    monkeypatch.setattr(backend, "FAN", fan)
    return folder


def moving_face() -> np.ndarray:
    return np.stack([known.picture(SIZE, *face) for face in zip(PLACES, RADII, TURNS, strict=True)])


def run(folder: Path, weights: Path, images: np.ndarray, *more: str) -> list[str]:
    frames = write_frames(folder / "frames.h5", images)
    paths = ["--frames", str(frames), "--landmarks", str(folder / "landmarks.h5")]
    choice = ["--detector", "face_alignment", "--weights", str(weights), "--device", "cpu"]
    return [*paths, *choice, *more]


def test_the_command_finds_the_points_of_a_moving_face(brought: Path, tmp_path: Path) -> None:
    main(run(tmp_path, brought, moving_face()))
    arrays, attributes = LANDMARKS.read(tmp_path / "landmarks.h5")
    truth = np.stack([known.face_points(*face) for face in zip(PLACES, RADII, TURNS, strict=True)])
    assert np.abs(arrays["points"][..., :2] - truth).max() < 0.1  # pixels
    assert not arrays["points"][..., 2].any() and not arrays["interpolated"].any()
    assert (arrays["confidence"] > 0.8).all() and (arrays["confidence"] <= 1).all()
    assert attributes["detector"] == "face_alignment"
    # The 68 points are themselves, and their mouth is what LMD reads.
    np.testing.assert_array_equal(points_68(arrays["points"]), arrays["points"])
    np.testing.assert_allclose(mouth_points(arrays["points"])[..., :2], truth[:, 48:], atol=0.1)


def test_a_frame_without_a_face_is_filled_in_and_marked(brought: Path, tmp_path: Path) -> None:
    images = moving_face()[:3]
    images[1] = known.GROUND
    main(run(tmp_path, brought, images))
    arrays, _ = LANDMARKS.read(tmp_path / "landmarks.h5")
    assert arrays["interpolated"].tolist() == [False, True, False]
    assert arrays["confidence"][1] == 0
    np.testing.assert_allclose(arrays["points"][1], arrays["points"][[0, 2]].mean(0), atol=1e-3)


def test_the_box_moves_with_the_points_as_if_it_were_found_anew(brought: Path) -> None:
    detector = FaceAlignmentDetector(brought, "cpu")
    first = known.picture(SIZE, 130 + 120j, 45.0)
    box = detector.find_box(first)
    assert box is not None
    beside = detector.points(first, box)
    assert beside is not None
    moved = known.picture(SIZE, 150 + 130j, 54.0)  # 1.2 times as large
    face = detector.points(moved, box + [20, 10, 20, 10])
    assert face is not None
    found, centre = moved_box(box, beside, face), 130 + 120j
    corners = [complex(*box[:2]), complex(*box[2:])]
    expected = [150 + 130j + 1.2 * (corner - centre) for corner in corners]
    np.testing.assert_allclose(found, [x for c in expected for x in (c.real, c.imag)], atol=0.2)


def test_points_are_the_librarys_before_it_rounds_them_down(
    weights: tuple[Path, str, str], brought: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two routes: face_alignment.FaceAlignment with the same files, where it looks for its own."""
    from face_alignment import FaceAlignment, LandmarksType, utils

    for name in ("transform_np", "_get_preds_fromhm"):  # numba takes long to compile them
        monkeypatch.setattr(utils, name, getattr(utils, name).py_func)
    folder, s3fd, fan = weights
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "s3fd-619a316812.pth").symlink_to(folder / s3fd)
    (checkpoints / "2DFAN4-11f355bf06.pth.tar").symlink_to(folder / fan)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    library = FaceAlignment(LandmarksType.TWO_D, device="cpu", flip_input=False, compile=False)
    image = known.picture(SIZE, 131.3 + 118.6j, 47.0, 0.1)
    detector = FaceAlignmentDetector(folder, "cpu")
    (box, *_) = library.face_detector.detect_from_image(image)
    np.testing.assert_allclose(detector.find_box(image), box[:4], rtol=1e-6)
    (theirs,) = library.get_landmarks_from_image(image, [box])
    ours = detector.points(image, box[:4])
    assert ours is not None
    cell = 200 / 195 * (box[2] - box[0] + box[3] - box[1]) / 64  # of the heat map, in pixels
    # They take the middle of a quarter of a cell, then the whole pixel below it.
    assert np.abs(ours.points[:, :2] - 0.5 - theirs).max() < 0.5 + cell / 4


def test_peaks_of_gaussians_are_exact() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(2, 62, (68, 2))
    y, x = np.mgrid[:64, :64] + 0.5
    heat = np.exp(
        -((x - places[:, :1, None]) ** 2 + (y - places[:, 1:, None]) ** 2) / (2 * 1.3**2)
    ).astype(np.float32)
    found, heights = peaks(heat)
    np.testing.assert_allclose(found, places, atol=1e-4)
    assert (heights > 0.85).all() and (heights <= 1).all()


@pytest.mark.parametrize("name", ["s3fd-619a316812.pth", "2DFAN4-11f355bf06.pth.tar"])
def test_a_missing_file_is_one_line(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none is fetched: an attempt to would not end in this line."""
    folder = tmp_path / "weights"
    folder.mkdir()
    if name.startswith("2DFAN4"):
        monkeypatch.setattr(
            backend, "S3FD", known.write(folder, "s3fd-{}.pth", torch.nn.Linear(1, 1))
        )
    line = refused(main, run(tmp_path, folder, moving_face()[:1]), capfd)
    checksum = name.split("-")[1].split(".")[0]
    for word in (name, f"sha256 {checksum}", str(folder), "landmarks.weights", "mediapipe"):
        assert word in line
    assert "landmarks.detector" in line and "found none" in line
    assert not (tmp_path / "landmarks.h5").exists()


def test_a_file_with_another_checksum_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / backend.S3FD).write_bytes(b"half a download")
    line = refused(main, run(tmp_path, tmp_path, moving_face()[:1]), capfd)
    assert f"{backend.S3FD}: not the weight file that is expected, its sha256 is " in line


@pytest.mark.parametrize("content", ["other network", "code", "garbage"])
def test_a_file_with_something_else_is_refused(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the checksum in the name is the file's own; and nothing in it is run."""
    path = tmp_path / "file"
    if content == "other network":
        torch.save(OrderedDict(weight=torch.zeros(3)), path)
    elif content == "code":
        torch.save({"weight": Reporter()}, path)
    else:
        path.write_bytes(b"\x80\x02 no weights")
    for constant, name in (("S3FD", "s3fd-{}.pth"), ("FAN", "2DFAN4-{}.pth.tar")):
        named = name.format(known.sha256(path)[:10])
        (tmp_path / named).write_bytes(path.read_bytes())
        monkeypatch.setattr(backend, constant, named)
    with pytest.raises(InputError, match="s3fd-.*: expected weights of face-alignment's networks"):
        FaceAlignmentDetector(tmp_path, "cpu")
    assert not Reporter.ran


class Reporter:
    """Notices when it is unpickled."""

    ran = False

    def __setstate__(self, state: object) -> None:
        Reporter.ran = True

    def __getstate__(self) -> dict:
        return {"any": 1}


def test_the_library_imports_without_torchvision() -> None:
    hide = "import sys; sys.modules['torchvision'] = None; import face_alignment.detection.sfd"
    subprocess.run([sys.executable, "-c", hide], check=True)
