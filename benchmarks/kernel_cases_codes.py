"""The structured codes, for `benchmarks.kernels`: their volume, and its lookup along rays."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from benchmarks.kernels import Case
from ssp_nerf.config import ModelConfig
from ssp_nerf.kernels.lookup import lookup
from ssp_nerf.structured_codes import StructuredCodes

VERTICES = 4311  # of a face model with the back of the head
HEAD = (0.95, 1.2, 0.95)  # decimetres, half its extent
CAMERA, NEAR, FAR = 9.0, 6.6, 11.3  # decimetres from the head
VIEW = 0.19  # half the picture's width at unit depth: 450 pixels at a focal length of 1,200
COARSE_SAMPLES, FINE_SAMPLES = 64, 128
SPREAD = 0.15  # decimetres of the fine samples around the surface


def cases_codes(device: torch.device, rays: int) -> list[Case]:
    """The whole volume from its parameters, and the lookups of a step's two levels."""
    config = ModelConfig()
    generator = np.random.default_rng(0)
    directions = generator.normal(size=(VERTICES, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    vertices = (directions * HEAD).astype(np.float32)
    torch.manual_seed(0)
    codes = StructuredCodes(vertices, config.voxel, config.vertex_code, config.code_channels)
    codes = codes.to(device)
    parameters = {name: p.detach() for name, p in codes.named_parameters()}
    with torch.no_grad():
        levels = {f"level_{i}": level for i, level in enumerate(codes(), start=1)}
    wanted = ("points", *levels)
    coarse, fine = (
        ((x - codes.grid_origin) / codes.voxel).flatten(0, 1) for x in _samples(rays, device)
    )

    def volume(**parameters: Tensor) -> Sequence[Tensor]:
        return functional_call(codes, parameters, ())

    def at_points(points: Tensor, **levels: Tensor) -> Sequence[Tensor]:
        return [lookup(list(levels.values()), points)]

    return [
        Case("code volume", volume, parameters, tuple(parameters), autocast=True),
        Case("lookup, coarse", at_points, {"points": coarse, **levels}, wanted, autocast=True),
        Case("lookup, fine", at_points, {"points": fine, **levels}, wanted, autocast=True),
    ]


def _samples(rays: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Points (rays, S, 3) of a step's two levels: even ones, and with those near the head's front.

    The rays of one step lie anywhere in the picture; a good half of them meets the head.
    """
    generator = torch.Generator().manual_seed(0)
    x, y = VIEW * (2 * torch.rand(2, rays, generator=generator) - 1)
    direction = torch.stack([x, y, -torch.ones(rays)], dim=-1)[:, None]
    strata = torch.arange(COARSE_SAMPLES) + torch.rand(rays, COARSE_SAMPLES, generator=generator)
    even = NEAR + (FAR - NEAR) * strata / COARSE_SAMPLES
    front = HEAD[2] * (1 - (CAMERA * x / HEAD[0]) ** 2 - (CAMERA * y / HEAD[1]) ** 2)
    surface = CAMERA - front.clamp_min(0).sqrt()
    near_surface = torch.randn(rays, FINE_SAMPLES, generator=generator)
    both = torch.cat([even, surface[:, None] + SPREAD * near_surface], dim=-1).sort(dim=-1).values
    origin = torch.tensor([0.0, 0.0, CAMERA])
    coarse, fine = (origin + depth[..., None] * direction for depth in (even, both))
    return coarse.to(device), fine.to(device)
