"""SSIM, structural similarity.

Reference: Wang, Bovik, Sheikh, Simoncelli, Image quality assessment: from error visibility to
structural similarity, IEEE TIP 2004.
Protocol: Gaussian window of sigma 1.5 (11 pixels), population covariance, data range 255, mean over
RGB. Full frame: without the half window at the border. Inside a mask: mean of the map there.
Pitfalls: another window or a grey picture gives other figures (skimage's defaults are a flat window
of 7 pixels). A smooth background counts as much as a face, so the full frame's is high for anybody.
"""

import numpy as np

from ssp_nerf.errors import InputError
from ssp_nerf.metrics.psnr import PEAK

SIGMA = 1.5
WINDOW = 11  # what skimage makes of that sigma (truncated at 3.5 sigma)


def ssim(picture: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Mean SSIM, -1 to 1, of (H, W, 3) uint8 pictures, or of the pixels in mask (H, W) bool.

    Windows reach across the mask's edge; nan where the mask is empty.
    """
    full, by_pixel = ssim_map(picture, truth)
    return full if mask is None else mean_inside(by_pixel, mask)


def mean_inside(by_pixel: np.ndarray, mask: np.ndarray) -> float:
    """Mean of a map (H, W) over a mask, nan where the mask is empty."""
    return float(by_pixel[mask].mean()) if mask.any() else float("nan")


def ssim_map(picture: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray]:
    """SSIM of the full frame and its map (H, W), mean over channels.

    Raises:
        InputError: the picture is smaller than the 11-pixel window.
    """
    from skimage.metrics import structural_similarity

    if min(picture.shape[:2]) < WINDOW:
        raise InputError(
            f"frames are {picture.shape[1]}x{picture.shape[0]} pixels, SSIM needs at least "
            f"{WINDOW}x{WINDOW}. Use larger frames."
        )
    full, by_pixel = structural_similarity(
        picture,
        truth,
        gaussian_weights=True,
        sigma=SIGMA,
        use_sample_covariance=False,
        data_range=PEAK,
        channel_axis=2,
        full=True,
    )
    return float(full), by_pixel.mean(axis=2)
