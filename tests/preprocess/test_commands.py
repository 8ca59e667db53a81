"""Bad input: one line that says what is wrong, exit status 2, nothing left behind."""

from collections.abc import Callable
from pathlib import Path

import ffmpeg
import numpy as np
import pytest

from preprocess import audio_features, crop, frames, landmarks, live, speech
from ssp_nerf.schema import FRAMES
from ssp_nerf.video import run_ffmpeg, write_video
from tests import clips

MODULES = (crop, frames, speech, landmarks, audio_features, live)


def missing(folder: Path) -> Path:
    return folder / "absent.mp4"


def zero_bytes(folder: Path) -> Path:
    path = folder / "zero.mp4"
    path.touch()
    return path


def not_media(folder: Path) -> Path:
    path = folder / "notes.mp4"
    path.write_text("this is no video\n" * 100)
    return path


def cut_off(folder: Path) -> Path:
    whole = clips.talking_clip(folder / "whole.mp4", 5)
    path = folder / "cut.mp4"
    path.write_bytes(whole.read_bytes()[:600])
    return path


def silent(folder: Path) -> Path:
    return clips.talking_clip(folder / "silent.mp4", 5, sound=False)


def one_frame(folder: Path) -> Path:
    return clips.talking_clip(folder / "one.mp4", 1)


def no_face(folder: Path) -> Path:
    path = folder / "wall.mp4"
    write_video(path, [clips.background(256, 192)] * 12)
    return path


def sound_only(folder: Path) -> Path:
    return clips.write_wav(folder / "voice.wav", clips.speech(0.5))


def no_samples(folder: Path) -> Path:
    return clips.write_wav(folder / "empty.wav", np.zeros(0))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (missing, "absent.mp4: expected a video or audio file, but it does not exist"),
        (zero_bytes, "zero.mp4: expected a video or audio file, but it is empty (0 bytes)"),
        (not_media, "notes.mp4: expected a video or audio file, but it cannot be read as one"),
        (cut_off, "cut.mp4: expected a video or audio file, but it cannot be read as one"),
        (one_frame, "one.mp4: one frame at 25 fps"),
        (no_face, "wall.mp4: no face found in any of 3 sampled frames of 256x192"),
        (sound_only, "voice.wav: has no video stream"),
    ],
)
def test_crop_refuses(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    source: Callable[[Path], Path],
    words: str,
) -> None:
    video, out = source(tmp_path), tmp_path / "out"
    arguments = ["--video", str(video), "--portrait", f"{out}/p.mp4", "--frames", f"{out}/f.h5"]
    refused(lambda: crop.main(arguments), words, capfd)
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (missing, "absent.mp4: expected a video or audio file, but it does not exist"),
        (zero_bytes, "zero.mp4: expected a video or audio file, but it is empty (0 bytes)"),
        (not_media, "notes.mp4: expected a video or audio file, but it cannot be read as one"),
        (silent, "silent.mp4: has no audio track"),
        (no_samples, "empty.wav: its audio track has no sound"),
    ],
)
def test_speech_refuses(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    source: Callable[[Path], Path],
    words: str,
) -> None:
    media, out = source(tmp_path), tmp_path / "out"
    arguments = ["--media", str(media), "--wav", f"{out}/speech.wav"]
    refused(lambda: speech.main(arguments), words, capfd)
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (cut_off, "cut.mp4: expected a video or audio file, but it cannot be read as one"),
        (sound_only, "voice.wav: has no video stream"),
    ],
)
def test_frames_refuses(tmp_path: Path, capfd: pytest.CaptureFixture[str], source, words) -> None:
    video, out = source(tmp_path), tmp_path / "out"
    arguments = ["--video", str(video), "--frames", f"{out}/frames.h5"]
    refused(lambda: frames.main(arguments), words, capfd)
    assert not out.exists() or not list(out.iterdir())


def test_frames_are_whole_upright_and_at_25_fps(tmp_path: Path) -> None:
    video = clips.talking_clip(tmp_path / "v.mp4", 20, fps=50, size=(96, 128), clockwise=90)
    frames.store_frames(video, tmp_path / "frames.h5")
    with FRAMES.open(tmp_path / "frames.h5") as file:
        assert file["frames"].shape == (10, 128, 96, 3)
        for i in (0, 4, 9):
            filmed = clips.talking_frame(2 * i / 50, 96, 128).astype(int)
            assert np.abs(file["frames"][i] - filmed).mean() < 6  # encoded


def test_speech_refuses_a_cut_beyond_the_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    media, wav = sound_only(tmp_path), tmp_path / "speech.wav"
    arguments = ["--media", str(media), "--wav", str(wav), "--start", "3"]
    refused(lambda: speech.main(arguments), "no sound between 3 s and its end", capfd)
    assert not wav.exists()


def test_landmarks_refuse_what_is_no_frames_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    video = silent(tmp_path)
    arguments = ["--frames", str(video), "--landmarks", str(tmp_path / "landmarks.h5")]
    refused(lambda: landmarks.main(arguments), "expected a frames file (HDF5)", capfd)


def test_a_video_without_sound_is_cropped_without(tmp_path: Path) -> None:
    portrait = tmp_path / "portrait.mp4"
    crop.crop_video(silent(tmp_path), portrait, tmp_path / "frames.h5", size=128)
    with pytest.raises(Exception, match="matches no streams|failed"):
        run_ffmpeg(ffmpeg.input(str(portrait)).audio.output(str(tmp_path / "a.wav")), "test")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_help_says_how_it_is_called(module, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        module.main(["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert f"python -m {module.__name__}" in shown
    assert "None" not in shown


def refused(command: Callable[[], None], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()  # what was said while the input was made
    with pytest.raises(SystemExit) as stop:
        command()
    assert stop.value.code == 2
    *before, last = capfd.readouterr().err.splitlines()
    assert last.startswith("error: ") and words in last, last
    assert all(line.startswith("find the head: ") for line in before), before  # progress only
