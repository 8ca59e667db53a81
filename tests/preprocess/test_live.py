"""Live frames beside those of the whole speech, and when they can be drawn at all."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from preprocess import live
from preprocess.audio_features import extract_audio_features, open_extractor, windowed
from preprocess.live_speech import LOOK_AHEAD, LiveWindows, Piece, piped, played
from preprocess.logmel import LogMel, logmel
from ssp_nerf import render as render_module
from ssp_nerf.errors import InputError
from ssp_nerf.files import folder_sha256
from ssp_nerf.provenance.__main__ import read_provenance
from ssp_nerf.schema import FPS, RENDER
from ssp_nerf.speech import SAMPLE_RATE, SAMPLES_PER_FRAME
from tests import clips
from tests.preprocess.stages import refused
from tests.ssp_nerf import synthetic_clip as clip
from tests.ssp_nerf.small_training import train

CHANNELS = 8
FRAMES = 20  # more than there are training poses: they come back
SAMPLES = FRAMES * SAMPLES_PER_FRAME + 100


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("live")
    dataset = clip.write_dataset(folder / "dataset.h5", CHANNELS, "logmel")
    return train(folder, dataset, "--steps", "20")


@pytest.fixture(scope="module")
def wav(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    return clips.write_wav(path, clips.speech(SAMPLES / SAMPLE_RATE, SAMPLE_RATE), SAMPLE_RATE)


@pytest.fixture(scope="module", params=["exact", "fast"])
def driven(request, tmp_path_factory, bundle, wav) -> tuple[str, np.ndarray]:
    """A mode, and what ssp_nerf.render makes of the whole speech."""
    folder = tmp_path_factory.mktemp("driven")
    features = folder / "features.h5"
    extract_audio_features(wav, features, extractor=open_extractor("logmel", CHANNELS))
    render_module.main(
        ["--bundle", str(bundle), "--audio-features", str(features), "--output",
         str(folder / "driven.h5"), "--mode", request.param, "--device", "cpu"]
    )  # fmt: skip
    return request.param, RENDER.read(folder / "driven.h5")[0]["frames"]


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)


def cut(samples: np.ndarray, length: int) -> list[np.ndarray]:
    return [samples[i : i + length] for i in range(0, len(samples), length)]


def around_each_frame(windows: np.ndarray) -> np.ndarray:
    """(N, 8, 16, C): windows i - 4 to i + 3, the first and last repeated."""
    i = np.arange(len(windows))[:, None] + np.arange(-4, 4)
    return windows[i.clip(0, len(windows) - 1)]


def raw_frames(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8).reshape(-1, clip.HEIGHT, clip.WIDTH, 3)


@pytest.mark.parametrize("length", [1, 37, 320, 640, 4000])
@pytest.mark.parametrize("samples", [0, 1, 360, 361, 3217])
def test_features_of_pieces_are_those_of_the_whole(samples: int, length: int) -> None:
    speech, stream = noise(samples), LogMel(CHANNELS)
    steps = [stream.add(piece) for piece in cut(speech, length)] + [stream.end()]
    np.testing.assert_allclose(np.concatenate(steps), logmel(speech, CHANNELS), atol=1e-5)


@pytest.mark.parametrize("length", [97, 160, 640, 5000, 100_000])
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 8, 9, 30])
@pytest.mark.parametrize("more", [0, 1, 330, 639])
def test_windows_of_pieces_are_those_of_the_whole(frames: int, more: int, length: int) -> None:
    speech, stream = noise(frames * SAMPLES_PER_FRAME + more), LiveWindows(CHANNELS)
    heard = [around for piece in cut(speech, length) for around in stream.add(piece)]
    heard += stream.end()
    whole = around_each_frame(windowed(logmel(speech, CHANNELS), frames))
    np.testing.assert_allclose(np.stack(heard), whole, atol=1e-5)


def test_a_frame_comes_with_its_last_sample_and_not_before() -> None:
    stream, speech = LiveWindows(CHANNELS), noise(LOOK_AHEAD + 10 * SAMPLES_PER_FRAME)
    came = []
    for number, sample in enumerate(speech):
        came += [number + 1 for _ in stream.add(np.array([sample]))]
    assert came == [LOOK_AHEAD + i * SAMPLES_PER_FRAME for i in range(11)]
    assert LOOK_AHEAD == 0.2825 * SAMPLE_RATE


def test_the_look_ahead_is_all_that_a_frame_hears() -> None:
    """The sample before its end changes a frame, the one after does not."""
    speech = noise(20 * SAMPLES_PER_FRAME)
    frame = 6
    windows = around_each_frame(windowed(logmel(speech, CHANNELS), 20))[frame]
    for sample, heard in ((-8, True), (0, False)):  # a Hann window is nearly 0 at its very end
        other = speech.copy()
        other[frame * SAMPLES_PER_FRAME + LOOK_AHEAD + sample] += 1
        changed = around_each_frame(windowed(logmel(other, CHANNELS), 20))[frame]
        assert (changed != windows).any() == heard


def test_a_pipe_is_read_while_nobody_takes_it_and_in_odd_pieces() -> None:
    samples = np.random.default_rng(1).integers(-32768, 32768, 100_001).astype("<i2")  # > a pipe
    read, write = os.pipe()
    pieces = piped(read)
    content = samples.tobytes()
    with open(write, "wb", buffering=0) as pipe:
        pipe.write(content[:3])
        got = [next(pieces)]
        for start in range(3, len(content), 4097):  # would wait for ever for a reader
            pipe.write(content[start : start + 4097])
    got += pieces
    os.close(read)
    together = np.concatenate([piece.samples for piece in got])
    np.testing.assert_array_equal(together, samples.astype(np.float32) / 32768)
    assert not len(got[-1].samples)
    arrived = [piece.arrived for piece in got]
    assert arrived == sorted(arrived)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\0" * 641, "odd number of bytes, 641, expected raw"), (b"RIFF\0\0", "got a wav file")],
)
def test_a_pipe_of_something_else_is_refused(content: bytes, words: str) -> None:
    read, write = os.pipe()
    with open(write, "wb") as pipe:
        pipe.write(content)
    with pytest.raises(InputError, match=words):
        list(piped(read))
    os.close(read)


def test_a_file_is_played_in_its_own_time() -> None:
    pieces = list(played(noise(1700), real_time=True))
    np.testing.assert_array_equal(np.concatenate([p.samples for p in pieces]), noise(1700))
    begin = pieces[0].arrived - 160 / SAMPLE_RATE
    heard = np.cumsum([len(p.samples) for p in pieces])
    arrived = np.array([p.arrived for p in pieces])
    np.testing.assert_allclose(arrived - begin, heard / SAMPLE_RATE, atol=1e-6)


def test_frames_are_those_of_the_whole_speech(tmp_path, bundle, wav, driven, capsys) -> None:
    mode, expected = driven
    out = tmp_path / "frames.rgb"
    flags = ["--bundle", bundle, "--speech", wav, "--raw", out, "--mode", mode, "--device", "cpu"]
    live.main([*map(str, flags), "--no-real-time"])
    frames = raw_frames(out.read_bytes())
    assert frames.shape == expected.shape and len(frames) == FRAMES
    assert np.abs(frames.astype(int) - expected).max() <= 1
    said = capsys.readouterr().err
    assert "282.5 ms" in said and f"{FRAMES} frames in" in said and "latency" not in said


def test_a_pipe_goes_in_and_frames_come_out_before_it_ends(bundle, wav, driven) -> None:
    """Each as soon as its last sample is there; the rest when the speech ends."""
    mode, expected = driven
    command = [sys.executable, "-m", "preprocess.live", "--bundle", bundle, "--speech", "-"]
    samples = wav.read_bytes()[44:]
    process = subprocess.Popen(
        [*map(str, command), "--raw", "-", "--mode", mode, "--device", "cpu"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin and process.stdout and process.stderr
    stop = threading.Timer(120, process.kill)  # frames that do not come
    stop.start()
    came, size, begin = b"", clip.HEIGHT * clip.WIDTH * 3, 0
    for frame in range(5):
        end = 2 * (LOOK_AHEAD + frame * SAMPLES_PER_FRAME)
        process.stdin.write(samples[begin:end])
        process.stdin.flush()
        came += process.stdout.read(size)
        begin = end
    rest, said = process.communicate(samples[begin:])
    stop.cancel()
    assert process.returncode == 0
    assert np.abs(raw_frames(came + rest).astype(int) - expected).max() <= 1
    assert re.search(r"latency .*: mean \d+ ms, 95 % under \d+ ms, worst \d+ ms", said.decode())


def test_a_video_has_the_frames_and_their_sound(tmp_path, bundle, capsys) -> None:
    click, count = 0.4, 15
    speech = clips.click(count / FPS + 0.03, click)  # 44.1 kHz, as files are
    source = clips.write_wav(tmp_path / "speech.wav", speech)
    path = tmp_path / "new" / "video.mp4"
    files = ["--bundle", bundle, "--speech", source, "--video", path]
    live.main([*map(str, files), "--device", "cpu", "--mode", "exact"])
    with av.open(str(path)) as file:
        shapes = [frame.to_ndarray(format="rgb24").shape for frame in file.decode(video=0)]
    assert shapes == [(clip.HEIGHT, clip.WIDTH, 3)] * count
    with av.open(str(path)) as file:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
        rate = file.streams.audio[0].rate
    loud = np.flatnonzero(np.abs(sound) > np.abs(sound).max() / 4) / rate
    assert loud[0] == pytest.approx(click, abs=0.003)
    assert len(sound) / rate == pytest.approx(count / FPS, abs=1024 / rate)
    assert [p.name for p in path.parent.iterdir()] == ["video.mp4"]
    said = capsys.readouterr().err
    assert "frames late" in said and "no consent of the person" in said
    about = read_provenance(path)
    assert about.model == folder_sha256(bundle) and about.speech == "speech"


def test_slow_drawing_is_told_and_leaves_nothing_out(monkeypatch, capsys) -> None:
    class Clock:
        """Drawing takes 0.1 s, speech its own time."""

        now = 0.0

        def monotonic(self) -> float:
            return self.now

        def draw(self, around: np.ndarray) -> np.ndarray:
            self.now += 0.1
            return around

        def pieces(self) -> Iterator[Piece]:
            for end in range(1, 51):
                arrived = end / FPS
                self.now = max(self.now, arrived)
                yield Piece(noise(SAMPLES_PER_FRAME), arrived)

    clock = Clock()
    monkeypatch.setattr(live, "time", clock)
    times = live.Times(begin=0.0)
    frames = list(live.live_frames(clock, clock.pieces(), CHANNELS, times, real_time=True))
    assert len(frames) == 50
    assert "drawing gives 10.0 frames/s, speech needs 25" in capsys.readouterr().err
    # The first frame hears 282.5 ms, which are there with the eighth piece; the last, all.
    np.testing.assert_allclose(times.latency[:2], [0.1, 0.2 - 1 / FPS])
    assert times.latency[-1] == pytest.approx(8 / FPS + 50 * 0.1 - 50 / FPS)
    said = times.summary(real_time=True)
    assert "50 frames in 5.3 s, 9.4 frames/s" in said and "worst 3320 ms; 50 frames late" in said
    assert "falls behind, by 3.3 s now" in said


def test_another_extractors_portrait_is_refused(tmp_path, wav, capfd) -> None:
    dataset = clip.write_dataset(tmp_path / "dataset.h5", 4, "deepspeech")
    bundle = train(tmp_path, dataset, "--steps", "1")
    capfd.readouterr()
    out = tmp_path / "out.rgb"
    arguments = ["--bundle", bundle, "--speech", wav, "--raw", out, "--device", "cpu"]
    line = refused(live.main, arguments, capfd)
    assert "features of 'deepspeech', expected 'logmel'" in line and "audio.extractor" in line
    assert not out.exists()


def test_a_mark_that_does_not_fit_is_refused_before_anybody_speaks(
    tmp_path, bundle, wav, capfd
) -> None:
    out = tmp_path / "out.rgb"
    flags = ["--bundle", bundle, "--speech", wav, "--raw", out, "--device", "cpu", "--mark", "AI"]
    line = refused(live.main, flags, capfd)
    assert "provenance.mark: 'AI' does not fit into pictures of 48x40" in line
    assert not out.exists()


def test_too_short_a_speech_is_refused(tmp_path, bundle, capfd) -> None:
    brief = clips.write_wav(tmp_path / "brief.wav", np.zeros(639), SAMPLE_RATE)
    video = tmp_path / "video.mp4"
    arguments = ["--bundle", bundle, "--speech", brief, "--video", video, "--device", "cpu"]
    with pytest.raises(SystemExit):
        live.main([str(argument) for argument in arguments])
    assert "error: --speech: got less than one frame" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["brief.wav"]
