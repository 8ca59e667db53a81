"""F_overall (eq. 8) over many samples: displacement, structured code and semantic field in one.

In plain PyTorch every layer reads and writes device memory, some 20 kB a sample there and back, and
keeps half of it. The kernels hold a block of samples on the chip from its positions to its outputs,
keep nothing but these, and on the way back compute the layers again, for the samples whose gradient
matters.
"""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ssp_nerf import kernels
from ssp_nerf.errors import InputError
from ssp_nerf.field_output import FieldOutput

if TYPE_CHECKING:
    from ssp_nerf.model import Condition, Level
    from ssp_nerf.structured_codes import StructuredCodes

WIDTHS = (32, 64, 128)
"""Of hidden layers, that the kernels have blocks for."""
MOST_ENCODED, MOST_CODE = 64, 128  # numbers of an encoded position, and of a structured code
LEAST_ON_CHIP = 200 << 10
"""Bytes of memory that a program may share on the chip; an H100 has 227 KiB, an A100 163."""
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
        plan, tensors = _plan(level, codes, condition, p_c, roulette)
        values, dx = _Overall.apply(plan, x, d, *tensors)
        return FieldOutput(values), dx
    return plain_overall(level, codes, x, d, condition, p_c, roulette)


def plain_overall(
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


class ListedPoints(NamedTuple):
    """Points that a kernel has listed, in any order; how many, the host need not know."""

    x: Tensor  # (N, 3) decimetres
    ray: Tensor  # (N,) int32, of each
    length: Tensor  # (1,) int32, the first so many are in the list


class AtFrames:
    """F_overall of a level for the frames of a condition, without gradient.

    What does not depend on the samples is done once, for those who ask often.
    """

    @torch.no_grad()
    def __init__(
        self, level: "Level", codes: "StructuredCodes | None", condition: "Condition", p_c: Tensor
    ):
        self._arguments = level, codes, condition, p_c
        self._networks: tuple | None = None
        if fused(level, condition.t):
            self._plan, tensors = _plan(level, codes, condition, p_c)
            self._networks = _networks(self._plan, tensors, _kind(condition.t))

    @torch.no_grad()
    def __call__(self, x: Tensor, d: Tensor) -> tuple[FieldOutput, Tensor]:
        """As `overall`, at x (B, R, S, 3) seen along d (B, R, 3)."""
        level, codes, condition, p_c = self._arguments
        if self._networks is None:
            return plain_overall(level, codes, x, d, condition, p_c)
        volume, moving, seeing = self._networks
        _, dx, values = _forward(self._plan, volume, moving, seeing, x, d)
        return FieldOutput(values), dx.view(x.shape)

    @property
    def fused(self) -> bool:
        """Whether the kernels compute it."""
        return self._networks is not None

    def encoded_view(self, d: Tensor) -> Tensor:
        """Unit view directions (R, 3) as `listed` takes them; by the kernels alone."""
        from ssp_nerf.kernels.packing_triton import encoded_view

        return encoded_view(d, self._plan.view_levels, _kind(d))

    @torch.no_grad()
    def listed(self, points: ListedPoints, view: Tensor, values: Tensor, dx: Tensor) -> None:
        """At the points of a list that lies on the device; by the kernels alone.

        Args:
            view: of the rays, from `encoded_view`.
            values, dx: (N or more, 16) and (N or more, 3), where the outputs are written.
        """
        from ssp_nerf.kernels import overall_triton

        assert self._networks is not None
        volume, moving, seeing = self._networks
        x, count = points.x[None], points.length
        values, dx = values[: len(points.x)], dx[: len(points.x)]
        if moving is not None:
            by = overall_triton.forward(moving, x, None, count=count, out=dx[None])
        else:
            by = None
            dx.zero_()
        moved, f = _moved_and_codes(self._plan, volume, x, by, _kind(x), count)
        overall_triton.forward(
            seeing._replace(view=view), moved, f, ray=points.ray, count=count, out=values
        )

    @torch.no_grad()
    def displacement(self, x: Tensor) -> Tensor:
        """Eq. 7 alone: x (B, R, S, 3) -> (B, R, S, 3), decimetres."""
        level, _, (t, p_h, a, _), p_c = self._arguments
        if level.deformation is None:
            return torch.zeros_like(x)
        if self._networks is None:
            return level.deformation(x, t, p_h, p_c, a if level.by_audio else None).to(x.dtype)
        from ssp_nerf.kernels import overall_triton

        _, moving, _ = self._networks
        return overall_triton.forward(moving, x.flatten(1, 2).contiguous(), None).view(x.shape)


def fused(level: "Level", x: Tensor) -> bool:
    """Whether the kernels compute these networks.

    They multiply in bf16 (Triton's interpreter in fp32), have blocks for some sizes, and take the
    memory on the chip that an H100 has.

    Raises:
        InputError: nothing but the kernels was wanted, and they do not fit.
    """
    if not kernels.chosen(x):
        return False
    width = level.field.mlp.bias.shape[1]
    encoded = level.field.encode_x.width(3)
    code = level.field.mlp.inputs.shape[2] - encoded
    fit = width in WIDTHS and encoded <= MOST_ENCODED and code <= MOST_CODE
    if not fit and kernels.only():
        raise InputError(
            f"kernels: triton was asked for, but there are none for model.width {width}, "
            f"{encoded} numbers of an encoded position (6 x model.x_levels) and {code} of a code "
            f"(the sum of model.code_channels); expected a width of {WIDTHS}, at most "
            f"{MOST_ENCODED} and at most {MOST_CODE}. Set `kernels: auto`."
        )
    if kernels.interpreted():
        return fit
    return fit and _in_bf16(x) and _memory_on_chip(x.device) >= LEAST_ON_CHIP


@functools.cache
def _memory_on_chip(device: torch.device) -> int:
    """Bytes that a program may share."""
    from triton.compiler.compiler import max_shared_mem

    return max_shared_mem(device.index)


def _in_bf16(x: Tensor) -> bool:
    device = x.device.type
    return torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16


def _kind(x: Tensor) -> torch.dtype:
    """Type of the matrix products."""
    return torch.bfloat16 if _in_bf16(x) else x.dtype


class _Plan(NamedTuple):
    """What of F_overall has no gradient."""

    volume_levels: int
    codes: "StructuredCodes | None"
    gate: Tensor | None  # (B,) None without a deformation
    roulette: Roulette | None
    levels: int  # of the positions' encoding
    view_levels: int  # of the directions'
    radius: float  # decimetres


def _plan(
    level: "Level",
    codes: "StructuredCodes | None",
    condition: "Condition",
    p_c: Tensor,
    roulette: Roulette | None = None,
) -> tuple[_Plan, tuple[Tensor, ...]]:
    """The plan, and what has a gradient: code volume, deformation, semantic field."""
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
    grids = volume if codes is not None and volume is not None else []
    plan = _Plan(
        len(grids), codes, gate, roulette,
        field.encode_x.levels, field.encode_direction.levels, field.scene_radius,
    )  # fmt: skip
    return plan, (*grids, *moving, *seeing)


def _networks(plan: _Plan, tensors: Sequence[Tensor], kind: torch.dtype):
    """The code volume's levels, the deformation (None without one) and the semantic field."""
    from ssp_nerf.kernels.packing_triton import Weights, network

    volume, weights = tensors[: plan.volume_levels], tensors[plan.volume_levels :]
    moving = None
    if plan.gate is not None:
        deformation, weights = Weights(*weights[:OF_DEFORMATION]), weights[OF_DEFORMATION:]
        moving = network(deformation, plan.gate, plan.levels, plan.radius, kind)
    return volume, moving, network(Weights(*weights), None, plan.levels, plan.radius, kind)


def _forward(plan: _Plan, volume, moving, seeing, x: Tensor, d: Tensor):
    """The field as it sees along d, displacements (B, N, 3) and values (B, R, S, 16)."""
    from ssp_nerf.kernels import overall_triton
    from ssp_nerf.kernels.packing_triton import encoded_view

    shape, x = x.shape, x.flatten(1, 2).contiguous()
    kind = seeing.packed.hidden.dtype
    seeing = seeing._replace(view=encoded_view(d, plan.view_levels, kind))
    dx = overall_triton.forward(moving, x, None) if moving is not None else None
    moved, f = _moved_and_codes(plan, volume, x, dx, kind)
    values = overall_triton.forward(seeing, moved, f, shape[2])
    if dx is None:
        dx = torch.zeros_like(x)
    return seeing, dx, values.view(*shape[:3], -1)


class _Overall(torch.autograd.Function):
    """The kernels, there and back; its tensors are the code volume and both functions' weights."""

    @staticmethod
    def forward(ctx, plan: _Plan, x: Tensor, d: Tensor, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        volume, moving, seeing = _networks(plan, tensors, _kind(x))
        seeing, dx, values = _forward(plan, volume, moving, seeing, x, d)
        ctx.plan, ctx.networks = plan, (moving, seeing)
        ctx.save_for_backward(x, dx, values, *volume)
        dx = dx.view(x.shape)
        ctx.mark_non_differentiable(dx)
        return values, dx

    @staticmethod
    @once_differentiable
    def backward(ctx, d_values: Tensor, _: Tensor):  # type: ignore[override]
        from ssp_nerf.kernels import lookup_triton, overall_triton, roulette_triton
        from ssp_nerf.kernels.packing_triton import Weights

        x, dx, values, *volume = ctx.saved_tensors
        plan: _Plan = ctx.plan
        moving, seeing = ctx.networks
        kind = seeing.packed.hidden.dtype
        seed, tolerance = plan.roulette or (x.new_zeros(1, dtype=torch.int64), 0.0)
        samples, flat = x.shape[2], x.flatten(1, 2).contiguous()
        chosen = roulette_triton.select(
            d_values.contiguous(), values, flat, flat + dx, samples, tolerance, seed
        )
        _, f = _moved_and_codes(plan, volume, chosen.moved, None, kind)
        d = overall_triton.backward(seeing, chosen, chosen.moved, f, chosen.d_raw, d_x=True)
        of_seeing = [d[name] for name in Weights._fields]
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
            of_moving = [d[name] for name in Weights._fields[:OF_DEFORMATION]]
        return None, None, None, *of_volume, *of_moving, *of_seeing


def _moved_and_codes(
    plan: _Plan, volume, x: Tensor, dx: Tensor | None, kind: torch.dtype, count=None
) -> tuple[Tensor, Tensor | None]:
    """x + dx (B, N, 3) and the structured codes there (B, N, code), of the first `count` or all."""
    from ssp_nerf.kernels import lookup_triton

    if plan.codes is None or not volume:
        return x if dx is None else x + dx, None
    codes, moved = plan.codes, x if dx is None else torch.empty_like(x)
    flat, flat_dx = x.flatten(0, 1), None if dx is None else dx.flatten(0, 1)
    f = lookup_triton.forward(
        volume, flat, kind, flat_dx, moved.flatten(0, 1), codes.grid_origin, codes.voxel, count
    )
    return moved, f.view(*x.shape[:2], -1)
