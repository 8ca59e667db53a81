"""Rays of a frame by few of their samples (docs/method.md, "Fast frames")."""

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ssp_nerf.kernels.overall import AtFrames
from ssp_nerf.kernels.resampling import resample
from ssp_nerf.parsing_map import CLASSES
from ssp_nerf.rays import Rays
from ssp_nerf.volume import intervals, render_weights

if TYPE_CHECKING:
    from ssp_nerf.occupancy import FrameOccupancy

LEAST_TRANSMITTANCE = 0.005  # what lies behind is not seen
STRIDE = 4  # every fourth sample of a ray is computed first; the kernels know only four
SAMPLE_TOLERANCE = 0.01
"""Largest change of a ray's colour by a sample that is interpolated, as its neighbours tell."""

BIN_ROUNDING = 1e-3  # bins; a coarse depth shall not fall into the bin before its own

# Numbers of a ray before the background is put behind it.
TRANSMITTANCE = 0
COLOUR = slice(1, 4)
LOGITS = slice(4, 4 + len(CLASSES))
DISPLACEMENT = slice(4 + len(CLASSES), 7 + len(CLASSES))
WIDTH = 7 + len(CLASSES)


class Frame(NamedTuple):
    """A frame of a portrait, as its rays ask it."""

    coarse: AtFrames
    fine: AtFrames
    coarse_space: "FrameOccupancy"
    fine_space: "FrameOccupancy"
    depths: Tensor  # (S,) of the coarse samples, in the middle of even bins from near to far
    near: float  # decimetres, as all depths
    far: float
    fine_samples: int  # added to the coarse ones

    @property
    def fused(self) -> bool:
        """Whether the kernels compute it; then nothing waits for the device."""
        return self.coarse.fused and self.fine.fused


def sparse_rays(
    frame: Frame, pixels: Tensor, rays: Rays, count: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """What rays (1, R, 3) through flat pixel numbers (R,) meet.

    The coarse level is asked where space is not empty; it places the samples of the fine level
    (eq. 1). Of these, where space is not empty and light comes from, every fourth is computed; then
    those between two that differ, and again those between these. What lies between two that are
    alike is made of them.

    Args:
        count: (1,) int32 rays that are asked for, the first ones, where the kernels compute;
            without it all are.

    Returns:
        (R, 18), see `TRANSMITTANCE`: eq. 9 and 10 without the background, rows from `count` on
        left as they are; and how many coarse and
        fine samples were computed, (2,) int on the device.
    """
    if not frame.fused:
        assert count is None
        return plain_sparse_rays(frame, pixels, rays)
    from ssp_nerf.kernels import sparse_rays_triton

    return sparse_rays_triton.sparse_rays(
        frame, pixels, rays, count, LEAST_TRANSMITTANCE, SAMPLE_TOLERANCE
    )


def plain_sparse_rays(frame: Frame, pixels: Tensor, rays: Rays) -> tuple[Tensor, Tensor]:
    """`sparse_rays` in plain PyTorch."""
    depths = frame.depths
    v = depths.expand(len(pixels), -1)
    step_length = rays.step_length[0]
    far = torch.full_like(step_length, frame.far)

    density = torch.zeros_like(v)
    coarse = _ask(frame.coarse, rays, v, frame.coarse_space.at(pixels, v))
    density.view(-1)[coarse.where] = coarse.density
    weights, _ = render_weights(density, intervals(v, far, step_length))
    v = resample(v[None], weights[None], frame.far, frame.fine_samples, None)[0]
    bin_ = (v - depths[0]) * (len(depths) / (frame.far - frame.near)) + BIN_ROUNDING
    bin_ = bin_.long().clamp_(0, len(depths) - 1)
    light = (1 - weights.cumsum(-1) + weights).gather(-1, bin_)
    active = frame.fine_space.at(pixels, v) & (light > LEAST_TRANSMITTANCE)

    density, colour = torch.zeros_like(v), v.new_zeros(*v.shape, 3)
    parts: list[_Points] = []

    def compute(asked: Tensor) -> None:
        points = _ask(frame.fine, rays, v, asked)
        density.view(-1)[points.where] = points.density
        colour.view(-1, 3)[points.where] = points.values[:, :3]
        parts.append(points)

    asked = torch.zeros_like(active)
    asked[:, ::STRIDE] = active[:, ::STRIDE]
    compute(asked)
    interpolated = []
    step = STRIDE // 2
    while step:
        asked = torch.zeros_like(active)
        asked[:, step :: 2 * step] = active[:, step :: 2 * step]
        left, middle, right = neighbours(step, v.shape[1])
        length = v[:, right] - v[:, left]
        difference = visible_difference(
            density[:, left], density[:, right], colour[:, left], colour[:, right],
            length * step_length, light[:, left],
        )  # fmt: skip
        alike = asked[:, middle] & active[:, left] & active[:, right]
        alike &= difference < SAMPLE_TOLERANCE
        asked[:, middle] &= ~alike
        share = (v[:, middle] - v[:, left]) / length.clamp_min(1e-9)
        raw = torch.lerp(
            softplus_inverse(density[:, left]), softplus_inverse(density[:, right]), share
        )
        density[:, middle] = torch.where(alike, F.softplus(raw), 0)
        colour[:, middle] = torch.lerp(colour[:, left], colour[:, right], share[..., None])
        of_left, of_right = torch.where(alike, 1 - share, 0), torch.where(alike, share, 0)
        interpolated.append((left, middle, right, of_left, of_right))
        compute(asked)
        step //= 2

    weights, transmittance = render_weights(density, intervals(v, far, step_length))
    # What lies between two samples is made of them: they take its weight.
    for left, middle, right, of_left, of_right in reversed(interpolated):
        weights[:, left] += weights[:, middle] * of_left
        weights[:, right] += weights[:, middle] * of_right
    seen = [
        torch.segment_reduce(
            weights.view(-1, 1)[points.where] * points.values,
            "sum",
            lengths=points.per_ray,
            unsafe=True,  # or it would wait for the GPU to check the lengths
        )
        for points in parts
    ]
    drawn = torch.cat([transmittance, torch.stack(seen).sum(0)], dim=-1)
    fine = sum(len(points.where) for points in parts)
    return drawn, torch.tensor([len(coarse.where), fine], device=v.device)


class _Points(NamedTuple):
    """Computed samples of R rays, ray after ray."""

    where: Tensor  # (N,) places in the flat (R * S) samples
    per_ray: Tensor  # (R,) how many
    density: Tensor  # (N,)
    values: Tensor  # (N, 17) colour, logits, displacement


def _ask(level: AtFrames, rays: Rays, v: Tensor, asked: Tensor) -> _Points:
    """The level at those of the rays' samples at depths v (R, S) that are asked for (R, S)."""
    where = asked.view(-1).nonzero().squeeze(1)
    if not len(where):
        return _Points(where, asked.sum(1), v.new_zeros(0), v.new_zeros(0, WIDTH - 1))
    ray = where // v.shape[1]
    depth = v[ray, where - ray * v.shape[1]]
    x = rays.origins[0, ray] + depth[:, None] * rays.directions[0, ray]
    point, dx = level(x[None, :, None], rays.view[:, ray])
    values = torch.cat([point.colour, point.logits, dx], dim=-1)[0, :, 0]
    return _Points(where, asked.sum(1), point.density[0, :, 0], values)


def neighbours(step: int, samples: int) -> tuple[slice, slice, slice]:
    """Of `samples`: left ones, those a step behind them, and those a step behind these."""
    last = (samples - 1) // (2 * step) * 2 * step  # right one
    return (
        slice(0, last, 2 * step),
        slice(step, last, 2 * step),
        slice(2 * step, last + 1, 2 * step),
    )


def softplus_inverse(density: Tensor) -> Tensor:
    """What softplus makes this density of: nearly its logarithm where it is small."""
    density = density.clamp_min(1e-10)
    return density + torch.log(-torch.expm1(-density))


def visible_difference(
    density_left: Tensor,
    density_right: Tensor,
    colour_left: Tensor,
    colour_right: Tensor,
    length: Tensor,
    light: Tensor,
) -> Tensor:
    """How much a ray's colour may change by what lies between two samples of it.

    Args:
        density_left, density_right: (R, S) 1 / decimetre.
        colour_left, colour_right: (R, S, 3).
        length: (R, S) from one to the other, decimetres.
        light: (R, S) that comes through what is before them.
    """
    left, right = torch.exp(-density_left * length), torch.exp(-density_right * length)
    opacity = 1 - (left * right).sqrt()
    colours = (colour_left - colour_right).abs().amax(-1)
    return light * ((left - right).abs() / 2 + opacity * colours)
