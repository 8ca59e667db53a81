"""Log-mel against another route to it, and which moment of the speech a frame's window holds."""

from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from preprocess.audio_features import extract_audio_features, main, open_extractor, windowed
from preprocess.logmel import (
    BLOCK,
    FLOOR,
    HIGHEST,
    HOP,
    LOWEST,
    hertz_to_mel,
    logmel,
    mel_filters,
)
from ssp_nerf.errors import InputError
from ssp_nerf.schema import AUDIO_FEATURES, FRAMES
from ssp_nerf.speech import SAMPLE_RATE
from tests.clips import click, speech, write_wav

CHANNELS = 32


def sine(hertz: float, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return amplitude * np.sin(2 * np.pi * hertz * t)


def windows_of(path: Path, samples: np.ndarray, frame_count: int | None = None) -> np.ndarray:
    write_wav(path / "speech.wav", samples, SAMPLE_RATE)
    extract_audio_features(path / "speech.wav", path / "features.h5", frame_count)
    return AUDIO_FEATURES.read(path / "features.h5")[0]["windows"]


def test_logmel_agrees_with_scipys_spectrogram() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE) + sine(440)
    ours = logmel(samples, CHANNELS)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(400) + 0.5) / 400)
    transform = scipy.signal.ShortTimeFFT(
        hann, 320, SAMPLE_RATE, mfft=1024, scale_to="magnitude", phase_shift=None
    )
    # Slice p is centred on sample 320 p; ours on 320 k + 160.
    late = np.concatenate([np.zeros(160), samples])
    spectrum = transform.spectrogram(late, p0=1, p1=51)  # (513, 50)
    theirs = np.log(np.maximum(mel_filters(CHANNELS) @ spectrum, FLOOR) / FLOOR).T
    assert ours.shape == (50, CHANNELS)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("hertz", [150.0, 440.0, 1000.0, 3000.0, 6500.0])
def test_a_tone_is_loudest_in_its_own_band(hertz: float) -> None:
    step = (hertz_to_mel(HIGHEST) - hertz_to_mel(LOWEST)) / (CHANNELS + 1)
    band = round(float((hertz_to_mel(hertz) - hertz_to_mel(LOWEST)) / step)) - 1
    assert (logmel(sine(hertz), CHANNELS)[5:-5].argmax(axis=1) == band).all()


def test_ten_times_the_power_adds_the_logarithm_of_ten() -> None:
    loud, soft = (logmel(sine(440, amplitude=a), CHANNELS)[10, :12] for a in (0.5, 0.5 / 10**0.5))
    np.testing.assert_allclose((loud - soft).max(), np.log(10), rtol=1e-3)


def test_silence_is_zero() -> None:
    assert not logmel(np.zeros(3200), CHANNELS).any()


@pytest.mark.parametrize("at", [0.01, 0.33, 0.5, 0.737])
def test_an_impulse_shows_in_the_window_of_its_frame(tmp_path: Path, at: float) -> None:
    """A sound at time T lies in feature step floor(50 T), which is step 8 + floor(50 T) - 2 i of
    the window of frame i."""
    samples = np.zeros(SAMPLE_RATE)
    samples[round(at * SAMPLE_RATE)] = 1
    windows = windows_of(tmp_path, samples)
    frame = int(at * 25)
    loudness = windows[frame].sum(axis=1)
    assert loudness.argmax() == 8 + int(at * 50) - 2 * frame
    assert (loudness > 0).sum() <= 2  # a 25 ms window every 20 ms: at most two hear it
    heard = [i for i in range(25) if windows[i].any()]
    assert frame - 4 <= heard[0] and heard[-1] <= frame + 4


def test_windows_overlap_and_end_in_silence() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE)
    windows = windowed(logmel(samples, CHANNELS), 25)
    np.testing.assert_array_equal(windows[3, 2:], windows[4, :-2])
    assert not windows[0, :8].any() and windows[0, 8:].all()
    assert windows[24, :10].all() and not windows[24, 10:].any()


@pytest.mark.parametrize("count", [1, 3, 24, 25, 26, 40])
def test_the_window_of_frame_i_holds_the_steps_2i_minus_8_to_2i_plus_7(count: int) -> None:
    """However many frames there are; steps that were not spoken are 0."""
    steps = 1.0 + np.arange(50)[:, None]  # step k holds k + 1
    windows = windowed(steps, count)
    assert windows.shape == (count, 16, 1)
    k = 2 * np.arange(count)[:, None] + np.arange(-8, 8)
    np.testing.assert_array_equal(windows[..., 0], np.where((k >= 0) & (k < 50), k + 1, 0))


def test_logmel_of_a_long_speech_is_that_of_its_parts() -> None:
    """Steps that no end is near do not know how long the speech is."""
    samples = np.random.default_rng(0).normal(0, 0.1, (BLOCK + 40) * HOP)
    part = logmel(samples[(BLOCK - 20) * HOP :], CHANNELS)
    np.testing.assert_array_equal(logmel(samples, CHANNELS)[BLOCK - 19 :], part[1:])


def test_frames_decide_how_many_windows(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    samples = speech(2.0, SAMPLE_RATE)
    assert len(windows_of(tmp_path, samples)) == 50
    short = windows_of(tmp_path, samples, frame_count=48)
    assert len(short) == 48 and "warning" not in capsys.readouterr().err
    long = windows_of(tmp_path, samples, frame_count=70)
    assert "0.80 s shorter than the 70 frames" in capsys.readouterr().err
    np.testing.assert_array_equal(long[:40], short[:40])
    assert not long[60:].any()


def test_command_takes_the_count_of_a_frames_file(tmp_path: Path) -> None:
    write_wav(tmp_path / "speech.wav", speech(1.0, SAMPLE_RATE), SAMPLE_RATE)
    box = np.zeros(4, np.int32)
    with FRAMES.create(tmp_path / "frames.h5", {"N": 23, "H": 2, "W": 2}, {"source_box": box}, {}):
        pass
    files = {"speech": "speech.wav", "features": "features.h5", "frames": "frames.h5"}
    paths = [f"--{name}={tmp_path / file}" for name, file in files.items()]
    main(paths)
    first = (tmp_path / "features.h5").read_bytes()
    main([*paths, "--channels", "32"])
    assert (tmp_path / "features.h5").read_bytes() == first
    arrays, attributes = AUDIO_FEATURES.read(tmp_path / "features.h5")
    assert arrays["windows"].shape == (23, 16, 32)
    assert (attributes["extractor"], attributes["rate"]) == ("logmel", 50)


def test_what_is_refused(tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "speech.wav", click(1.0, 0.5))  # 44.1 kHz
    target = tmp_path / "features.h5"
    with pytest.raises(InputError, match="44100 Hz, 1 channels, 16 bits; expected 16000 Hz"):
        extract_audio_features(wav, target)
    with pytest.raises(InputError, match=r"audio\.extractor .* 'wav2vec', expected one of logmel"):
        open_extractor("wav2vec")
    (tmp_path / "not.wav").write_bytes(b"RIFFnonsense")
    with pytest.raises(InputError, match="expected a wav file"):
        extract_audio_features(tmp_path / "not.wav", target)
    brief = write_wav(tmp_path / "brief.wav", np.zeros(100), SAMPLE_RATE)
    with pytest.raises(InputError, match="shorter than one frame"):
        extract_audio_features(brief, target)
    with pytest.raises(InputError, match=r"audio\.channels"):
        logmel(np.zeros(3200), 400)
    assert not target.exists()
