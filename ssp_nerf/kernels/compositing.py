"""Compositing of colour, parsing and depth along rays (eq. 9 and 10)."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ssp_nerf import kernels
from ssp_nerf.field_output import FieldOutput
from ssp_nerf.volume import accumulate, intervals, render_weights


class LevelOutput(NamedTuple):
    """What one level, coarse or fine, renders for B x R rays."""

    colour: Tensor  # (B, R, 3) expected colour, eq. 10
    logits: Tensor  # (B, R, 11) expected parsing logits, eq. 10
    depth: Tensor  # (B, R) expected depth, decimetres
    accumulation: Tensor  # (B, R) 1 - light of the background that comes through
    displacement: Tensor  # (B, R, 3) expected displacement, decimetres (figure 3); no gradient


def composite(
    values: Tensor,
    dx: Tensor | None,
    v: Tensor,
    far: float | Tensor,
    step_length: Tensor,
    background: Tensor,
    background_logits: Tensor,
) -> tuple[LevelOutput, Tensor]:
    """Expected values along rays of S samples, each closed by the background picture.

    Gradients reach `values`, from colour, logits, depth and accumulation.

    Args:
        values: (B, R, S, 16) of the samples, as field_output.py lays them out.
        dx: (B, R, S, 3) displacements, decimetres; None: zero everywhere.
        v: (B, R, S) depths, ascending.
        far: depth where the last interval ends; one number, or (B, R, 1).
        step_length: (B, R, 1) decimetres travelled along a ray per unit of depth.
        background: (B, R, 3) colour behind each ray.
        background_logits: (11,) logits behind each ray.

    Returns:
        the level's output, and the weights (B, R, S) of its samples, without gradient.
    """
    if not kernels.chosen(values):
        return plain_composite(values, dx, v, far, step_length, background, background_logits)
    *rendered, weights = _Composite.apply(
        values.contiguous(),
        None if dx is None else dx.detach().contiguous(),
        v.contiguous(),
        far.contiguous() if isinstance(far, Tensor) else far,
        step_length.contiguous(),
        background.contiguous(),
        background_logits.contiguous(),
    )
    return LevelOutput(*rendered), weights


def plain_composite(
    values: Tensor,
    dx: Tensor | None,
    v: Tensor,
    far: float | Tensor,
    step_length: Tensor,
    background: Tensor,
    background_logits: Tensor,
) -> tuple[LevelOutput, Tensor]:
    """`composite` in plain PyTorch."""
    point = FieldOutput(values)
    if not isinstance(far, Tensor):
        far = torch.full_like(step_length, far)
    weights, light = render_weights(point.density, intervals(v, far, step_length))
    seen = weights.detach()
    output = LevelOutput(
        colour=accumulate(weights, point.colour) + light * background,
        logits=accumulate(weights, point.logits) + light * background_logits,
        depth=accumulate(weights, v[..., None]).squeeze(-1) + (light * far).squeeze(-1),
        accumulation=1 - light.squeeze(-1),
        displacement=torch.zeros_like(background) if dx is None else accumulate(seen, dx.detach()),
    )
    return output, seen


class _Composite(torch.autograd.Function):
    """The kernels: one pass over the samples there, and one back."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, dx: Tensor | None, *rays: Any) -> tuple[Tensor, ...]:
        from ssp_nerf.kernels import compositing_triton

        *rendered, weights = compositing_triton.forward(values, dx, *rays)
        ctx.save_for_backward(values, *(x for x in rays if isinstance(x, Tensor)))
        ctx.far = None if isinstance(rays[1], Tensor) else rays[1]
        ctx.mark_non_differentiable(rendered[-1], weights)
        ctx.set_materialize_grads(False)  # training asks for no gradient of depth, say
        return *rendered, weights

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        from ssp_nerf.kernels import compositing_triton

        values, v, *rays = ctx.saved_tensors
        if ctx.far is not None:
            rays.insert(0, ctx.far)
        gradients = [g if g is None else g.contiguous() for g in upstream[:4]]
        return compositing_triton.backward(values, v, *rays, *gradients), *[None] * 6
