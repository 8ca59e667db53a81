"""Directions of the rays through pixels."""

import torch
from torch import Tensor

from ssp_nerf import kernels


def camera_rays(pixels: Tensor, c2w: Tensor, focal: float, width: int, height: int) -> Tensor:
    """Directions through pixel centres, of length one along the view axis, in the head frame.

    Args:
        pixels: (B, R) int64 flat pixel numbers, row * width + column.
        c2w: (B, 3, 4) camera to head frame, OpenGL axes.
        focal: pixels, at this width and height.
        width, height: of the image.

    Returns:
        (B, R, 3).
    """
    if not kernels.chosen(c2w):
        return plain_camera_rays(pixels, c2w, focal, width, height)
    from ssp_nerf.kernels import camera_rays_triton

    return camera_rays_triton.camera_rays(
        pixels.contiguous(), c2w.contiguous(), focal, width, height
    )


def plain_camera_rays(pixels: Tensor, c2w: Tensor, focal: float, width: int, height: int) -> Tensor:
    """`camera_rays` in plain PyTorch."""
    row = torch.div(pixels, width, rounding_mode="floor")
    column = pixels - row * width
    x = (column + 0.5 - width / 2) / focal
    y = -(row + 0.5 - height / 2) / focal
    camera = torch.stack([x, y, -torch.ones_like(x)], dim=-1).to(c2w.dtype)
    # Not a matrix product, which autocast would round to bf16.
    return (c2w[:, None, :, :3] * camera[..., None, :]).sum(-1)
