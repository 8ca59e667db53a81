"""Following a head in the picture: the shift, rotation and scale that fit its points best."""

import cv2
import numpy as np


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(2, 3): the shift, rotation and scale that moves points (P, 2) onto others, least squares."""
    centre, goal = source.mean(0), target.mean(0)
    x, y = (source - centre).T
    u, v = (target - goal).T
    size = (x * x + y * y).sum()
    a, b = (x * u + y * v).sum() / size, (x * v - y * u).sum() / size
    linear = np.array([[a, -b], [b, a]])
    return np.column_stack([linear, goal - linear @ centre])


def moved_onto(face: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A face (P, 3) where another one is, by a similarity in the picture."""
    motion = similarity(face[:, :2], other[:, :2])
    moved = face.copy()
    moved[:, :2] = face[:, :2] @ motion[:, :2].T + motion[:, 2]
    return moved


def align(values: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Move a picture (H, W, C) so that the points `source` (P, 2) come to lie on `target`."""
    motion = similarity(source, target)
    return cv2.warpAffine(values, motion, values.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
