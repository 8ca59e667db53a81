"""Picture and sound on one clock, whatever the file: flash and click at a known time."""

from pathlib import Path

import av
import ffmpeg
import numpy as np
import pytest

from preprocess.crop import crop_video
from preprocess.media import WHOLE, Cut, picture_at_25_fps, probe
from preprocess.speech import extract_speech
from ssp_nerf.errors import InputError
from ssp_nerf.schema import FPS, FRAMES
from ssp_nerf.speech import SAMPLE_RATE, read_speech
from ssp_nerf.video import read_frames, run_ffmpeg
from tests.clips import click, speech, talking_clip, write_wav

SIZE = (192, 160)
ONE_FRAME = 1 / FPS
TWENTY_MS = 0.02


def flash_in_frames(frames: np.ndarray) -> float:
    """Seconds at which the picture turns white; frames (N, H, W, 3) at 25 fps."""
    bright = frames.reshape(len(frames), -1).mean(axis=1) > 240
    return float(np.argmax(bright)) / FPS


def flash_in_source(path: Path, cut: Cut = WHOLE) -> float:
    media = probe(path)
    assert media.picture is not None
    stream = picture_at_25_fps(media, cut)
    return flash_in_frames(
        np.stack(list(read_frames(stream, media.picture.width, media.picture.height, "test")))
    )


def click_in_wav(path: Path) -> float:
    return float(np.argmax(np.abs(read_speech(path)) > 0.2)) / SAMPLE_RATE


def delayed(source: Path, target: Path, stream: str, seconds: float) -> Path:
    """Copy of a file in which one of the streams ("picture" or "sound") begins later."""
    late, on_time = ffmpeg.input(str(source), itsoffset=seconds), ffmpeg.input(str(source))
    picture = (late if stream == "picture" else on_time).video
    sound = (late if stream == "sound" else on_time).audio
    run_ffmpeg(ffmpeg.output(picture, sound, str(target), c="copy"), "test")
    return target


@pytest.mark.parametrize("fps", [24.0, 30.0, 50.0, 30000 / 1001])
def test_any_frame_rate_becomes_25_with_the_sound_in_step(tmp_path: Path, fps: float) -> None:
    at = 0.8
    clip = talking_clip(tmp_path / "clip.mp4", round(1.4 * fps), fps, SIZE, flash_at=at)
    crop_video(clip, tmp_path / "portrait.mp4", tmp_path / "frames.h5", size=96)
    extract_speech(clip, tmp_path / "speech.wav")
    extract_speech(tmp_path / "portrait.mp4", tmp_path / "portrait.wav")

    frames = FRAMES.read(tmp_path / "frames.h5")[0]["frames"]
    assert abs(len(frames) - 1.4 * FPS) <= 1
    assert abs(flash_in_frames(frames) - at) <= ONE_FRAME
    assert abs(click_in_wav(tmp_path / "speech.wav") - at) <= TWENTY_MS
    assert flash_in_source(tmp_path / "portrait.mp4") == flash_in_frames(frames)
    assert abs(click_in_wav(tmp_path / "portrait.wav") - at) <= TWENTY_MS


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("late", "click_at"),
    # The clock starts with the picture, so a late picture makes the click come early.
    [("sound", 0.8 + 0.32), ("picture", 0.8 - 0.32)],
)
def test_streams_that_begin_apart_stay_apart(
    tmp_path: Path, suffix: str, late: str, click_at: float
) -> None:
    clip = talking_clip(tmp_path / "clip.mp4", 50, 25, SIZE, flash_at=0.8)
    shifted = delayed(clip, tmp_path / f"shifted{suffix}", late, 0.32)
    extract_speech(shifted, tmp_path / "speech.wav")
    assert abs(flash_in_source(shifted) - 0.8) <= ONE_FRAME
    assert abs(click_in_wav(tmp_path / "speech.wav") - click_at) <= TWENTY_MS


def test_a_cut_moves_picture_and_sound_alike(tmp_path: Path) -> None:
    clip = talking_clip(tmp_path / "clip.mp4", 60, 30, SIZE, flash_at=1.2)
    cut = Cut(start=0.7, duration=0.8)
    crop_video(clip, tmp_path / "portrait.mp4", tmp_path / "frames.h5", size=96, cut=cut)
    extract_speech(clip, tmp_path / "speech.wav", cut)
    frames = FRAMES.read(tmp_path / "frames.h5")[0]["frames"]
    assert len(frames) == 20
    assert abs(flash_in_frames(frames) - 0.5) <= ONE_FRAME
    assert abs(click_in_wav(tmp_path / "speech.wav") - 0.5) <= TWENTY_MS
    assert abs(len(read_speech(tmp_path / "speech.wav")) / SAMPLE_RATE - 0.8) <= TWENTY_MS


@pytest.mark.parametrize("suffix", [".wav", ".mp3"])
def test_speech_from_sound_files(tmp_path: Path, suffix: str) -> None:
    wav = write_wav(tmp_path / "source.wav", click(1.0, 0.4))
    source = tmp_path / f"driving{suffix}"
    run_ffmpeg(ffmpeg.input(str(wav)).output(str(source), ac=2, ar=48000), "test")
    extract_speech(source, tmp_path / "speech.wav")
    # mp3 adds silence at the ends of a file, up to two of its frames where nothing marks it.
    assert abs(click_in_wav(tmp_path / "speech.wav") - 0.4) <= TWENTY_MS
    assert len(read_speech(tmp_path / "speech.wav")) / SAMPLE_RATE == pytest.approx(1.0, abs=0.06)


def test_the_cover_of_a_song_is_no_video(tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "source.wav", speech(0.5))
    cover = ffmpeg.input("color=red:s=64x64:d=1", f="lavfi").video
    song = tmp_path / "song.mp3"
    options = {"frames:v": 1, "c:v": "mjpeg", "disposition:v": "attached_pic"}
    run_ffmpeg(ffmpeg.output(ffmpeg.input(str(wav)).audio, cover, str(song), **options), "test")
    with av.open(str(song)) as container:
        assert container.streams.video
    assert probe(song).picture is None


@pytest.mark.parametrize(("clockwise", "size"), [(90, (160, 192)), (180, SIZE), (270, (160, 192))])
def test_rotation_metadata_are_obeyed(
    tmp_path: Path, clockwise: int, size: tuple[int, int]
) -> None:
    upright = talking_clip(tmp_path / "upright.mp4", 3, size=size)
    turned = talking_clip(tmp_path / "turned.mp4", 3, size=size, clockwise=clockwise)
    images = []
    for path in (upright, turned):
        picture = probe(path).picture
        assert picture is not None and (picture.width, picture.height) == size
        images.append(next(read_frames(picture_at_25_fps(probe(path), Cut()), *size, "test")))
    # What is left is coding noise; upside down the difference is near 60.
    assert np.abs(images[0].astype(float) - images[1]).mean() < 5


def test_oblong_pixels_are_squared(tmp_path: Path) -> None:
    clip = talking_clip(tmp_path / "clip.mp4", 3, size=SIZE)
    oblong = tmp_path / "oblong.mp4"
    stream = ffmpeg.input(str(clip)).video.filter("scale", 96, 160).filter("setsar", "2/1")
    run_ffmpeg(stream.output(str(oblong)), "test")
    picture = probe(oblong).picture
    assert picture is not None and (picture.width, picture.height) == SIZE


@pytest.mark.parametrize("cut", [{"start": -1.0}, {"duration": 0.0}, {"start": float("nan")}])
def test_a_cut_that_makes_no_sense_is_refused(cut: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"subjects\.<name>\.(start|duration)"):
        Cut(**cut)
