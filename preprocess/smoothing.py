"""Poses without jitter: a smoother that spares cuts and quick turns."""

import numpy as np
from scipy.linalg import solveh_banded
from scipy.spatial.transform import Rotation

QUICK = 4.0
"""Times the clip's median second difference from which on motion is meant, not noise."""
DISTANCE_STIFFNESS = 100.0
"""Times the penalty that the rest has, on the distance: it comes from the size of a face 0.6 dm
about its middle, 9 dm away, so its noise is some ten times that of other shifts, and people come
slowly nearer; a penalty of 100 halves what changes within 20 frames."""


def smooth_poses(
    rotations: np.ndarray, translations: np.ndarray, smoothness: float, trust: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Take the jitter out of poses (0: leave them as they are), but no cuts or quick turns.

    Rotations are smoothed as rotation vectors from their mean, with the same filter as the shifts
    across the view, so that errors of both that cancel in the picture still cancel; the distance is
    smoothed more (`DISTANCE_STIFFNESS`). Where the motion changes much faster than usual (`QUICK`),
    the penalty is lowered, or a cut in the video would be smeared over its neighbours.

    Args:
        rotations, translations: (N, 3, 3), (N, 3) head to camera, OpenCV axes, decimetres.
        smoothness: weight of the penalty on second differences, see `whittaker`.
        trust: (N,) weight of each frame, 0 where its pose is a guess.
    """
    if smoothness == 0 or len(trust) < 3:
        return rotations, translations
    mean = Rotation.from_matrix(rotations).mean()
    turns = (Rotation.from_matrix(rotations) * mean.inv()).as_rotvec()
    distance = translations[:, 2:]
    middle = distance.mean()
    values = np.column_stack([turns, translations / distance * middle])
    values[:, 5:] = distance
    # A radian moves the rim of the face by about 1 dm, so turns and shifts add up. Distance is left
    # out: its noise is several times that of the rest.
    change = np.linalg.norm(np.diff(values[:, :5], n=2, axis=0), axis=1)
    usual = max(QUICK * float(np.median(change)), float(np.finfo(float).tiny))
    stiffness = np.minimum(1, usual / np.maximum(change, usual)) ** 2
    penalty = smoothness * stiffness
    smooth = whittaker(values, penalty, trust)
    smooth[:, 5:] = whittaker(values[:, 5:], DISTANCE_STIFFNESS * penalty, trust)
    return (
        (Rotation.from_rotvec(smooth[:, :3]) * mean).as_matrix(),
        np.column_stack([smooth[:, 3:5] * smooth[:, 5:] / middle, smooth[:, 5]]),
    )


def whittaker(values: np.ndarray, penalty: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """Whittaker's smoother: least squares with a penalty on second differences over time.

    A sine of T frames keeps 1 / (1 + penalty (2 sin(pi / T))^4) of its amplitude (Eilers, A Perfect
    Smoother, 2003): with penalty 1 half of it at T = 6, 94 % at T = 12.

    Args:
        values: (N, D).
        penalty: (N - 2,) weight of each second difference.
        trust: (N,) weight of each frame; where it is 0 the neighbours decide.
    """
    count = len(values)
    # The diagonals of D' diag(penalty) D, D = second differences, in solveh_banded's upper form.
    bands = np.zeros((3, count))
    for row, first, product in ((0, 2, 1), (1, 1, -2), (1, 2, -2), (2, 0, 1), (2, 1, 4), (2, 2, 1)):
        bands[row, first : first + count - 2] += penalty * product
    bands[2] += np.maximum(trust, np.finfo(np.float32).eps)
    return solveh_banded(bands, trust[:, None] * values)
