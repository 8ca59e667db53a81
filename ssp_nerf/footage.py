"""What the metrics look at: a clip's frames, and what was found in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Footage:
    """F consecutive frames at 25 fps.

    Attributes:
        frames: F of (H, W, 3) uint8 RGB.
        points: (F, P, 2) landmarks in pixels of the frames; nan where no face was found.
        detector: who found them.
        parsing: F of (H, W) uint8 class ids, or None.
        parser: whose they are.
        speech: (T,) int16 at 16 kHz, the first sample at the time of the first frame, or None.
    """

    frames: Sequence[np.ndarray]
    points: np.ndarray
    detector: str
    parsing: Sequence[np.ndarray] | None = None
    parser: str = "none"
    speech: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames, pixels."""
        height, width = self.frames[0].shape[:2]
        return width, height


class Rows(Sequence[np.ndarray]):
    """Some rows of an array on disk, read when they are asked for; enlarged or reduced if need be.

    Args:
        array: (N, H, W, 3) or anything that gives such frames by their number.
        rows: which, in order.
        size: width and height wanted, pixels; None: as they are.
    """

    def __init__(
        self, array: Any, rows: Sequence[int] | np.ndarray, size: tuple[int, int] | None = None
    ):
        self._array, self._rows, self._size = array, rows, size

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        return resized(self._array[self._rows[index]], self._size)


def resized(picture: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """A picture (H, W, 3) by Lanczos, a parsing map (H, W) by the nearest pixel, resized."""
    if size is None or picture.shape[1::-1] == size:
        return picture
    from PIL import Image

    by = Image.Resampling.LANCZOS if picture.ndim == 3 else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(picture).resize(size, by))
