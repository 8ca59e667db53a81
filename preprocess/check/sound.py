"""Whether there is speech in the sound: its level, clipping, noise and pauses."""

import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from preprocess.check import limits
from preprocess.check.findings import Finding, Level, level_at_least, level_at_most
from preprocess.media import Cut, Media, write_wav
from ssp_nerf.metrics.mouth_sync import VOICE_BAND, VOICE_POWER, VOICE_RATE
from ssp_nerf.schema import FPS

FULL_SCALE = 32767
CLIPPED_RUN = 3  # samples in a row at full scale; one alone may be a true peak
LEAST_DB = -90.0  # the quietest that 16 bits can tell from nothing
SILENT_DB = -60.0  # dBFS; a peak below is no recording
PAUSE_DB = 25.0
"""Decibels below the speech that count as silence; the weakest consonants are 20 dB below the
loudest vowels (Fletcher, Speech and Hearing in Communication, 1953: 28 dB with all)."""
BLOCK_SECONDS = 60


@dataclass(frozen=True)
class Sound:
    """The sound of a clip.

    Attributes:
        level: (M,) dBFS RMS of the 40 ms from m / 25 s on, all channels together.
        peak: dBFS.
        clipped: share of samples in runs at full scale.
        voice: (K,) loudness in the voice's band in the 10 ms from k / 100 s on, on a scale of its
            own.
    """

    level: np.ndarray
    voice: np.ndarray
    peak: float
    clipped: float


def read_sound(media: Media, cut: Cut) -> Sound | None:
    """The sound on the picture's clock, or None where the file has none.

    Raises:
        InputError: a sound track without sound within the cut.
    """
    if media.sound_index is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.wav"
        write_wav(media, path, cut)
        return read_levels(path)


def read_levels(path: Path) -> Sound:
    """Levels of a 16-bit wav, read a minute at a time."""
    from scipy.signal import butter, sosfilt

    levels, voice, peak, clipped, count = [], [], 0, 0, 0
    with wave.open(str(path)) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        step, voice_step = round(rate / FPS), round(rate / VOICE_RATE)
        top = min(VOICE_BAND[1], 0.45 * rate)
        band = butter(2, (VOICE_BAND[0], top), "bandpass", fs=rate, output="sos")
        state = np.zeros((len(band), 2))
        while data := file.readframes(BLOCK_SECONDS * rate):
            samples = np.frombuffer(data, "<i2").reshape(-1, channels).astype(np.int32)
            loud = np.abs(samples)
            peak = max(peak, int(loud.max()))
            clipped += in_runs(loud >= FULL_SCALE)
            count += samples.size
            levels.append(decibels(np.sqrt(power(samples, step))))
            mono, state = sosfilt(band, samples.mean(1), zi=state)
            voice.append(power(mono[:, None], voice_step) ** VOICE_POWER)
    level, band_level = (np.concatenate(x) if x else np.zeros(0) for x in (levels, voice))
    top_level = float(decibels(np.array(peak / FULL_SCALE)))
    return Sound(level, band_level, top_level, clipped / max(1, count))


def power(samples: np.ndarray, step: int) -> np.ndarray:
    """Mean power, full scale 1, of each `step` samples of (T, channels)."""
    whole = samples[: len(samples) // step * step].reshape(-1, step * samples.shape[1])
    return ((whole / FULL_SCALE) ** 2).mean(1)


def in_runs(full: np.ndarray) -> int:
    """How many of (T, channels) bool are in vertical runs of `CLIPPED_RUN` or more."""
    edges = np.diff(np.pad(full, ((1, 1), (0, 0))).astype(np.int8), axis=0)
    total = 0
    for channel in edges.T:
        lengths = np.flatnonzero(channel == -1) - np.flatnonzero(channel == 1)
        total += int(lengths[lengths >= CLIPPED_RUN].sum())
    return total


def decibels(amplitude: np.ndarray) -> np.ndarray:
    """Amplitudes, full scale 1, as dBFS, at least `LEAST_DB`."""
    return 20 * np.log10(np.maximum(amplitude, 10 ** (LEAST_DB / 20)))


def speech_level(level: np.ndarray) -> float:
    """dBFS RMS of the loud half: speech pauses for less than half of the time."""
    loud = np.sort(level)[len(level) // 2 :]
    return float(10 * np.log10(np.mean(10 ** (loud / 10))))


def check_sound(sound: Sound | None, seconds: float) -> list[Finding]:
    """Findings on the sound of a clip of so many seconds."""
    wanted = f"speech, {limits.SPEECH_LEVEL[0]:g} dBFS or louder"
    if sound is None:
        return [
            Finding(
                "sound", Level.WILL_NOT_WORK, "no audio track", wanted,
                "Speech is what drives the portrait: use a file with sound.",
            )
        ]  # fmt: skip
    if not len(sound.level) or sound.peak < SILENT_DB:
        return [
            Finding(
                "sound", Level.WILL_NOT_WORK, f"silence (peak {sound.peak:.0f} dBFS)", wanted,
                "Speech is what drives the portrait: use the recording with its sound.",
            )
        ]  # fmt: skip
    speech = speech_level(sound.level)
    level = level_at_least(speech, *limits.SPEECH_LEVEL)
    findings = [
        Finding(
            "sound", level, f"speech at {speech:.0f} dBFS, peak {sound.peak:.0f}", wanted,
            "" if level is Level.GOOD else "Amplify it: `ffmpeg -i FILE -af loudnorm new.mp4`.",
        )
    ]  # fmt: skip
    level = level_at_most(sound.clipped, *limits.CLIPPED)
    if level is not Level.GOOD:
        findings.append(
            Finding(
                "clipping", level, f"{sound.clipped:.1%} of the samples at full scale", "none",
                "Record it with less gain; loud vowels are distorted.",
            )
        )  # fmt: skip
    floor = float(np.percentile(sound.level, 10))
    level = level_at_least(speech - floor, *limits.SPEECH_OVER_NOISE)
    findings.append(
        Finding(
            "noise", level, f"the quietest tenth is {speech - floor:.0f} dB below the speech",
            f"{limits.SPEECH_OVER_NOISE[0]:g} dB or more",
            "" if level is Level.GOOD
            else "Music or noise under the speech, or no pauses: use the voice track alone.",
        )
    )  # fmt: skip
    heard = len(sound.level) / FPS
    silent = (float((sound.level < speech - PAUSE_DB).mean()) * heard) + max(0, seconds - heard)
    share = silent / max(seconds, heard)
    level = level_at_most(share, *limits.SILENCE)
    if level is not Level.GOOD:
        findings.append(
            Finding(
                "silence", level, f"{share:.0%} of the time", "up to a third",
                "Cut the silent parts away with start and duration of subjects.<name>.",
            )
        )  # fmt: skip
    return findings
