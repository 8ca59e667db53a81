"""Runs of frames without a face: where they are, and points for them from the frames around."""

import numpy as np


def fill_gaps(points: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Replace the points of frames without a face.

    Between two frames with a face they lie on the straight line; before the first and after the
    last they are those of the nearest frame. Without any face nothing changes.

    Args:
        points: (N, P, 3) float32.
        found: (N,) bool.

    Returns:
        (N, P, 3) float32: a copy, or `points` if there is nothing to fill.
    """
    known, missing = np.flatnonzero(found), np.flatnonzero(~found)
    if not len(known) or not len(missing):
        return points
    filled = points.copy()
    after = np.searchsorted(known, missing).clip(max=len(known) - 1)
    before = (np.searchsorted(known, missing) - 1).clip(min=0)
    left, right = known[before], known[after]
    share = np.where(left == right, 0, (missing - left) / np.maximum(right - left, 1))
    share = share.astype(np.float32)[:, None, None]
    filled[missing] = (1 - share) * points[left] + share * points[right]
    return filled


def gaps(found: np.ndarray) -> list[tuple[int, int]]:
    """First and last frame of every run of frames without a face; found: (N,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], found, [True]]).astype(np.int8)))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]
