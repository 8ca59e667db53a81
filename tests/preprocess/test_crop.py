"""The square around the head: where it lies, that it never moves, and what happens at the edges."""

from pathlib import Path

import numpy as np
import pytest

from preprocess.crop import FACE_FRACTION, crop_video
from preprocess.heads import Square, square_around
from preprocess.landmarks import detect_landmarks
from preprocess.landmarks_mediapipe import FaceMesh
from preprocess.media import Cut
from ssp_nerf.schema import FRAMES, LANDMARKS
from tests.clips import background, mouth_opening, talking_clip

CLIPS = Path(__file__).parents[2].parent / "shared" / "clips"
needs_clips = pytest.mark.skipif(not CLIPS.is_dir(), reason=f"real clips are not in {CLIPS}")


def cropped(clip: Path, size: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """Frames and source box of a clip."""
    frames = clip.with_name("frames.h5")
    crop_video(clip, clip.with_name("portrait.mp4"), frames, size=size)
    arrays, attributes = FRAMES.read(frames)
    return arrays["frames"], attributes["source_box"]


@pytest.mark.parametrize(
    ("size", "face_at", "clockwise"),
    [((640, 320), (0.75, 0.45), 0), ((320, 640), (0.4, 0.3), 0), ((320, 640), (0.4, 0.3), 90)],
    ids=["head on the right", "portrait orientation", "portrait by rotation metadata"],
)
def test_the_head_is_centred_wherever_it_is(
    tmp_path: Path, size: tuple[int, int], face_at: tuple[float, float], clockwise: int
) -> None:
    clip = talking_clip(
        tmp_path / "clip.mp4", 20, 30, size, face_at, face_fraction=0.25, clockwise=clockwise
    )
    frames, (x, y, width, height) = cropped(clip)
    assert width == height and x >= 0 and y >= 0 and x + width <= size[0] and y + height <= size[1]
    face = FaceMesh().points(frames[len(frames) // 2])
    assert face is not None
    low, high = face[:, :2].min(axis=0) / 160, face[:, :2].max(axis=0) / 160
    assert np.abs((low + high) / 2 - 0.5).max() < 0.1
    assert abs(high[1] - low[1] - FACE_FRACTION) < 0.08


def test_the_background_of_the_portrait_stands_still(tmp_path: Path) -> None:
    clip = talking_clip(tmp_path / "clip.mp4", 20, 25, (400, 300), (0.6, 0.5), 0.3)
    frames, (x, y, side, _) = cropped(clip)
    corner = np.s_[4:40, 4:24]
    assert frames[:, *corner].std(axis=0).mean() < 2
    expected = background(400, 300)[y : y + side, x : x + side].mean(axis=(0, 1))
    assert np.abs(frames[:, *corner].mean(axis=(0, 1, 2)) - expected).max() < 40


def test_a_small_face_in_a_wide_frame_is_found(tmp_path: Path) -> None:
    clip = talking_clip(tmp_path / "clip.mp4", 4, 25, (1280, 720), (0.2, 0.6), face_fraction=0.07)
    frames, (x, y, side, _) = cropped(clip, size=128)
    assert x < 0.2 * 1280 < x + side and y < 0.6 * 720 < y + side
    assert 0.05 * 720 / FACE_FRACTION < side < 0.1 * 720 / FACE_FRACTION
    assert len(frames) == 4


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    clip = talking_clip(tmp_path / "clip.mp4", 12)
    for run in ("a", "b"):
        crop_video(clip, tmp_path / run / "portrait.mp4", tmp_path / run / "frames.h5", size=128)
        detect_landmarks([tmp_path / run / "frames.h5"], tmp_path / run / "landmarks.h5")
    for name in ("portrait.mp4", "frames.h5", "landmarks.h5"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_mouth_and_voice_of_the_clip_go_together(tmp_path: Path) -> None:
    clip = talking_clip(tmp_path / "clip.mp4")
    cropped(clip, size=256)
    detect_landmarks([tmp_path / "frames.h5"], tmp_path / "landmarks.h5")
    arrays, _ = LANDMARKS.read(tmp_path / "landmarks.h5")
    opening = np.linalg.norm(arrays["points"][:, 13] - arrays["points"][:, 14], axis=-1)
    assert not arrays["interpolated"].any()
    assert np.corrcoef(opening, mouth_opening(np.arange(44) / 25))[0, 1] > 0.8


def boxes(centres: list[tuple[float, float]], side: float = 100) -> list[np.ndarray]:
    return [np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2]) for x, y in centres]


def test_square_of_a_still_face() -> None:
    square, notes = square_around(boxes([(500, 400)] * 5), 1000, 800, face_fraction=0.5)
    assert square == Square(400, 300, 200) and notes == []


def test_square_forgives_a_false_face() -> None:
    centres = [(500.0, 400.0)] * 40
    assert square_around(boxes(centres + [(50, 50)]), 1000, 800, 0.5)[0] == Square(400, 300, 200)


def test_square_covers_the_motion() -> None:
    centres = [(x, 400.0) for x in np.linspace(400, 600, 50)]
    square, _ = square_around(boxes(centres), 1000, 800, face_fraction=0.5)
    assert square.x <= 365 and square.x + square.side >= 635
    assert abs(square.x + square.side / 2 - 500) <= 2


def test_square_is_shifted_into_the_frame_and_says_so() -> None:
    square, notes = square_around(boxes([(40, 400)] * 5), 1000, 800, face_fraction=0.25)
    assert square == Square(0, 200, 400)
    assert len(notes) == 1 and "near an edge" in notes[0] and "160 pixels" in notes[0]


def test_square_is_never_larger_than_the_frame() -> None:
    square, _ = square_around(boxes([(150, 100)] * 5, 150), 301, 201, face_fraction=0.25)
    assert square.side == 200 and square.y == 0


def test_a_face_that_jumps_about_draws_a_warning() -> None:
    _, notes = square_around(boxes([(200, 400), (800, 400)] * 10), 1000, 800, 0.4)
    assert any("cuts or several people" in note for note in notes)


@needs_clips
@pytest.mark.parametrize("name", ["address.mp4", "anchor.mp4"])
def test_real_portraits_are_used_whole(tmp_path: Path, name: str) -> None:
    """Their faces already take more than the asked share, so the crop is the whole frame."""
    frames = tmp_path / "frames.h5"
    crop_video(CLIPS / name, tmp_path / "p.mp4", frames, size=450, cut=Cut(0.5, 0.4))
    arrays, attributes = FRAMES.read(frames)
    assert arrays["frames"].shape == (10, 450, 450, 3)
    assert attributes["source_box"].tolist() == [0, 0, 512, 512]
