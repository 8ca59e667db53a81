"""Triton kernel of camera_rays.py: a block of rays for each program."""

import triton
import triton.language as tl
from torch import Tensor

RAYS = 256  # of a program


@triton.jit
def _direct(pixels, c2w, directions, rays, focal, width, height, RAYS: tl.constexpr):
    frame = tl.program_id(1).to(tl.int64)
    number = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    inside = number < rays
    ray = frame * rays + number
    pixel = tl.load(pixels + ray, inside, other=0).to(tl.int32)
    row = pixel // width
    x = (pixel - row * width + 0.5 - width / 2) / focal
    y = -(row + 0.5 - height / 2) / focal
    for axis in tl.static_range(3):
        rotation = c2w + frame * 12 + axis * 4
        direction = tl.load(rotation) * x + tl.load(rotation + 1) * y - tl.load(rotation + 2)
        tl.store(directions + ray * 3 + axis, direction, inside)


def camera_rays(pixels: Tensor, c2w: Tensor, focal: float, width: int, height: int) -> Tensor:
    """As `camera_rays.camera_rays`; contiguous, c2w fp32."""
    frames, rays = pixels.shape
    directions = c2w.new_empty(frames, rays, 3)
    grid = (triton.cdiv(rays, RAYS), frames)
    _direct[grid](pixels, c2w, directions, rays, focal, width, height, RAYS)
    return directions
