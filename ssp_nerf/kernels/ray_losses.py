"""Photometric and semantic loss (eq. 11) of each ray, both levels at once."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ssp_nerf import kernels
from ssp_nerf.losses import photometric_loss, semantic_loss
from ssp_nerf.model import RenderOutput


class RayLosses(NamedTuple):
    """Of B x R rays."""

    photometric: Tensor  # (B, R) Lp, coarse plus fine
    semantic: Tensor  # (B, R) Ls, coarse plus fine
    squared_error: Tensor  # (B, R) of the fine colour, summed over its channels; no gradient


def ray_losses(output: RenderOutput, colour: Tensor, parsing: Tensor) -> RayLosses:
    """Eq. 11 for each ray.

    Args:
        output: of both levels.
        colour: (B, R, 3) the truth, in [0, 1].
        parsing: (B, R) int64 the true classes.
    """
    if not kernels.chosen(colour):
        return plain_ray_losses(output, colour, parsing)
    rendered = (x.contiguous() for level in output for x in (level.colour, level.logits))
    return RayLosses(*_RayLosses.apply(*rendered, colour.contiguous(), parsing.contiguous()))


def plain_ray_losses(output: RenderOutput, colour: Tensor, parsing: Tensor) -> RayLosses:
    """`ray_losses` in plain PyTorch."""
    return RayLosses(
        photometric_loss(output, colour),
        semantic_loss(output, parsing),
        ((output.fine.colour.detach() - colour) ** 2).sum(-1),
    )


class _RayLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, ...]:
        from ssp_nerf.kernels import ray_losses_triton

        losses = ray_losses_triton.forward(*inputs)
        ctx.save_for_backward(*inputs)
        ctx.mark_non_differentiable(losses[2])
        return losses

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        from ssp_nerf.kernels import ray_losses_triton

        d_photometric, d_semantic = (gradient.contiguous() for gradient in upstream[:2])
        gradients = ray_losses_triton.backward(*ctx.saved_tensors, d_photometric, d_semantic)
        return *gradients, None, None
