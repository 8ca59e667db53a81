"""The background of a synthetic scene is known, so it must come back exactly."""

import weakref
from collections import Counter
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from preprocess import background
from preprocess.background import (
    clear_median,
    clearness,
    extract_background,
    main,
    masked_median,
    median_where_clear,
)
from ssp_nerf.frame_store import read_frame
from ssp_nerf.parsing_map import HAIR, TORSO
from tests.preprocess.stages import refused, write_frames, write_parsing

SIZE, COUNT = 64, 20


@pytest.fixture
def scene() -> np.ndarray:
    """(64, 64, 3) uint8, every pixel its own colour."""
    return np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


def person(frame: int) -> np.ndarray:
    """(64, 64) bool: a disc that walks from the left to the middle, and feet that stay."""
    y, x = np.mgrid[:SIZE, :SIZE]
    mask = (x - frame - 8) ** 2 + (y - 30) ** 2 <= 20**2
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


@pytest.mark.parametrize("margin", [0, 1, 2.5])
def test_what_the_person_ever_uncovers_is_recovered_exactly(
    tmp_path: Path, scene: np.ndarray, margin: float
) -> None:
    picture, seen = extract(tmp_path, scene, margin / SIZE)
    distances = [distance_transform_edt(~person(frame)) for frame in range(COUNT)]
    free = np.max(distances, axis=0) > margin
    assert free.any() and not free.all()
    np.testing.assert_array_equal(seen, np.where(free, 255, 0))
    np.testing.assert_array_equal(picture[free], scene[free])


def test_each_frame_is_read_once_and_let_go_and_blocks_of_rows_change_nothing(
    tmp_path: Path, scene: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = extract(tmp_path, scene, 0.02)
    reads: Counter[tuple[str, int]] = Counter()
    references: list[weakref.ref[np.ndarray]] = []
    most_alive = 0

    def counted(frames: h5py.Dataset, index: int) -> np.ndarray:
        nonlocal most_alive
        reads[frames.name, int(index)] += 1
        frame = read_frame(frames, index)
        references.append(weakref.ref(frame))
        most_alive = max(most_alive, sum(reference() is not None for reference in references))
        return frame

    monkeypatch.setattr(background, "read_frame", counted)
    monkeypatch.setattr(background, "BLOCK_BYTES", 1)
    by_row, _ = extract(tmp_path, scene, 0.02)
    np.testing.assert_array_equal(whole, by_row)
    assert len(reads) == 2 * COUNT and set(reads.values()) == {1}
    assert most_alive <= 2  # a picture and its map


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


def test_clearness_counts_pixels_beyond_the_margin() -> None:
    person = np.zeros((1, 300), bool)
    person[0, 0] = True
    distance = np.arange(300)
    np.testing.assert_array_equal(clearness(person, 0)[0], distance.clip(max=255))
    np.testing.assert_array_equal(clearness(person, 2.5)[0], (distance - 2).clip(0, 255))


def one_pixel(frames: list[tuple[int, int]], clear: int) -> tuple[int, bool]:
    """Median of (grey level, clearness) frames of one pixel, and whether it was seen."""
    grey, near = np.array(frames, np.uint8).T
    colours = np.repeat(grey[:, None, None, None], 3, axis=3)
    picture, seen = clear_median(colours, near[:, None, None], clear)
    return int(picture[0, 0, 0]), bool(seen[0, 0])


def test_frames_far_from_the_person_outvote_many_near_ones() -> None:
    soft_hair, wall = 90, 200
    assert one_pixel([(soft_hair, 2)] * 9 + [(wall, 10)], clear=10) == (wall, True)
    assert one_pixel([(soft_hair, 2)] * 9 + [(wall, 0)], clear=10) == (soft_hair, True)
    # Beyond "clear" a frame is as good as any: light that flickers is averaged out.
    flicker = [(wall + d, 10 + 10 * d) for d in (-1, 0, 1, 2, 3)]
    assert one_pixel(flicker, clear=10) == (wall + 1, True)


def test_a_hole_in_one_wrong_map_of_a_clip_uncovers_nothing() -> None:
    skin, wall = 160, 200
    covered = [(skin, 0)] * 199
    assert one_pixel([*covered, (skin, 9)], clear=22) == (0, False)
    assert one_pixel([*covered, (wall, 22)], clear=22) == (wall, True)
    assert one_pixel([*covered[:-2], *[(wall, 8)] * 3], clear=22) == (wall, True)


def test_a_frame_in_which_the_parser_found_nobody_has_no_say(tmp_path: Path) -> None:
    wall, coat = 200, 20
    images = np.full((3, SIZE, SIZE, 3), wall, np.uint8)
    labels = np.zeros((3, SIZE, SIZE), np.uint8)
    images[:, 20:], labels[:, 20:] = coat, TORSO
    labels[1] = 0
    frames = write_frames(tmp_path / "frames.h5", images)
    parsing = write_parsing(tmp_path / "parsing.h5", labels)
    with h5py.File(frames) as video, h5py.File(parsing) as maps:
        chosen = np.arange(3)
        picture, seen = median_where_clear(video["frames"], maps["parsing"], chosen, 0)
    np.testing.assert_array_equal(seen, labels[0] == 0)
    assert (picture[seen] == wall).all()


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
    assert "not one pixel is free" in capfd.readouterr().err
    assert not out.parent.exists()


def test_files_of_different_clips_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    frames = write_frames(tmp_path / "frames.h5", np.zeros((3, 8, 8, 3), np.uint8))
    parsing = write_parsing(tmp_path / "parsing.h5", np.zeros((4, 8, 8), np.uint8))
    arguments = ["--frames", frames, "--parsing", parsing, "--background", tmp_path / "b.png"]
    line = refused(main, [*arguments, "--seen", tmp_path / "s.png"], capfd)
    assert str(frames) in line and str(parsing) in line
