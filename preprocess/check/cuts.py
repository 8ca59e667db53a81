"""Where the film was cut: frames that differ from the one before as none around them do."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from preprocess.check import limits
from preprocess.check.findings import Finding, Level, level_at_most

SIDE = 96
"""Pixels, about, of the shorter side of the pictures that are compared: blind to noise, and small
enough for every frame of a long film."""
SAMPLED = 3  # pixels of a row, at least, that make one of these
CONTEXT = 12  # frames before and after that a cut stands out from: half a second
FLOOR = 0.3  # levels; a still picture's changes are coding noise


@dataclass
class Changes:
    """How much each frame differs from the one before.

    Attributes:
        differences: mean absolute change, levels of 255; 0 for the first frame.
        brightness: mean of each frame, levels.
    """

    differences: list[float] = field(default_factory=list)
    brightness: list[float] = field(default_factory=list)
    _last: np.ndarray | None = None

    def add(self, luma: np.ndarray) -> None:
        """Take the next frame, (H, W) uint8."""
        # Of a large picture not every pixel, and of those whole blocks: ten times faster.
        step = max(1, min(luma.shape) // (SAMPLED * SIDE))
        sampled = np.ascontiguousarray(luma[::step, ::step])
        block = max(1, round(min(sampled.shape) / SIDE))
        rows, columns = (n // block for n in sampled.shape)
        whole = sampled[: rows * block, : columns * block]
        small = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.int16)
        change = 0.0 if self._last is None else float(np.abs(small - self._last).mean())
        self.differences.append(change)
        self.brightness.append(float(small.mean()))
        self._last = small


def find_cuts(differences: np.ndarray) -> np.ndarray:
    """Indices of the first frames after cuts.

    A flash is two such frames in a row, from which neither stands out, so it is not taken for one.

    Args:
        differences: (N,) as in `Changes`.
    """
    padded = np.pad(np.asarray(differences, float), CONTEXT)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * CONTEXT + 1).copy()
    windows[:, CONTEXT] = 0
    around = windows.max(1)
    here = np.asarray(differences, float)
    stands_out = here > limits.CUT_RATIO * (around + FLOOR)
    return np.flatnonzero(stands_out & (here > limits.CUT_LEVELS))


def check_cuts(times: np.ndarray, cuts: np.ndarray, scenes: int) -> Finding:
    """Finding on the cuts.

    Args:
        times: (N,) seconds of all frames.
        cuts: indices of the first frames after cuts.
        scenes: how many of the cuts lead to another background.
    """
    wanted = "one take, without cuts"
    if not len(cuts):
        return Finding("cuts", Level.GOOD, "none", wanted)
    when = [(float(times[cut]), float(times[cut])) for cut in cuts]
    measured = f"{len(cuts)} cut{'s' if len(cuts) > 1 else ''}"
    if scenes:
        return Finding(
            "cuts", Level.WILL_NOT_WORK, f"{measured}, {scenes} of them to another scene", wanted,
            "Use the stretch between two cuts: start and duration of subjects.<name>.", when,
        )  # fmt: skip
    minutes = max(1.0, float(times[-1] - times[0]) / 60)
    level = max(Level.USABLE, level_at_most(len(cuts) / minutes, *limits.JUMPS_A_MINUTE))
    return Finding(
        "cuts", level, f"{measured} within the scene: the head jumps", wanted,
        "The smooth poses will be off there. Better a stretch without: start and duration of "
        "subjects.<name>.", when,
    )  # fmt: skip
