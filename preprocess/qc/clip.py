"""What the pictures need of a clip's files, read in blocks so that memory does not grow with it."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from ssp_nerf.errors import InputError
from ssp_nerf.schema import FPS, Layout

BLOCK = 64  # frames
STEADY_SECONDS = 0.4
"""A close-up follows the head this slowly: points that jump then jump in it, too."""


def require_frames(path: Path, layout: Layout, count: int, frames: Path, wanted: int) -> None:
    """Refuse a file that does not belong to a clip.

    Args:
        path: of the kind `layout`, with `count` frames.
        frames: the clip, with `wanted` frames.

    Raises:
        InputError: the numbers differ.
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


def steady(centres: np.ndarray) -> np.ndarray:
    """(N, 2) smoothed over `STEADY_SECONDS`."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(centres, STEADY_SECONDS * FPS, axis=0, mode="nearest")
