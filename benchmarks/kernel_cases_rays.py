"""The kernels along rays, with random inputs of a step's sizes.

Samples lie as in a portrait: half of the rays pass through empty space, half meet a surface.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.kernels import Case
from ssp_nerf.field_output import DENSITY, WIDTH
from ssp_nerf.kernels.camera_rays import camera_rays
from ssp_nerf.kernels.class_sums import sum_by_class
from ssp_nerf.kernels.compositing import LevelOutput, composite
from ssp_nerf.kernels.pixel_choice import choose_pixels
from ssp_nerf.kernels.ray_losses import ray_losses
from ssp_nerf.kernels.resampling import resample
from ssp_nerf.model import RenderOutput
from ssp_nerf.parsing_map import CLASSES

COARSE, FINE = 64, 128
NEAR, FAR = 8.0, 14.0  # decimetres
SIDE = 450  # pixels


def cases_rays(device: torch.device, rays: int) -> list[Case]:
    """Cases of one frame's rays, on a device."""
    generator = torch.Generator().manual_seed(0)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator).to(device)

    def compositing(samples: int) -> Case:
        values = uniform(1, rays, samples, WIDTH)
        values[..., DENSITY] = 20 * values[..., DENSITY] ** 8
        values[:, ::2, :, DENSITY] *= 1e-3
        inputs = {
            "values": values,
            "dx": uniform(1, rays, samples, 3) - 0.5,
            "v": NEAR + (FAR - NEAR) * uniform(1, rays, samples).sort(-1).values,
            "step_length": 1 + 0.1 * uniform(1, rays, 1),
            "background": uniform(1, rays, 3),
            "background_logits": uniform(len(CLASSES)),
        }
        return Case(f"composite, {samples} samples", _composite, inputs, ("values",))

    weights = uniform(1, rays, COARSE) ** 8
    weights[:, ::2] *= 1e-3
    resampling = {
        "v": NEAR + (FAR - NEAR) * (torch.arange(COARSE, device=device) + uniform(1, rays, COARSE))
        / COARSE,
        "weights": weights / weights.sum(-1, keepdim=True).clamp_min(1),
        "within": uniform(1, rays, FINE),
    }  # fmt: skip

    rendered = {
        "coarse_colour": uniform(1, rays, 3),
        "coarse_logits": 10 * uniform(1, rays, len(CLASSES)),
        "fine_colour": uniform(1, rays, 3),
        "fine_logits": 10 * uniform(1, rays, len(CLASSES)),
    }
    parsing = (uniform(1, rays) * len(CLASSES)).long()
    truth = {"colour": uniform(1, rays, 3), "parsing": parsing}

    # Regions of some size, as faces have them.
    coarse_map = (uniform(1, 1, SIDE // 30, SIDE // 30) * len(CLASSES)).floor()
    pixel_map = torch.nn.functional.interpolate(coarse_map, (SIDE, SIDE)).flatten(1).byte()
    pixels = (uniform(1, rays) * SIDE**2).long()
    return [
        compositing(COARSE),
        compositing(COARSE + FINE),
        Case("resample", _resample, resampling),
        Case("ray losses", _ray_losses, rendered | truth, tuple(rendered)),
        Case("sum by class", _sum, {"values": uniform(4, 1, rays), "classes": parsing}),
        Case(
            "choose pixels",
            _choose,
            {"parsing": pixel_map, "mean_loss": uniform(len(CLASSES)), "within": uniform(1, rays)},
        ),
        Case("camera rays", _rays, {"pixels": pixels, "c2w": uniform(1, 3, 4)}),
    ]


def _composite(**inputs: Tensor) -> Sequence[Tensor]:
    output, weights = composite(far=FAR, **inputs)
    return *output, weights


def _resample(**inputs: Tensor) -> Sequence[Tensor]:
    return [resample(far=FAR, samples=FINE, **inputs)]


def _ray_losses(colour: Tensor, parsing: Tensor, **rendered: Tensor) -> Sequence[Tensor]:
    def level(name: str) -> LevelOutput:
        unused: Any = None
        given = rendered[f"{name}_colour"], rendered[f"{name}_logits"]
        return LevelOutput(*given, unused, unused, unused)

    return ray_losses(RenderOutput(level("coarse"), level("fine")), colour, parsing)


def _sum(**inputs: Tensor) -> Sequence[Tensor]:
    return [sum_by_class(**inputs)]


def _choose(**inputs: Tensor) -> Sequence[Tensor]:
    # In float64 whichever precision is asked for: these are numbers of pixels and rays.
    doubles = {name: x if name == "parsing" else x.double() for name, x in inputs.items()}
    return [choose_pixels(floor=0.01, **doubles)]


def _rays(**inputs: Tensor) -> Sequence[Tensor]:
    return [camera_rays(focal=1200.0, width=SIDE, height=SIDE, **inputs)]
