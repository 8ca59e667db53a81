"""How near a picture is to the truth: PSNR, SSIM, and the distance between mouths (LMD).

Pictures are (H, W, 3) uint8 RGB; a mask is (H, W) bool. A figure that is not defined (no pixel in
the mask, no face in the frame) is nan.
"""

from typing import NamedTuple

import numpy as np

from ssp_nerf.errors import InputError
from ssp_nerf.psnr import PEAK, psnr

SSIM_SIGMA = 1.5  # Wang et al. 2004: Gaussian window of 11 pixels, population covariance
SSIM_WINDOW = 11  # what skimage makes of that sigma (truncated at 3.5 sigma)


class ImageScores(NamedTuple):
    """One picture against its truth, over the full frame and inside the head."""

    psnr: float
    ssim: float
    psnr_head: float
    ssim_head: float


def image_scores(picture: np.ndarray, truth: np.ndarray, head: np.ndarray) -> ImageScores:
    """PSNR (dB) and SSIM of a picture, over all pixels and over those of `head`."""
    full, by_pixel = ssim_map(picture, truth)
    return ImageScores(
        psnr=psnr(picture, truth),
        ssim=full,
        psnr_head=psnr(picture, truth, head),
        ssim_head=float(by_pixel[head].mean()) if head.any() else float("nan"),
    )


def ssim(picture: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Structural similarity, mean over channels; see `ssim_map` for the settings.

    Without a mask the half window at the border is left out, as skimage does; with one it is the
    mean of the SSIM map over the mask's pixels, whose windows reach across the mask's edge.
    """
    full, by_pixel = ssim_map(picture, truth)
    if mask is None:
        return full
    return float(by_pixel[mask].mean()) if mask.any() else float("nan")


def ssim_map(picture: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray]:
    """SSIM of the full frame and its map (H, W), mean over channels.

    Settings of Wang et al. 2004, as skimage documents them: Gaussian weights of sigma 1.5,
    population covariance, data range 255.

    Raises:
        InputError: the picture is smaller than the 11-pixel window.
    """
    from skimage.metrics import structural_similarity

    if min(picture.shape[:2]) < SSIM_WINDOW:
        raise InputError(
            f"frames are {picture.shape[1]}x{picture.shape[0]} pixels, SSIM needs at least "
            f"{SSIM_WINDOW}x{SSIM_WINDOW}. Use larger frames."
        )
    full, by_pixel = structural_similarity(
        picture,
        truth,
        gaussian_weights=True,
        sigma=SSIM_SIGMA,
        use_sample_covariance=False,
        data_range=PEAK,
        channel_axis=2,
        full=True,
    )
    return float(full), by_pixel.mean(axis=2)


def landmark_distance(mouth: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """LMD: mean distance between mouth points, each mouth centred on its own mean.

    As AD-NeRF's successors compute it (`LMDMeter` of RAD-NeRF, region "mouth"). It is in pixels,
    so it depends on the resolution, and on the landmark detector.

    Args:
        mouth, truth: (..., 20, 2) iBUG points 48-67 in pixels at the same size.

    Returns:
        (...) pixels; nan where a point is nan.
    """
    centred = mouth - mouth.mean(axis=-2, keepdims=True)
    centred_truth = truth - truth.mean(axis=-2, keepdims=True)
    return np.linalg.norm(centred - centred_truth, axis=-1).mean(axis=-1)
