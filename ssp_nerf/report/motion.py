"""How the head moves over the whole clip, as the camera's poses tell it."""

from typing import Any

import numpy as np

from ssp_nerf.head_angles import camera_angles

MM_PER_DM = 100
DECIMALS = 2


def head_motion(c2w: np.ndarray) -> dict[str, Any]:
    """Angles towards the camera, degrees, and place, millimetres from the mean one.

    Args:
        c2w: (N, 3, 4), OpenGL axes, decimetres; the head stays at the origin, the camera moves.

    Returns:
        yaw, pitch, roll; right, up, nearer (as the camera sees it): lists of N.
    """
    rotation, origin = c2w[:, :, :3].astype(np.float64), c2w[:, :, 3].astype(np.float64)
    place = np.einsum("nij,ni->nj", rotation, -origin) * MM_PER_DM  # of the head, camera axes
    place -= place.mean(0)
    curves = {**camera_angles(c2w), **dict(zip(("right", "up", "nearer"), place.T, strict=True))}
    return {name: values.round(DECIMALS).tolist() for name, values in curves.items()}


def stretches(marked: np.ndarray) -> list[tuple[int, int]]:
    """(N,) bool -> first and last frame of each stretch of marked ones."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]
