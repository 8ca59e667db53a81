"""Videos of `ssp_nerf.gather` and `ssp_nerf.comparison`: frames in their places, sound in step."""

import wave

import numpy as np
import pytest
from PIL import Image

from ssp_nerf import comparison, gather
from ssp_nerf.panels import ERROR_LIMIT, ComparisonSheet, error_heat
from ssp_nerf.parsing_map import CHEEK, PALETTE
from ssp_nerf.schema import FPS
from tests.ssp_nerf import synthetic_clip as clip

av = pytest.importorskip("av")

RATE = 16000
FRAME = 1 / FPS
CLICK = 10.2 * FRAME  # seconds into the speech: while the clip shows frame 10
AAC_BLOCK = 0.022  # seconds: the sound may end so much before the picture
CODEC_ERROR = 6  # levels, mean over a panel


@pytest.fixture
def speech(tmp_path):
    """2 s of silence with 5 ms of noise at CLICK."""
    samples = np.zeros(2 * RATE, np.int16)
    start = round(CLICK * RATE)
    length = RATE // 200
    samples[start : start + length] = np.random.default_rng(0).integers(-30000, 30000, length)
    path = tmp_path / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


@pytest.fixture
def parts(tmp_path):
    """Held-out frames 9, 10, 11 in two files, 20 levels too bright."""
    rendered = clip.pictures() + np.uint8(20)
    return [
        clip.write_render(tmp_path / f"part{i}.h5", index, rendered[index])
        for i, index in enumerate(([9, 10], [11]))
    ]


def run(command, *arguments):
    command.main([str(argument) for argument in arguments])


def decode_pictures(path):
    """(N, H, W, 3) uint8 and the frame rate."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(stream)]
        return np.array(frames), float(stream.average_rate)


def decode_sound(path):
    """Times in seconds and samples, as a player hears them (encoder delay left out)."""
    times, samples = [], []
    with av.open(str(path)) as file:
        for frame in file.decode(file.streams.audio[0]):
            block = frame.to_ndarray()[0]
            times.append(frame.time + np.arange(len(block)) / frame.sample_rate)
            samples.append(block)
    return np.concatenate(times), np.concatenate(samples)


def mean_error(a, b):
    return np.abs(a.astype(float) - b).mean()


def test_video_shows_the_parts_one_after_the_other(tmp_path, parts, speech):
    path = tmp_path / "video.mp4"
    run(gather, "--render", *parts, "--audio", speech, "--video", path)
    frames, rate = decode_pictures(path)
    assert frames.shape == (3, clip.HEIGHT, clip.WIDTH, 3)
    assert rate == FPS
    for frame, index in zip(frames, (9, 10, 11), strict=True):
        expected = clip.pictures() + 20
        errors = [mean_error(frame, picture) for picture in expected]
        assert np.argmin(errors) == index
        assert errors[index] < CODEC_ERROR


@pytest.mark.parametrize("start", [0, 9])
def test_sound_is_in_step_with_the_picture(tmp_path, speech, start):
    index = list(range(start, clip.FRAMES))
    part = clip.write_render(tmp_path / "part.h5", index, clip.pictures()[index])
    path = tmp_path / "video.mp4"
    run(gather, "--render", part, "--audio", speech, "--video", path)
    times, samples = decode_sound(path)
    loud = times[np.abs(samples) > np.abs(samples).max() / 4]
    assert loud[0] == pytest.approx(CLICK - start * FRAME, abs=0.003)
    assert times[-1] == pytest.approx(len(index) * FRAME, abs=AAC_BLOCK)


@pytest.mark.parametrize("start", [0, 60])  # 60 frames are 2.4 s: beyond the speech's end
def test_speech_that_ends_early_is_followed_by_silence(tmp_path, speech, start):
    count = 75  # 3 s of picture, 2 s of speech
    pictures = np.repeat(clip.pictures()[:1], count, axis=0)
    part = clip.write_render(tmp_path / "part.h5", list(range(start, start + count)), pictures)
    path = tmp_path / "video.mp4"
    run(gather, "--render", part, "--audio", speech, "--video", path)
    times, samples = decode_sound(path)
    assert len(decode_pictures(path)[0]) == count
    assert times[-1] == pytest.approx(count * FRAME, abs=AAC_BLOCK)
    loud = np.abs(samples) > 0.1
    assert loud.any() == (start == 0)


def test_comparison_shows_each_panel_in_its_place(tmp_path, parts, speech):
    dataset = clip.write_dataset(tmp_path / "dataset.h5")
    path = tmp_path / "comparison.mp4"
    still = tmp_path / "comparison.png"
    files = ["--dataset", dataset, "--render", *parts, "--audio", speech]
    run(comparison, *files, "--video", path, "--picture", still)
    frames, rate = decode_pictures(path)
    sheet = ComparisonSheet(clip.WIDTH, clip.HEIGHT)
    assert (len(frames), rate) == (3, FPS)
    assert frames.shape[1:3] == sheet.size[::-1]
    assert sheet.scale == 7  # 40 pixels high, at least 256 wanted

    middle = slice(sheet.scale // 2, None, sheet.scale)  # of each enlarged pixel
    heat = error_heat(np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 20, np.uint8))
    for frame, index in zip(frames, (9, 10, 11), strict=True):
        panels = [frame[y0:y1, x0:x1][middle, middle] for x0, y0, x1, y1 in sheet.panels]
        truth = clip.pictures()[index]
        for panel, expected in zip(panels, (truth, truth + 20, PALETTE[CHEEK], heat), strict=True):
            assert mean_error(panel, expected) < CODEC_ERROR

    # The same frames, one under the other, the legend under the last.
    below = sheet.panels[0][3]
    rows = np.concatenate([frames[0][:below], frames[1][:below], frames[2]])
    assert mean_error(np.asarray(Image.open(still)), rows) < CODEC_ERROR

    times, samples = decode_sound(path)
    loud = times[np.abs(samples) > np.abs(samples).max() / 4]
    assert loud[0] == pytest.approx(CLICK - 9 * FRAME, abs=0.003)


def test_error_heat_grows_with_the_error_and_ends_at_its_limit():
    black = np.zeros((1, 256, 3), np.uint8)
    levels = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    heat = error_heat(black, levels)[0].astype(int).sum(axis=1)
    assert np.all(np.diff(heat[: ERROR_LIMIT + 1]) > 0)
    assert np.all(heat[ERROR_LIMIT:] == heat[ERROR_LIMIT])


def test_captions_cover_no_pixel_of_the_pictures():
    sheet = ComparisonSheet(300, 260)
    assert sheet.scale == 1
    rng = np.random.default_rng(0)
    truth, rendering = rng.integers(0, 256, (2, 260, 300, 3), np.uint8)
    picture = sheet.compose(truth, rendering, np.full((260, 300), CHEEK, np.uint8), 7)
    for panel, expected in zip(sheet.panels, (truth, rendering), strict=False):
        x0, y0, x1, y1 = panel
        np.testing.assert_array_equal(picture[y0:y1, x0:x1], expected)


def test_a_comparison_with_a_gap_is_refused(tmp_path, parts, speech, capsys):
    dataset = clip.write_dataset(tmp_path / "dataset.h5")
    path = tmp_path / "comparison.mp4"
    with pytest.raises(SystemExit) as stop:
        run(
        comparison, "--dataset", dataset, "--render", *reversed(parts),
            "--audio", speech, "--video", path,
        )  # fmt: skip
    assert stop.value.code == 2
    assert "jumps from frame 11 to 9" in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.parametrize(
    "content, words", [(None, "does not exist"), (b"no sound at all", "Invalid data")]
)
def test_audio_that_cannot_be_read_is_refused(tmp_path, capsys, content, words):
    # More picture than a pipe holds: ffmpeg is gone before all of it is written.
    many = np.zeros((200, clip.HEIGHT, clip.WIDTH, 3), np.uint8)
    part = clip.write_render(tmp_path / "part.h5", list(range(200)), many)
    audio = tmp_path / "bad.wav"
    if content:
        audio.write_bytes(content)
    before = set(tmp_path.iterdir())
    with pytest.raises(SystemExit) as stop:
        run(gather, "--render", part, "--audio", audio, "--video", tmp_path / "video.mp4")
    assert stop.value.code == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and words in errors[0], errors
    assert set(tmp_path.iterdir()) == before
