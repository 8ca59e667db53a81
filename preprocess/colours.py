"""How often each colour occurs: histograms over the levels of CIE Lab."""

from collections.abc import Sequence

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

LAB_SHIFT = (3, 2, 2)
"""OpenCV's 8-bit L, a, b are cut to 32, 64 and 64 levels: shading moves L more than a and b."""
LAB_LEVELS = tuple(256 >> shift for shift in LAB_SHIFT)
LEVELS = int(np.prod(LAB_LEVELS))
LAB_SMOOTHING = 1.0  # standard deviation, in levels
UNKNOWN_COLOURS = 0.01
"""Share of the pictures that is added to each kind's pixels, of all colours alike: what is known of
a kind from few pixels says little."""


def lab_level(image: np.ndarray) -> np.ndarray:
    """RGB (H, W, 3) uint8 -> (H, W) int32 index of its Lab level."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.int32)
    light, a, b = (lab[..., i] >> LAB_SHIFT[i] for i in range(3))
    return (light * LAB_LEVELS[1] + a) * LAB_LEVELS[2] + b


def colour_models(levels: Sequence[np.ndarray], weights: Sequence[np.ndarray]) -> np.ndarray:
    """(LEVELS, K) float32: smoothed, normalised histogram of the colours of each of K kinds.

    Args:
        levels: of each picture, (...) Lab levels.
        weights: of each picture, (..., K): how far a pixel is of a kind.
    """
    unknown = UNKNOWN_COLOURS * sum(level.size for level in levels)
    models = np.empty((LEVELS, weights[0].shape[-1]), np.float32)
    for kind in range(models.shape[1]):
        counts = np.zeros(LEVELS)
        for level, weight in zip(levels, weights, strict=True):
            counts += np.bincount(level.ravel(), weight[..., kind].ravel(), LEVELS)
        smooth = gaussian_filter(counts.reshape(LAB_LEVELS), LAB_SMOOTHING).ravel()
        models[:, kind] = (smooth + unknown / LEVELS) / (smooth.sum() + unknown)
    return models


def chroma_models(levels: Sequence[np.ndarray], weights: Sequence[np.ndarray]) -> np.ndarray:
    """(LEVELS, K): as `colour_models`, but the same for all lightnesses of a hue."""
    models = colour_models(levels, weights).reshape(*LAB_LEVELS, -1)
    return np.broadcast_to(models.mean(0), models.shape).reshape(LEVELS, -1)
