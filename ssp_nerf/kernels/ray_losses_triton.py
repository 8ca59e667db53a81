"""Triton kernels of ray_losses.py: a block of rays for each program."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ssp_nerf import parsing_map

CLASSES = tl.constexpr(len(parsing_map.CLASSES))
PADDED = tl.constexpr(triton.next_power_of_2(len(parsing_map.CLASSES)))
RAYS = 64  # of a program


@triton.jit
def _error(rendered, truth, ray, rays):
    """Rendered minus true colour, (RAYS, 4) with a last column of zeros."""
    axis = tl.arange(0, 4)[None, :]
    place, inside = ray[:, None] * 3 + axis, (ray < rays)[:, None] & (axis < 3)
    return tl.load(rendered + place, inside, other=0.0) - tl.load(truth + place, inside, other=0.0)


@triton.jit
def _log_probability(logits, ray, rays):
    """Logarithm of the softmax of a ray's logits, (RAYS, 16)."""
    number = tl.arange(0, PADDED)[None, :]
    place = logits + ray[:, None] * CLASSES + number
    logit = tl.load(place, (ray < rays)[:, None] & (number < CLASSES), other=0.0)
    logit = tl.where(number < CLASSES, logit, float("-inf"))
    logit -= tl.max(logit, 1)[:, None]
    return logit - tl.log(tl.sum(tl.exp(logit), 1))[:, None]


@triton.jit
def _forward(
    coarse_colour, coarse_logits, fine_colour, fine_logits, colour, parsing,
    photometric, semantic, squared_error, rays, RAYS: tl.constexpr,
):  # fmt: skip
    ray = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    inside = ray < rays
    coarse = _error(coarse_colour, colour, ray, rays)
    fine = _error(fine_colour, colour, ray, rays)
    squared = tl.sum(fine * fine, 1)
    tl.store(photometric + ray, tl.sum(coarse * coarse, 1) + squared, inside)
    tl.store(squared_error + ray, squared, inside)

    class_ = tl.load(parsing + ray, inside, other=0).to(tl.int32)
    true = tl.arange(0, PADDED)[None, :] == class_[:, None]
    coarse = tl.sum(tl.where(true, _log_probability(coarse_logits, ray, rays), 0.0), 1)
    fine = tl.sum(tl.where(true, _log_probability(fine_logits, ray, rays), 0.0), 1)
    tl.store(semantic + ray, -(coarse + fine), inside)


@triton.jit
def _backward_level(
    rendered, logits, colour, d_rendered, d_logits, ray, rays, true, d_photometric, d_semantic
):
    axis = tl.arange(0, 4)[None, :]
    d_error = 2 * _error(rendered, colour, ray, rays) * d_photometric[:, None]
    tl.store(d_rendered + ray[:, None] * 3 + axis, d_error, (ray < rays)[:, None] & (axis < 3))

    number = tl.arange(0, PADDED)[None, :]
    d_logit = (tl.exp(_log_probability(logits, ray, rays)) - true) * d_semantic[:, None]
    place = d_logits + ray[:, None] * CLASSES + number
    tl.store(place, d_logit, (ray < rays)[:, None] & (number < CLASSES))


@triton.jit
def _backward(
    coarse_colour, coarse_logits, fine_colour, fine_logits, colour, parsing,
    d_photometric, d_semantic,
    d_coarse_colour, d_coarse_logits, d_fine_colour, d_fine_logits, rays, RAYS: tl.constexpr,
):  # fmt: skip
    ray = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    inside = ray < rays
    class_ = tl.load(parsing + ray, inside, other=0).to(tl.int32)
    true = (tl.arange(0, PADDED)[None, :] == class_[:, None]).to(tl.float32)
    d_photo = tl.load(d_photometric + ray, inside, other=0.0)
    d_sem = tl.load(d_semantic + ray, inside, other=0.0)
    _backward_level(
        coarse_colour, coarse_logits, colour, d_coarse_colour, d_coarse_logits, ray, rays, true,
        d_photo, d_sem,
    )  # fmt: skip
    _backward_level(
        fine_colour, fine_logits, colour, d_fine_colour, d_fine_logits, ray, rays, true,
        d_photo, d_sem,
    )  # fmt: skip


def forward(*inputs: Tensor) -> tuple[Tensor, ...]:
    """Lp, Ls and squared error of the fine colour; contiguous fp32 throughout, classes int64."""
    parsing = inputs[-1]
    losses = tuple(torch.empty_like(parsing, dtype=torch.float32) for _ in range(3))
    rays = parsing.numel()
    _forward[(triton.cdiv(rays, RAYS),)](*inputs, *losses, rays, RAYS)
    return losses


def backward(*inputs: Tensor) -> tuple[Tensor, ...]:
    """Gradients of both levels' colour and logits; `inputs` end with those of Lp and Ls."""
    gradients = tuple(torch.empty_like(x) for x in inputs[:4])
    rays = inputs[-1].numel()
    _backward[(triton.cdiv(rays, RAYS),)](*inputs, *gradients, rays, RAYS)
    return gradients
