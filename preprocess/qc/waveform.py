"""Speech as people read it: its waveform, how loud it is, and where the speaker talks most."""

from typing import TYPE_CHECKING

import numpy as np

from ssp_nerf.schema import FPS
from ssp_nerf.speech import SAMPLE_RATE, SAMPLES_PER_FRAME

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FLOOR = -60.0
"""Decibels below full scale that count as silence: the noise of a quiet room."""
COLUMNS = 1600  # about as many as a plot is wide, pixels
COLOUR = "#9fb4cc"
CLOSE_SECONDS = 8.0
"""Of a stretch that is drawn large: syllables are told apart."""


def loudness(samples: np.ndarray, count: int) -> np.ndarray:
    """How loud it is round the time of each frame: (T,) samples, full scale 1 -> (count,) decibels.

    Root mean square of the 40 ms centred on the frame's time, over full scale; `FLOOR` at least.
    """
    half = SAMPLES_PER_FRAME // 2
    padded = np.zeros(count * SAMPLES_PER_FRAME, np.float32)
    heard = samples[: len(padded) - half]
    padded[half : half + len(heard)] = heard
    power = (padded.reshape(count, -1) ** 2).mean(1)
    return 10 * np.log10(np.maximum(power, 10 ** (FLOOR / 10)))


def envelope(samples: np.ndarray, columns: int = COLUMNS) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest sample of each of so many equal parts, or of each sample if they are few:
    (T,) -> twice (columns,)."""
    edges = np.linspace(0, len(samples), min(columns, len(samples)) + 1).astype(int)[:-1]
    return np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)


def draw_waveform(axes: "Axes", samples: np.ndarray, begin: int, end: int) -> None:
    """Fill `axes` with the speech of the frames from `begin` to before `end`; x is seconds."""
    shown = samples[begin * SAMPLES_PER_FRAME : end * SAMPLES_PER_FRAME]
    if len(shown):
        low, high = envelope(shown)
        times = begin / FPS + np.arange(len(low)) / len(low) * len(shown) / SAMPLE_RATE
        axes.fill_between(times, low, high, color=COLOUR, linewidth=0.4)
    peak = max(float(np.abs(samples).max(initial=0)), 1e-3)
    axes.set_ylim(-1.05 * peak, 1.05 * peak)
    axes.set_yticks([])


def busiest(activity: np.ndarray, seconds: float = CLOSE_SECONDS) -> range:
    """The frames of the stretch with the most of (N,) `activity`; all of a shorter clip."""
    length = min(len(activity), round(seconds * FPS))
    windows = np.lib.stride_tricks.sliding_window_view(activity, length)
    first = int(np.argmax(windows.mean(1)))
    return range(first, first + length)
