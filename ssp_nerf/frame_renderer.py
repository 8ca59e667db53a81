"""Whole frames, chunk by chunk."""

from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from ssp_nerf.audio import neighbouring_windows
from ssp_nerf.dataset import known_time
from ssp_nerf.device import precision
from ssp_nerf.model import SSPNeRF
from ssp_nerf.rays import rays_through_pixels


class FrameImage(NamedTuple):
    """What the fine level draws of one frame."""

    colour: Tensor  # (H, W, 3) in [0, 1]
    parsing: Tensor  # (H, W) uint8, the likeliest class
    displacement: Tensor  # (H, W, 3) expected displacement, decimetres

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return (self.colour * 255).round().to(torch.uint8).cpu().numpy()


class Clip(Protocol):
    """What of a clip a frame is drawn from: a dataset's, or a bundle's."""

    c2w: Tensor  # (N, 3, 4)
    time: Tensor  # (N,)
    background: Tensor  # (H * W, 3) in [0, 1]
    focal: float  # pixels
    width: int
    height: int

    @property
    def training_frames(self) -> Tensor:
        """(T,)"""
        ...


def draw(
    model: SSPNeRF,
    clip: Clip,
    pose: int,
    windows: Tensor,
    moment: int,
    rays_per_chunk: int = 4096,
    arithmetic: str = "auto",
) -> FrameImage:
    """The portrait in the pose of a frame of the clip, at a moment (frame) of a speech.

    Args:
        windows: (M, 16, C) speech features, on the clip's device.
        rays_per_chunk, arithmetic: as in `render_frame`.
    """
    return render_frame(
        model,
        known_time(clip.time, clip.training_frames)[pose],
        clip.c2w[pose],
        neighbouring_windows(windows, torch.tensor([moment], device=windows.device))[0],
        clip.background,
        clip.focal,
        clip.width,
        clip.height,
        rays_per_chunk,
        arithmetic,
    )


@torch.inference_mode()
def render_frame(
    model: SSPNeRF,
    t: Tensor,
    c2w: Tensor,
    windows: Tensor,
    background: Tensor,
    focal: float,
    width: int,
    height: int,
    rays_per_chunk: int = 4096,
    arithmetic: str = "auto",
) -> FrameImage:
    """Render one frame.

    Args:
        t: () time in [0, 1].
        c2w: (3, 4) camera to head frame.
        windows: (8, 16, C) neighbouring windows of speech features.
        background: (H * W, 3) in [0, 1].
        focal: pixels at this width and height.
        rays_per_chunk: rays at once; memory grows with it, the picture stays the same.
        arithmetic: auto, fp32, tf32 or bf16, on a GPU.
    """
    model.eval()
    colour, parsing, displacement = [], [], []
    with precision(background.device, arithmetic):
        condition = model.condition(t[None], c2w[None], windows[None])
        for pixels in torch.arange(width * height, device=c2w.device).split(rays_per_chunk):
            rays = rays_through_pixels(pixels[None], c2w[None], focal, width, height)
            fine = model(rays, condition, background[pixels][None]).fine
            colour.append(fine.colour[0])
            parsing.append(fine.logits[0].argmax(-1).to(torch.uint8))
            displacement.append(fine.displacement[0])
    return FrameImage(
        torch.cat(colour).view(height, width, 3).clamp(0, 1),
        torch.cat(parsing).view(height, width),
        torch.cat(displacement).view(height, width, 3),
    )
