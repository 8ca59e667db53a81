"""Peak signal-to-noise ratio, apart from the other metrics: rendering reports it, too."""

import numpy as np

PEAK = 255.0  # the largest value of an 8-bit channel


def psnr(picture: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(255^2 / mean squared error), inf if identical.

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
