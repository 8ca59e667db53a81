"""Yaw, pitch and roll of a head, for people to read."""

import numpy as np
from scipy.spatial.transform import Rotation


def head_angles(rotations: Rotation) -> dict[str, np.ndarray]:
    """Yaw, pitch and roll of the head towards the camera, degrees, (N,) each; 0 looks straight at
    it. Turned first about y (to the right of the picture), then about x (down), then about z."""
    yaw, pitch, roll = rotations.inv().as_euler("YXZ", degrees=True).T
    return {"yaw": yaw, "pitch": pitch, "roll": roll}


def camera_angles(c2w: np.ndarray) -> dict[str, np.ndarray]:
    """The same of c2w (N, 3, 4), OpenGL axes."""
    return head_angles(Rotation.from_matrix(c2w[:, :, :3].astype(np.float64)))
