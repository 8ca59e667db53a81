"""What the pictures need of a clip's files, read in blocks so that memory does not grow with it."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from ssp_nerf.errors import InputError
from ssp_nerf.schema import Layout

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
