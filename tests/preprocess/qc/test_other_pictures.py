"""Parsing, background, crop: what is drawn over what, and what is left alone."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from preprocess.crop import crop_video
from preprocess.media import Cut, picture_at_25_fps, probe
from preprocess.qc import background, crop, parsing
from preprocess.qc.background import tinted, unlike
from preprocess.qc.crop import BRIGHTNESS, source_frame, with_square
from preprocess.qc.drawing import MARK, View
from preprocess.qc.parsing import changes, overlay
from ssp_nerf.errors import InputError
from ssp_nerf.parsing_map import BACKGROUND, HAIR, PALETTE, TORSO
from ssp_nerf.schema import FRAMES, PARSING
from ssp_nerf.video import read_frames
from tests import clips
from tests.preprocess.qc.known import decode
from tests.preprocess.stages import write_frames, write_parsing

SIZE = 48


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


def blob(frame: int = 0) -> np.ndarray:
    """(48, 48) classes: torso below, hair above that moves by a pixel a frame."""
    labels = np.zeros((SIZE, SIZE), np.uint8)
    labels[30:, 8:40] = TORSO
    labels[6:30, 10 + frame : 30 + frame] = HAIR
    return labels


def test_the_overlay_leaves_the_background_as_it_is(image) -> None:
    labels = blob()
    drawn = overlay(image, labels)
    np.testing.assert_array_equal(drawn[labels == BACKGROUND], image[labels == BACKGROUND])
    inside = drawn[12:20, 14:26].astype(float)
    np.testing.assert_allclose(
        inside, (image[12:20, 14:26] + PALETTE[HAIR].astype(float)) / 2, atol=1
    )


def test_classes_are_outlined_where_they_meet(image) -> None:
    drawn = overlay(image, blob())
    assert (drawn[29, 12:28] == PALETTE[HAIR]).all()  # above torso
    assert (drawn[15, 29] == PALETTE[HAIR]).all()  # beside background


def test_flicker_is_the_share_of_pixels_that_changed(tmp_path) -> None:
    labels = np.stack([blob(i) for i in (0, 0, 1, 1, 3)])
    path = write_parsing(tmp_path / "parsing.h5", labels)
    with PARSING.open(path) as file:
        found = changes(file["parsing"])
    np.testing.assert_allclose(found, 100 * np.array([0, 0, 48, 0, 96]) / SIZE**2)


def test_blocks_make_no_difference_to_the_flicker(tmp_path, monkeypatch) -> None:
    labels = np.random.default_rng(0).integers(0, 11, (23, 8, 8), np.uint8)
    path = write_parsing(tmp_path / "parsing.h5", labels)
    with PARSING.open(path) as file:
        whole = changes(file["parsing"])
        monkeypatch.setattr("preprocess.qc.clip.BLOCK", 5)
        np.testing.assert_array_equal(changes(file["parsing"]), whole)


def test_the_parsing_video_shows_frame_and_overlay(tmp_path) -> None:
    images = np.full((6, SIZE, SIZE, 3), 120, np.uint8)
    frames = write_frames(tmp_path / "frames.h5", images)
    maps = write_parsing(tmp_path / "parsing.h5", np.stack([blob(i) for i in range(6)]))
    video = tmp_path / "parsing.mp4"
    parsing.main(["--frames", str(frames), "--parsing", str(maps), "--video", str(video)])
    pictures = decode(video)
    assert len(pictures) == 6
    size = parsing.PANEL_HEIGHT
    for frame, picture in enumerate(pictures):
        left = picture[34 : 34 + size, 8 : 8 + size]
        assert np.abs(left.astype(int) - 120).mean() < 3
        right = picture[34 : 34 + size, 16 + size : 16 + 2 * size]
        middle = right[round(size * 18 / SIZE), round(size * (20 + frame) / SIZE)]
        np.testing.assert_allclose(middle, (120 + PALETTE[HAIR].astype(int)) / 2, atol=12)
    other = write_parsing(tmp_path / "other.h5", np.zeros((6, 9, 9), np.uint8))
    with pytest.raises(InputError, match="maps of 9x9 pixels"):
        parsing.parsing_video(frames, other, video)


def test_only_what_was_never_seen_is_tinted(image) -> None:
    seen = np.ones((SIZE, SIZE), bool)
    seen[10:30, 10:30] = False
    drawn = tinted(image, seen)
    np.testing.assert_array_equal(drawn[seen], image[seen])
    assert (drawn[29, 15] == MARK).all()
    inner = drawn[15:25, 15:25].astype(int)
    expected = image[15:25, 15:25] * (1 - background.OPACITY) + background.OPACITY * np.array(MARK)
    np.testing.assert_allclose(inner, expected, atol=1)


def test_a_background_is_held_against_the_frames_where_it_is_free(tmp_path) -> None:
    scene = np.full((SIZE, SIZE, 3), 100, np.uint8)
    images = np.repeat(scene[None], 4, axis=0)
    images[:, 20:30, 12:28] = 250  # under the hair: does not count
    images[2:, 40, 2] = 130  # beside the person, in half of the frames
    frames = write_frames(tmp_path / "frames.h5", images)
    maps = write_parsing(tmp_path / "parsing.h5", np.stack([blob()] * 4))
    with FRAMES.open(frames) as a, PARSING.open(maps) as b:
        difference, counted = unlike(a["frames"], b["parsing"], scene, range(4))
    np.testing.assert_array_equal(counted, blob() == BACKGROUND)
    expected = np.zeros((SIZE, SIZE))
    expected[40, 2] = 15
    np.testing.assert_allclose(difference, expected)


def test_the_background_picture_is_made_and_wrong_files_are_refused(tmp_path, image) -> None:
    frames = write_frames(tmp_path / "frames.h5", np.stack([image] * 3))
    maps = write_parsing(tmp_path / "parsing.h5", np.stack([blob(), blob(1), blob(2)]))
    scene, seen, out = (tmp_path / name for name in ("b.png", "s.png", "qc/background.png"))
    Image.fromarray(image).save(scene)
    Image.fromarray(np.where(blob() > 0, 0, 255).astype(np.uint8)).save(seen)
    flags = ["--frames", frames, "--parsing", maps, "--background", scene, "--seen", seen]
    background.main([str(flag) for flag in [*flags, "--picture", out]])
    picture = np.asarray(Image.open(out))
    np.testing.assert_array_equal(picture[34 : 34 + SIZE, 8 : 8 + SIZE], image)
    made = out.read_bytes()
    background.main([str(flag) for flag in [*flags, "--picture", out]])
    assert out.read_bytes() == made
    Image.fromarray(image[:9]).save(scene)
    with pytest.raises(InputError, match="48x9 pixels, but the frames have 48x48"):
        background.background_picture(frames, maps, scene, seen, out)
    scene.write_text("no picture")
    with pytest.raises(InputError, match="is no picture"):
        background.background_picture(frames, maps, scene, seen, out)


@pytest.mark.parametrize(("fps", "start"), [(25.0, 0.0), (30.0, 0.32), (24.0, 0.0)])
def test_a_source_frame_is_the_one_that_the_whole_video_gives(tmp_path, fps, start) -> None:
    video = clips.talking_clip(tmp_path / "clip.mp4", round(2.4 * fps), fps, (96, 72), sound=False)
    media, cut = probe(video), Cut(start)
    whole = list(read_frames(picture_at_25_fps(media, cut), 96, 72, "clip"))
    for index in (0, 7, 30, len(whole) - 1):
        np.testing.assert_array_equal(source_frame(media, cut, index), whole[index])


def test_what_is_cut_away_is_dark_and_what_stays_is_not() -> None:
    image = np.full((100, 200, 3), 200, np.uint8)
    drawn = with_square(image, [60, 10, 80, 80], View(0, 0, 1.0, 200, 100))
    assert (drawn[50, 100] == 200).all()
    assert (drawn[50, 20] == int(200 * BRIGHTNESS)).all()
    assert (drawn[10, 80] == crop.EDGE).all()


def test_the_crop_picture_shows_the_source_and_the_portrait(tmp_path: Path) -> None:
    video = clips.talking_clip(tmp_path / "clip.mp4", 12, size=(320, 240), sound=False)
    frames, out = tmp_path / "frames.h5", tmp_path / "qc" / "crop.png"
    crop_video(video, tmp_path / "portrait.mp4", frames, size=128)
    crop.main(["--video", str(video), "--frames", str(frames), "--picture", str(out)])
    picture = np.asarray(Image.open(out))
    with FRAMES.open(frames) as file:
        x, y, side, _ = (int(v) for v in file.attrs["source_box"])
        first = file["frames"][0]
    assert side < 320
    # The lit square of the first source frame is the first portrait.
    scale = 360 / 240
    lit = picture[34 : 34 + 360, 8 : 8 + 480][
        round(y * scale) : round((y + side) * scale), round(x * scale) : round((x + side) * scale)
    ]
    small = cv2.resize(lit, (128, 128), interpolation=cv2.INTER_AREA)[6:-6, 6:-6]
    assert np.abs(small.astype(int) - first[6:-6, 6:-6]).mean() < 4

    other = clips.talking_clip(tmp_path / "other.mp4", 12, size=(96, 96), sound=False)
    with pytest.raises(InputError, match="which is beyond"):
        crop.crop_picture(other, frames, out, Cut())
    short = clips.talking_clip(tmp_path / "short.mp4", 2, size=(320, 240), sound=False)
    with pytest.raises(InputError, match="no frame at"):
        crop.crop_picture(short, frames, out, Cut(0.4))
