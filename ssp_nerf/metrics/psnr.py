"""PSNR, peak signal-to-noise ratio.

Reference: 10 log10(255^2 / mean squared error) over pixels and RGB (paper, tables 1 and 2).
Protocol: per frame, then the mean over frames; full frame, face crop or inside a mask.
Pitfalls: the mean of decibels is not the decibels of the mean error. Head only and full frame, with
the true torso pasted in or with the method's own, differ by up to 10 dB: say which. A video encoder
costs some tenths.
"""

import numpy as np

PEAK = 255.0  # the largest value of an 8-bit channel


def psnr(picture: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(255^2 / mean squared error); inf if identical.

    Args:
        picture, truth: (H, W, 3) uint8.
        mask: pixels that count; all of them without it.
    """
    error = picture.astype(np.float64) - truth
    if mask is not None:
        error = error[mask]
    if error.size == 0:
        return float("nan")
    mean_squared = np.mean(error**2)
    return float("inf") if mean_squared == 0 else float(10 * np.log10(PEAK**2 / mean_squared))
