"""PSNR and SSIM of one picture, over the full frame and inside the head, in one pass."""

from typing import NamedTuple

import numpy as np

from ssp_nerf.metrics.psnr import psnr
from ssp_nerf.metrics.ssim import mean_inside, ssim_map


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
        ssim_head=mean_inside(by_pixel, head),
    )
