"""How far picture and sound lag behind the truth, in milliseconds; positive is late.

Each lag is where a correlation peaks, found between its samples by a parabola.
"""

from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.io import wavfile
from scipy.signal import correlate, correlation_lags, resample_poly

from preprocess.audio_features import RATE, WINDOW_STEPS, Extractor
from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file
from ssp_nerf.schema import FPS
from ssp_nerf.speech import SAMPLE_RATE

REACH_MS = 500
"""Longer lags are not looked for: nobody would call such a clip in step."""
FRAME_MS = round(1000 / FPS)
STEP_MS = 1000 // RATE
SAMPLES_PER_MS = SAMPLE_RATE // 1000


@dataclass(frozen=True)
class Lag:
    """How late something is, in milliseconds, and the correlation there, -1 to 1.

    Both are nan where no correlation peaks within reach, or where a curve is flat.
    """

    ms: float
    correlation: float


NONE_FOUND = Lag(float("nan"), float("nan"))


def read_true_speech(path: Path) -> np.ndarray:
    """(T,) float samples at 16 kHz of a mono wav of any rate, full scale 1.

    Raises:
        InputError: not there, not a wav, or not mono.
    """
    path = require_file(path, "the true speech, a wav file")
    try:
        rate, samples = wavfile.read(path)
    except ValueError as error:
        raise InputError(f"{path}: expected a wav file, but: {error}.") from error
    if samples.ndim != 1:
        raise InputError(f"{path}: {samples.shape[1]} channels, expected 1.")
    full = np.iinfo(samples.dtype).max + 1 if samples.dtype.kind == "i" else 1
    common = gcd(rate, SAMPLE_RATE)
    return resample_poly(samples / full, SAMPLE_RATE // common, rate // common)


def speech_lag(speech: np.ndarray, truth: np.ndarray) -> Lag:
    """Lag of a recording, both (T,) at 16 kHz from time 0 on, of any lengths."""
    correlation = correlate(speech, truth, method="fft")
    lags = correlation_lags(len(speech), len(truth))
    near = np.abs(lags) <= REACH_MS * SAMPLES_PER_MS
    power = np.sqrt((speech**2).sum() * (truth**2).sum())
    if power == 0:
        return NONE_FOUND
    return _peak(correlation[near] / power, lags[near] / SAMPLES_PER_MS)


def curve_lag(values: np.ndarray, truth: np.ndarray) -> Lag:
    """Lag of a curve by Pearson's correlation with the truth at other times.

    The same frames count at every lag: those as far from both ends as a lag may reach, which is
    0.5 s or a quarter of a short clip. Of several channels, each about its own mean, the products
    are added up before they are divided by the deviations.

    Args:
        values: (N,) or (N, C), one for each frame.
        truth: one for each millisecond, from frame 0 on, (at least 40 (N - 1) + 1,) or by C.
    """
    times = FRAME_MS * np.arange(len(values))
    reach = min(REACH_MS, int(times[-1]) // 4)
    inner = (times >= reach) & (times <= times[-1] - reach)
    lags = np.arange(-reach, reach + 1)
    ours = values[inner] - values[inner].mean(0)
    products, powers = np.empty(len(lags)), np.empty(len(lags))
    for i, lag in enumerate(lags):
        shifted = truth[times[inner] - lag]
        shifted = shifted - shifted.mean(0)
        products[i] = (shifted * ours).sum()
        powers[i] = (shifted**2).sum() * (ours**2).sum()
    if not powers.all():  # a mouth that never moves, or silence
        return NONE_FOUND
    return _peak(products / np.sqrt(powers), lags)


def _peak(correlation: np.ndarray, lags: np.ndarray) -> Lag:
    top = int(correlation.argmax())
    if top in (0, len(lags) - 1):
        return NONE_FOUND
    before, at, after = correlation[top - 1 : top + 2]
    bend = before - 2 * at + after
    between = 0.0 if bend == 0 else (before - after) / (2 * bend)
    return Lag(float(lags[top] + between * (lags[1] - lags[0])), float(at))


def each_millisecond(values: np.ndarray) -> np.ndarray:
    """(N,) at frames -> (40 (N - 1) + 1,) at milliseconds, through a cubic spline."""
    times = FRAME_MS * np.arange(len(values))
    return CubicSpline(times, values)(np.arange(times[-1] + 1))


def heard(windows: np.ndarray) -> np.ndarray:
    """What (N, 16, C) windows hold in their middle, the 40 ms round a frame's time: (N, C)."""
    middle = WINDOW_STEPS // 2
    return windows[:, middle - 1 : middle + 1].mean(1, dtype=np.float64)


def to_be_heard(speech: np.ndarray, extractor: Extractor, frames: int) -> np.ndarray:
    """What `heard` would give of the true speech, had it a frame every millisecond.

    Args:
        speech: (T,), 16 kHz, from time 0 on.
        extractor: who made the windows.
        frames: of the clip.

    Returns:
        (40 frames, C).
    """
    wanted = frames * FRAME_MS
    steps = wanted // STEP_MS + 1
    padded = np.zeros((steps + 2) * STEP_MS * SAMPLES_PER_MS, np.float32)
    before = STEP_MS * SAMPLES_PER_MS  # silence, so that time 0 has a step before it, too
    inside = speech[: len(padded) - before]
    padded[before : before + len(inside)] = inside
    # The 20 ms from each millisecond on: as many runs of the extractor as a step has of them.
    runs = [extractor.steps(padded[ms * SAMPLES_PER_MS :])[:steps] for ms in range(STEP_MS)]
    by_start = np.stack(runs, 1).reshape(steps * STEP_MS, -1)
    return (by_start[:wanted] + by_start[STEP_MS : STEP_MS + wanted]) / 2.0
