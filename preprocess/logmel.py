"""Log-mel energies of speech: how loud each band of pitch is, 50 times a second.

Step k describes the 20 ms from k / 50 s on: its 25 ms Hann window is centred on them.
"""

import numpy as np

from ssp_nerf.errors import InputError
from ssp_nerf.speech import SAMPLE_RATE

HOP = SAMPLE_RATE // 50  # samples: 20 ms, the rate of DeepSpeech's features
WINDOW = SAMPLE_RATE // 40  # samples: 25 ms
OVERHANG = (WINDOW - HOP) // 2  # samples of a step's window before, and after, its own
TRANSFORM = 1024  # zero-padded, so that the lowest mel bands are wider than a bin
LOWEST, HIGHEST = 60.0, 7600.0  # Hz: below is hum, above the resampling filter's edge
BLOCK = 3000  # steps (a minute) computed at once; memory only
FLOOR = 1e-9  # 84 dB below a full-scale sine: under any room's noise, over 16-bit rounding
"""Power that counts as silence; a full-scale sine has power 1/4 in its bin."""


class LogMel:
    """Log-mel energies of speech as it comes: each step as soon as its window is there.

    Args:
        channels: number of mel bands between 60 and 7600 Hz.

    Raises:
        InputError: so many channels that a band would be narrower than a bin of the transform.
    """

    def __init__(self, channels: int):
        self._filters = mel_filters(channels).T  # (513, channels)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)
        self._hann = hann / hann.sum()
        self._rest = np.zeros(OVERHANG, np.float32)  # from the next step's window on

    def add(self, samples: np.ndarray) -> np.ndarray:
        """The samples (T,) that follow: (steps that they complete, channels) float32."""
        self._rest = np.concatenate([self._rest, samples])
        steps = max(0, (len(self._rest) - WINDOW) // HOP + 1)
        energies = np.empty((steps, self._filters.shape[1]), np.float32)
        if steps:
            windows = np.lib.stride_tricks.sliding_window_view(self._rest, WINDOW)[::HOP]
            for start in range(0, steps, BLOCK):
                block = slice(start, start + BLOCK)
                spectrum = np.fft.rfft(windows[block] * self._hann, TRANSFORM)
                energies[block] = (np.abs(spectrum) ** 2) @ self._filters
        self._rest = self._rest[steps * HOP :].copy()  # not a view, which would keep all of it
        return np.log(np.maximum(energies, FLOOR) / FLOOR)

    def end(self) -> np.ndarray:
        """The steps (S, channels) that speech has begun, as silence completes them."""
        steps = -(-(len(self._rest) - OVERHANG) // HOP)
        return self.add(np.zeros(steps * HOP + 2 * OVERHANG - len(self._rest), np.float32))


def logmel(samples: np.ndarray, channels: int) -> np.ndarray:
    """Natural logarithm of the mel energies over the silence floor: silence is 0.

    Args:
        samples: (T,) float, 16 kHz, full scale 1.
        channels: number of mel bands between 60 and 7600 Hz.

    Returns:
        (T / 320 rounded up, channels) float32, at least 0; ten times the power adds 2.3.

    Raises:
        InputError: so many channels that a band would be narrower than a bin of the transform.
    """
    stream = LogMel(channels)
    return np.concatenate([stream.add(samples), stream.end()])


def mel_filters(channels: int) -> np.ndarray:
    """(channels, 513) triangles of peak 1, evenly spaced in mel and half overlapping.

    Mel as in HTK: 2595 log10(1 + f / 700).

    Raises:
        InputError: too many channels for the transform.
    """
    if not 1 <= channels <= TRANSFORM // 2:
        raise _narrow(channels)
    edges = mel_to_hertz(np.linspace(hertz_to_mel(LOWEST), hertz_to_mel(HIGHEST), channels + 2))
    bins = np.fft.rfftfreq(TRANSFORM, 1 / SAMPLE_RATE)
    low, centre, high = (edges[i : i + channels, None] for i in range(3))
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    filters = np.maximum(0, np.minimum(rising, falling))
    if not filters.any(axis=1).all():
        raise _narrow(channels)
    return filters


def _narrow(channels: int) -> InputError:
    return InputError(
        f"audio.channels (--channels) is {channels}, expected 1 to about 100: mel bands would "
        "be narrower than the transform can tell apart."
    )


def hertz_to_mel(hertz: float | np.ndarray) -> np.ndarray:
    """Pitch as heard."""
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def mel_to_hertz(mel: float | np.ndarray) -> np.ndarray:
    """Inverse of `hertz_to_mel`."""
    return 700 * (10 ** (np.asarray(mel) / 2595) - 1)
