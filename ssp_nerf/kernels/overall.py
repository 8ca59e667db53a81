"""F_overall (eq. 8) over many samples: displacement, structured code and semantic field in one.

In plain PyTorch every layer reads and writes device memory, some 20 kB a sample there and back, and
keeps half of it. The kernels hold a block of samples on the chip from its positions to its outputs,
keep nothing but these, and on the way back compute the layers again, for the samples whose gradient
matters.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ssp_nerf import kernels
from ssp_nerf.field_output import FieldOutput

if TYPE_CHECKING:
    from ssp_nerf.model import Condition, Level
    from ssp_nerf.structured_codes import StructuredCodes

WIDTHS = (32, 64, 128)
"""Of hidden layers, that the kernels have blocks for."""
OF_DEFORMATION = 6
"""Weights of a deformation: the first of those of a semantic field."""


class Roulette(NamedTuple):
    """Russian roulette over the samples that go back.

    Most samples of a ray lie in empty space or behind a surface, and their gradient is next to
    nothing. One whose gradient is shorter than `tolerance` times the mean goes back with the
    probability that its length is of that, and then counts as much more: the expected gradient is
    the exact one, whatever the tolerance; 0 lets every sample go.
    """

    seed: Tensor  # (1,) int64
    tolerance: float


def overall(
    level: "Level",
    codes: "StructuredCodes | None",
    x: Tensor,
    d: Tensor,
    condition: "Condition",
    p_c: Tensor,
    roulette: Roulette | None = None,
) -> tuple[FieldOutput, Tensor]:
    """What a level knows at samples of B frames.

    Args:
        x: (B, R, S, 3) decimetres; has no gradient.
        d: (B, R, 3) unit view directions; have no gradient.
        p_c: (6,) canonical pose.
        roulette: for the way back by the kernels; None: every sample goes back.

    Returns:
        the field's outputs, and displacements (B, R, S, 3), decimetres.
    """
    if fused(level, x):
        return _overall_fused(level, codes, x, d, condition, p_c, roulette)
    return overall_plain(level, codes, x, d, condition, p_c, roulette)


def overall_plain(
    level: "Level",
    codes: "StructuredCodes | None",
    x: Tensor,
    d: Tensor,
    condition: "Condition",
    p_c: Tensor,
    roulette: Roulette | None = None,
) -> tuple[FieldOutput, Tensor]:
    """The twin of `overall`; its gradient is always the exact one."""
    t, p_h, a, volume = condition
    dx = torch.zeros_like(x)
    if level.deformation is not None:
        dx = level.deformation(x, t, p_h, p_c, a if level.by_audio else None).to(x.dtype)
    f = codes.query(volume, x + dx) if codes is not None and volume is not None else None
    return level.field(x + dx, d, a[:, :0] if level.by_audio else a, f), dx  # eq. 9


@torch.no_grad()
def displacement(level: "Level", x: Tensor, condition: "Condition", p_c: Tensor) -> Tensor:
    """What the deformation of a level alone does to samples of B frames, without gradient.

    Args:
        x: (B, R, S, 3) decimetres.
        p_c: (6,) canonical pose.

    Returns:
        (B, R, S, 3) decimetres.
    """
    t, p_h, _, _ = condition
    deformation, a = level.deformation, condition.a if level.by_audio else None
    if deformation is None:
        return torch.zeros_like(x)
    if not fused(level, x):
        return deformation(x, t, p_h, p_c, a).to(x.dtype)
    from ssp_nerf.kernels import overall_triton

    frame_bias, gate = deformation.frame(t, p_h, p_c, a)
    mlp, head = deformation.mlp, deformation.displacement
    network = overall_triton.network(
        overall_triton.Weights(
            frame_bias, mlp.inputs, mlp.hidden, mlp.bias, head.weight, head.bias
        ),
        gate, None, deformation.encode_x.levels, deformation.scene_radius,
        torch.bfloat16 if _in_bf16(x) else x.dtype,
    )  # fmt: skip
    flat = x.flatten(1, 2).contiguous()
    return overall_triton.forward(network, flat, None, x.shape[2]).view(x.shape)


def fused(level: "Level", x: Tensor) -> bool:
    """Whether the kernels compute these networks.

    They multiply in bf16 (Triton's interpreter in fp32) and have blocks for some widths.
    """
    ours = kernels.chosen(x) and (kernels.interpreted() or _in_bf16(x))
    return ours and level.field.mlp.bias.shape[1] in WIDTHS


def _in_bf16(x: Tensor) -> bool:
    device = x.device.type
    return torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16


def _overall_fused(
    level: "Level",
    codes: "StructuredCodes | None",
    x: Tensor,
    d: Tensor,
    condition: "Condition",
    p_c: Tensor,
    roulette: Roulette | None,
) -> tuple[FieldOutput, Tensor]:
    t, p_h, a, volume = condition
    field, deformation = level.field, level.deformation
    moving: tuple[Tensor, ...] = ()
    gate = None
    if deformation is not None:
        frame_bias, gate = deformation.frame(t, p_h, p_c, a if level.by_audio else None)
        mlp, head = deformation.mlp, deformation.displacement
        moving = (frame_bias, mlp.inputs, mlp.hidden, mlp.bias, head.weight, head.bias)
    mlp, head = field.mlp, field.density_and_logits
    seeing = (
        mlp.frame_bias(a[:, :0] if level.by_audio else a),
        mlp.inputs, mlp.hidden, mlp.bias, head.weight, head.bias,
        field.appearance.weight, field.appearance.bias, field.view.weight,
        field.colour.weight, field.colour.bias,
    )  # fmt: skip
    plan = _Plan(
        len(volume) if codes is not None and volume is not None else 0, codes, gate, d, roulette,
        field.encode_x.levels, field.encode_direction.levels, field.scene_radius,
    )  # fmt: skip
    values, dx = _Overall.apply(plan, x, *(volume or []), *moving, *seeing)
    return FieldOutput(values), dx


class _Plan(NamedTuple):
    """What of F_overall has no gradient."""

    volume_levels: int
    codes: "StructuredCodes | None"
    gate: Tensor | None  # (B,) None without a deformation
    d: Tensor  # (B, R, 3)
    roulette: Roulette | None
    levels: int  # of the positions' encoding
    view_levels: int  # of the directions'
    radius: float  # decimetres


class _Overall(torch.autograd.Function):
    """The kernels, there and back; its tensors are the code volume and both functions' weights."""

    @staticmethod
    def forward(ctx, plan: _Plan, x: Tensor, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        from ssp_nerf.kernels import overall_triton

        shape, x = x.shape, x.flatten(1, 2).contiguous()
        samples = shape[2]
        kind = torch.bfloat16 if _in_bf16(x) else x.dtype
        volume, moving, seeing = _networks(plan, tensors, kind)
        dx = overall_triton.forward(moving, x, None, samples) if moving else torch.zeros_like(x)
        moved = x + dx
        f = _codes_at(plan, volume, moved, kind)
        values = overall_triton.forward(seeing, moved, f, samples)
        ctx.plan, ctx.samples, ctx.networks = plan, samples, (moving, seeing)
        ctx.save_for_backward(x, moved, values, *volume)
        dx = dx.view(shape)
        ctx.mark_non_differentiable(dx)
        return values.view(*shape[:3], -1), dx

    @staticmethod
    @once_differentiable
    def backward(ctx, d_values: Tensor, _: Tensor):  # type: ignore[override]
        from ssp_nerf.kernels import lookup_triton, overall_triton

        x, moved, values, *volume = ctx.saved_tensors
        plan: _Plan = ctx.plan
        moving, seeing = ctx.networks
        kind = seeing.packed.hidden.dtype
        seed, tolerance = plan.roulette or (x.new_zeros(1, dtype=torch.int64), 0.0)
        chosen = overall_triton.select(
            d_values.reshape(values.shape).contiguous(), values, x, moved, ctx.samples,
            tolerance, seed,
        )  # fmt: skip
        f = _codes_at(plan, volume, chosen.moved, kind)
        d = overall_triton.backward(seeing, chosen, chosen.moved, f, chosen.d_raw, d_x=True)
        of_seeing = [d[name] for name in overall_triton.Weights._fields]
        of_volume: list[Tensor] = []
        of_moving: list[Tensor] = []
        d_moved = d["x"]
        if volume:
            assert plan.codes is not None
            d_points, of_volume = lookup_triton.backward(
                volume, plan.codes.in_voxels(chosen.moved), d["f"].flatten(0, 1), True,
                "tf32" if kind == torch.bfloat16 else "ieee",
            )  # fmt: skip
            assert d_points is not None
            d_moved = d_moved + d_points.view(d_moved.shape) / plan.codes.voxel
        if moving:
            d = overall_triton.backward(moving, chosen, chosen.x, None, d_moved, d_x=False)
            of_moving = [d[name] for name in overall_triton.Weights._fields[:OF_DEFORMATION]]
        return None, None, *of_volume, *of_moving, *of_seeing


def _codes_at(plan: _Plan, volume, x: Tensor, kind: torch.dtype) -> Tensor | None:
    """Structured codes (B, N, code) at x (B, N, 3)."""
    from ssp_nerf.kernels import lookup_triton

    if plan.codes is None or not volume:
        return None
    return lookup_triton.forward(volume, plan.codes.in_voxels(x), kind).view(*x.shape[:2], -1)


def _networks(plan: _Plan, tensors, kind: torch.dtype):
    """The code volume's levels, the deformation (None without one) and the semantic field."""
    from ssp_nerf.kernels.overall_triton import Weights, encoded_view, network

    volume, weights = tensors[: plan.volume_levels], tensors[plan.volume_levels :]
    moving = None
    if plan.gate is not None:
        deformation, weights = Weights(*weights[:OF_DEFORMATION]), weights[OF_DEFORMATION:]
        moving = network(deformation, plan.gate, None, plan.levels, plan.radius, kind)
    view = encoded_view(plan.d, plan.view_levels, kind)
    return volume, moving, network(Weights(*weights), None, view, plan.levels, plan.radius, kind)
