"""The background of a synthetic scene is known, so it must come back exactly."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from preprocess.background import extract_background, fill_unseen, main, masked_median
from ssp_nerf.parsing_map import HAIR, TORSO
from tests.preprocess.stages import refused, write_frames, write_parsing

SIZE, COUNT = 64, 20


@pytest.fixture
def scene() -> np.ndarray:
    """(64, 64, 3) uint8, every pixel its own colour."""
    return np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


def person(frame: int) -> np.ndarray:
    """(64, 64) bool: a block that walks from the left to the middle, and feet that stay."""
    mask = np.zeros((SIZE, SIZE), bool)
    mask[10:50, frame : frame + 12] = True
    mask[56:, 20:40] = True
    return mask


def write_clip(folder: Path, scene: np.ndarray) -> tuple[Path, Path]:
    images, labels = [], []
    for frame in range(COUNT):
        mask = person(frame)
        images.append(np.where(mask[..., None], np.uint8(7 * frame), scene))
        labels.append(np.where(mask, TORSO if frame % 2 else HAIR, 0).astype(np.uint8))
    return (
        write_frames(folder / "frames.h5", np.stack(images)),
        write_parsing(folder / "parsing.h5", np.stack(labels)),
    )


def extract(folder: Path, scene: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray]:
    frames, parsing = write_clip(folder, scene)
    picture, seen = folder / "background.png", folder / "seen.png"
    extract_background(frames, parsing, picture, seen, samples=100, margin=margin)
    rgb = cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB)
    return rgb, cv2.imread(str(seen), cv2.IMREAD_GRAYSCALE)


def test_what_the_person_ever_uncovers_is_recovered_exactly(
    tmp_path: Path, scene: np.ndarray
) -> None:
    picture, seen = extract(tmp_path, scene, margin=0)
    always = np.logical_and.reduce([person(frame) for frame in range(COUNT)])
    assert always.any()
    np.testing.assert_array_equal(seen, np.where(always, 0, 255))
    np.testing.assert_array_equal(picture[~always], scene[~always])


def test_a_margin_widens_what_counts_as_person(tmp_path: Path, scene: np.ndarray) -> None:
    margin = 2 / SIZE
    picture, seen = extract(tmp_path, scene, margin)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    wide = [cv2.dilate(person(frame).astype(np.uint8), disc) > 0 for frame in range(COUNT)]
    always = np.logical_and.reduce(wide)
    np.testing.assert_array_equal(seen == 0, always)
    np.testing.assert_array_equal(picture[~always], scene[~always])


def test_blocks_of_rows_change_nothing(
    tmp_path: Path, scene: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = extract(tmp_path, scene, 0.02)
    monkeypatch.setattr("preprocess.background.ROW_BLOCK_BYTES", 1)
    by_row, _ = extract(tmp_path, scene, 0.02)
    np.testing.assert_array_equal(whole, by_row)


def test_the_median_ignores_masked_values() -> None:
    random = np.random.default_rng(1)
    values = random.integers(0, 256, (9, 5, 6, 3), np.uint8)
    mask = random.random((9, 5, 6)) < 0.6
    mask[:, 0, 0] = False
    median = masked_median(values, mask)
    for row, column in np.ndindex(5, 6):
        kept = np.sort(values[mask[:, row, column], row, column], axis=0)
        expected = kept[(len(kept) - 1) // 2] if len(kept) else np.zeros(3)
        np.testing.assert_array_equal(median[row, column], expected)


def test_a_plain_wall_is_filled_with_its_own_colour() -> None:
    picture = np.full((40, 40, 3), (10, 120, 240), np.uint8)
    seen = np.ones((40, 40), bool)
    seen[8:40, 10:30] = False
    holed = np.where(seen[..., None], picture, np.uint8(0))
    np.testing.assert_array_equal(fill_unseen(holed, seen), picture)


def test_the_fill_is_smooth_where_it_is_far_from_anything_seen() -> None:
    random = np.random.default_rng(2)
    picture = random.integers(0, 256, (96, 96, 3), np.uint8)
    seen = np.ones((96, 96), bool)
    seen[16:80, 16:80] = False
    filled = fill_unseen(picture, seen).astype(float)
    np.testing.assert_array_equal(filled[seen], picture[seen])
    middle = np.abs(np.diff(filled[40:56, 40:56], axis=1)).mean()
    assert middle < np.abs(np.diff(filled[seen[:, 0]][:8], axis=1)).mean() / 10


def test_a_person_who_covers_everything_is_said_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    frames = write_frames(tmp_path / "frames.h5", np.zeros((3, 8, 8, 3), np.uint8))
    parsing = write_parsing(tmp_path / "parsing.h5", np.full((3, 8, 8), TORSO, np.uint8))
    out = tmp_path / "out" / "background.png"
    arguments = ["--frames", frames, "--parsing", parsing, "--background", out]
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in [*arguments, "--seen", tmp_path / "out" / "seen.png"]])
    assert stop.value.code == 2
    assert "not one pixel is ever free" in capfd.readouterr().err
    assert not out.parent.exists()


def test_files_of_different_clips_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    frames = write_frames(tmp_path / "frames.h5", np.zeros((3, 8, 8, 3), np.uint8))
    parsing = write_parsing(tmp_path / "parsing.h5", np.zeros((4, 8, 8), np.uint8))
    arguments = ["--frames", frames, "--parsing", parsing, "--background", tmp_path / "b.png"]
    line = refused(main, [*arguments, "--seen", tmp_path / "s.png"], capfd)
    assert str(frames) in line and str(parsing) in line
