"""Mouth sync: whether the mouth opens when the voice is loud; needs no network.

Reference: this project's own, the simplest of measures that see the lag of lips and sound (compare
Slaney, Covell, FaceSync, NIPS 2000). It is not SyncNet's score and not comparable with it.
Protocol: opening of the mouth (distance of the inner lips) at 25 fps; loudness of the band of the
first two formants, 500 to 2500 Hz, power to 0.3 (Stevens), smoothed by 20 ms. From both the mean
over a second is taken. Pearson's correlation over the frames for each lag of -15 to 15 frames:
- `mouth_sync`: at lag 0;
- `mouth_sync_peak`: the highest;
- `mouth_sync_lag`: where it is, frames; positive: the sound is late. Some tens of milliseconds are
  natural: lips move before they are heard.
Pitfalls: loudness tells little of the mouth's shape ("mm" is loud), so even a filmed person reaches
0.3 to 0.6 only: see the truth's own. Clips below ten seconds scatter by 0.1 and more. Background
music spoils it.
"""

from typing import NamedTuple

import numpy as np

from ssp_nerf.metrics.pearson import pearson
from ssp_nerf.schema import FPS
from ssp_nerf.speech import SAMPLE_RATE

VOICE_BAND = (500.0, 2500.0)
"""Hertz: the first two formants, loud when the jaw drops. Of the bands tried on a news speaker and
on synthetic people it goes best with the mouth's opening (0.46; all frequencies: 0.28)."""
VOICE_POWER = 0.3  # Stevens: how loud it seems grows so with the power
VOICE_RATE = 100  # Hz
SMOOTHING = 0.02  # seconds, standard deviation: what one frame of lips shows
REACH = 15  # frames, as SyncNet's
STEPS = 4  # of the lag in a frame
LEAST_FRAMES = REACH + round(FPS)  # a second is heard at every lag


class MouthSync(NamedTuple):
    """Mouth and voice of a clip, and how they go together.

    Attributes:
        lags: (L,) frames by which the sound is taken to be late.
        correlation: (L,) at each lag.
        opening, voice: (F,) without what is slower than a second, at lag 0; nan where a frame has
            no face or no sound.
    """

    lags: np.ndarray
    correlation: np.ndarray
    opening: np.ndarray
    voice: np.ndarray

    @property
    def at_zero(self) -> float:
        return float(self.correlation[len(self.lags) // 2])

    def at_zero_of(self, rows: np.ndarray) -> float:
        """The same of some frames (R,), for the bootstrap."""
        rows = rows[np.isfinite(self.opening[rows] + self.voice[rows])]
        return pearson(self.opening[rows], self.voice[rows])

    @property
    def peak(self) -> float:
        return float(np.nanmax(self.correlation))

    @property
    def lag(self) -> float:
        """Frames by which the sound is late."""
        return float(self.lags[np.nanargmax(self.correlation)])


def mouth_sync(opening: np.ndarray, speech: np.ndarray) -> MouthSync | None:
    """Correlation of the mouth's opening with the loudness of speech at every lag.

    Args:
        opening: (F,) in any unit, frame i at i / 25 s; nan where there is no face.
        speech: (T,) samples at 16 kHz, the first at the time of frame 0.

    Returns:
        None where fewer than 40 frames have a face, or the mouth or the sound never changes.
    """
    found = np.isfinite(opening)
    if found.sum() < LEAST_FRAMES:
        return None
    lags = np.arange(-REACH * STEPS, REACH * STEPS + 1) / STEPS
    heard = loudness(speech)
    clock = (np.arange(len(heard)) + 0.5) / VOICE_RATE
    moments = np.arange(len(opening)) / FPS
    seen = np.where(found, changes(filled(opening), FPS), np.nan)
    voices = [
        np.interp(moments + lag / FPS, clock, heard, left=np.nan, right=np.nan) for lag in lags
    ]
    correlation = np.full(len(lags), np.nan)
    for i, voice in enumerate(voices):
        used = np.isfinite(seen + voice)
        if used.sum() >= LEAST_FRAMES - REACH - 1:
            correlation[i] = pearson(seen[used], voice[used])
    middle = len(lags) // 2
    if np.isnan(correlation[middle]):
        return None
    return MouthSync(lags, correlation, seen, voices[middle])


def loudness(speech: np.ndarray) -> np.ndarray:
    """(T,) samples at 16 kHz -> (K,) loudness at 100 Hz without what is slower than a second."""
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import butter, sosfilt

    band = butter(2, VOICE_BAND, "bandpass", fs=SAMPLE_RATE, output="sos")
    step = SAMPLE_RATE // VOICE_RATE
    voice = sosfilt(band, speech.astype(np.float64))
    power = (voice[: len(voice) // step * step].reshape(-1, step) ** 2).mean(axis=1)
    return changes(gaussian_filter1d(power**VOICE_POWER, SMOOTHING * VOICE_RATE), VOICE_RATE)


def changes(curve: np.ndarray, rate: float) -> np.ndarray:
    """A curve at `rate` Hz without what is slower than a second: poses and levels drift."""
    from scipy.ndimage import uniform_filter1d

    return curve - uniform_filter1d(curve, round(rate), mode="nearest")


def filled(curve: np.ndarray) -> np.ndarray:
    """A curve with straight lines where it is nan."""
    known = np.flatnonzero(np.isfinite(curve))
    return np.interp(np.arange(len(curve)), known, curve[known])
