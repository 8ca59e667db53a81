"""Camera rays (paper, section 3.1: r(v) = o + v d)."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ssp_nerf.kernels.camera_rays import camera_rays


@dataclass
class Rays:
    """R rays in each of B frames, in the head frame, decimetres.

    Directions have length one along the camera's view axis, so that v in o + v d is depth, and near
    and far are planes.
    """

    origins: Tensor  # (B, R, 3)
    directions: Tensor  # (B, R, 3)

    @cached_property
    def view(self) -> Tensor:
        """(B, R, 3) unit view directions."""
        return self.directions / self.step_length

    @cached_property
    def step_length(self) -> Tensor:
        """(B, R, 1) decimetres travelled per unit of depth."""
        return self.directions.norm(dim=-1, keepdim=True)

    def at(self, depths: Tensor) -> Tensor:
        """Depths (B, R, S) -> points (B, R, S, 3)."""
        origins, directions = self.origins[..., None, :], self.directions[..., None, :]
        if depths.is_cuda:  # one pass over all points instead of two
            return torch.addcmul(origins, depths[..., None], directions)
        return origins + depths[..., None] * directions


def rays_through_pixels(pixels: Tensor, c2w: Tensor, focal: float, width: int, height: int) -> Rays:
    """Rays through pixel centres.

    Args:
        pixels: (B, R) flat pixel numbers, row * width + column.
        c2w: (B, 3, 4) camera to head frame, OpenGL axes.
        focal: pixels, at this width and height.
        width, height: of the image.
    """
    directions = camera_rays(pixels, c2w, focal, width, height)
    return Rays(c2w[:, None, :, 3].expand_as(directions), directions)
