"""What a picture may look like where nobody ever saw it: a membrane stretched over the hole."""

import cv2
import numpy as np

SWEEPS = 64
"""At each size of the picture. Measured on portraits: within 5 grey levels of the exact membrane
where the hole's edge is busy, 0.7 on average; twice as many halve that and cost twice the time."""
MEAN_OF_NEIGHBOURS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.float32) / 5
"""The pixel's own share keeps neighbours from swapping their values for ever."""


def fill_unseen(picture: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Give unseen pixels the colours of a membrane that is held at the edge of what was seen.

    Each is the mean of its neighbours (Laplace's equation, no flow across the picture's border), so
    no colour is there that the edge does not have, and none of its details go far in. Nobody will
    see these pixels, but the last sample of their rays takes this colour, so it should have no
    edges for the network to explain.

    Args:
        picture: (H, W, 3) uint8.
        seen: (H, W) bool, True somewhere.

    Returns:
        (H, W, 3) uint8, `picture` where seen.
    """
    unseen = (~seen).astype(np.uint8)
    edge = seen & (cv2.dilate(unseen, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))) > 0)
    if not edge.any():
        return picture
    filled = _membrane(picture.astype(np.float32), edge)
    return np.where(seen[..., None], picture, filled.round().astype(np.uint8))


def _membrane(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Relax (H, W, 3) float32 where not `known`, (H, W), from what half the size looks like."""
    if known.all():
        return values
    height, width = known.shape
    values, known = _even(values), _even(known)
    weights = known.astype(np.float32)
    share = _halved(weights)
    means = _halved(values * weights[..., None]) / np.maximum(share, 0.25)[..., None]
    rough = _membrane(means, share > 0)
    size = known.shape[1], known.shape[0]
    values = np.where(known[..., None], values, cv2.resize(rough, size))
    values, known = values[:height, :width], known[:height, :width, None]
    for _ in range(SWEEPS):
        mean = cv2.filter2D(values, -1, MEAN_OF_NEIGHBOURS, borderType=cv2.BORDER_REPLICATE)
        values = np.where(known, values, mean)
    return values


def _even(values: np.ndarray) -> np.ndarray:
    """(H, W, ...) with the last row and column repeated where H or W is odd."""
    height, width = values.shape[:2]
    around = [(0, height % 2), (0, width % 2), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values, around, mode="edge")


def _halved(values: np.ndarray) -> np.ndarray:
    """Means over squares of 2x2 pixels of (H, W, ...), H and W even."""
    height, width = values.shape[:2]
    return values.reshape(height // 2, 2, width // 2, 2, *values.shape[2:]).mean((1, 3))
