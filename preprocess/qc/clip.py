"""What the pictures need of a clip's files, read in blocks so that memory does not grow with it."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from ssp_nerf.errors import InputError
from ssp_nerf.schema import FPS, Layout

BLOCK = 256  # frames


def require_frames(path: Path, layout: Layout, count: int, frames: Path, wanted: int) -> None:
    """Raises:
    InputError: `path` has not as many frames as the clip `frames`.
    """
    if count != wanted:
        raise InputError(
            f"{path}: {count} frames, but {frames} has {wanted}. Delete it; `{layout.made_by}` "
            "makes it anew of these frames."
        )


def blocks(array: h5py.Dataset, overlap: int = 0) -> Iterator[np.ndarray]:
    """The rows of an array in order, `BLOCK` at a time and the last `overlap` of them again."""
    for begin in range(0, len(array), BLOCK):
        yield array[max(0, begin - overlap) : begin + BLOCK]


def frame_loudness(samples: np.ndarray, count: int) -> np.ndarray:
    """Loudness round the time of each frame: (T,) samples, full scale 1 -> (count,) decibels.

    Root mean square of the 40 ms centred on the frame's time, over full scale; `FLOOR` at least.
    """
    from preprocess.audio_features import SAMPLES_PER_FRAME

    half = SAMPLES_PER_FRAME // 2
    padded = np.zeros(count * SAMPLES_PER_FRAME, np.float32)
    heard = samples[: len(padded) - half]
    padded[half : half + len(heard)] = heard
    power = (padded.reshape(count, -1) ** 2).mean(1)
    return 10 * np.log10(np.maximum(power, 10 ** (FLOOR / 10)))


FLOOR = -60.0
"""Decibels below full scale that count as silence: the noise of a quiet room."""


def seconds(frame: int) -> str:
    """`12.34 s`, the time of a frame."""
    return f"{frame / FPS:.2f} s"
