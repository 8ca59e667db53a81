"""The two implicit functions over many samples: encoding, hidden layers and heads in one.

In plain PyTorch each layer reads and writes device memory, some 20 kB a sample there and back. The
kernels keep a block of samples on the chip from its positions to its density and colour, and store
every second layer for the way back, which computes the others again.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ssp_nerf import kernels
from ssp_nerf.encoding import PositionalEncoding
from ssp_nerf.mlp import LinearWeights, MLPWeights, hidden_features, layer, network_arithmetic
from ssp_nerf.parsing_map import CLASSES

DENSITY_SHIFT = -1.0
"""softplus(h - 1): a field that starts thin but never without gradient, unlike NeRF's ReLU, whose
density can die at the start (mip-NeRF's remedy)."""


def displacement(
    x: Tensor,
    frame_bias: Tensor,
    gate: Tensor,
    mlp: MLPWeights,
    head: LinearWeights,
    encode: PositionalEncoding,
    radius: float,
) -> Tensor:
    """Eq. 7 at samples of B frames.

    Args:
        x: (B, R, S, 3) decimetres; has no gradient.
        frame_bias: (2, B, W), see `ConditionedMLP.frame_bias`.
        gate: (B,) factor of a frame's displacements; has no gradient.
        radius: of the scene, decimetres: x / radius is encoded.

    Returns:
        (B, R, S, 3) fp32, decimetres.
    """
    if fused(x, mlp):
        return _Fused.apply(
            x, None, None, gate, frame_bias, *mlp, *head, *5 * (None,), encode.levels, radius
        )
    return displacement_plain(x, frame_bias, gate, mlp, head, encode, radius)


def displacement_plain(
    x: Tensor,
    frame_bias: Tensor,
    gate: Tensor,
    mlp: MLPWeights,
    head: LinearWeights,
    encode: PositionalEncoding,
    radius: float,
) -> Tensor:
    """The twin of `displacement`."""
    encoded = network_arithmetic(encode(x.flatten(1, 2) / radius))
    h = hidden_features(encoded, frame_bias, mlp)
    return gate[:, None, None, None] * linear(h, head).view(x.shape)


def semantic_field(
    x: Tensor,
    f: Tensor | None,
    view: Tensor,
    frame_bias: Tensor,
    mlp: MLPWeights,
    density_and_logits: LinearWeights,
    appearance: LinearWeights,
    view_weight: Tensor,
    colour: LinearWeights,
    encode: PositionalEncoding,
    radius: float,
) -> Tensor:
    """Eq. 6 at samples of B frames.

    Args:
        x: (B, R, S, 3) decimetres.
        f: (B, R, S, code) structured code, or None.
        view: (B, R, V) encoded view directions; have no gradient.
        frame_bias: (2, B, W), see `ConditionedMLP.frame_bias`.
        radius: of the scene, decimetres: x / radius is encoded.

    Returns:
        (B, R, S, 16) fp32, see `FieldOutput`.
    """
    if fused(x, mlp):
        return _Fused.apply(
            x, f, view, None, frame_bias, *mlp, *density_and_logits, *appearance, view_weight,
            *colour, encode.levels, radius,
        )  # fmt: skip
    return semantic_field_plain(
        x, f, view, frame_bias, mlp, density_and_logits, appearance, view_weight, colour, encode,
        radius,
    )  # fmt: skip


def semantic_field_plain(
    x: Tensor,
    f: Tensor | None,
    view: Tensor,
    frame_bias: Tensor,
    mlp: MLPWeights,
    density_and_logits: LinearWeights,
    appearance: LinearWeights,
    view_weight: Tensor,
    colour: LinearWeights,
    encode: PositionalEncoding,
    radius: float,
) -> Tensor:
    """The twin of `semantic_field`."""
    encoded = network_arithmetic(encode(x / radius))
    if f is not None:
        encoded = torch.cat([encoded, f.to(encoded.dtype)], dim=-1)
    h = hidden_features(encoded.flatten(1, 2), frame_bias, mlp)
    density, logits = linear(h, density_and_logits).float().split([1, len(CLASSES)], dim=-1)
    # W [h, d] + b with the product over d done once for a ray.
    towards = F.linear(network_arithmetic(view), view_weight)[:, :, None]
    seen = F.relu(linear(h, appearance).unflatten(1, x.shape[1:3]) + towards)
    rgb = torch.sigmoid(linear(seen.flatten(1, 2), colour).float())
    unused = torch.zeros_like(density)
    values = torch.cat([F.softplus(density + DENSITY_SHIFT), logits, rgb, unused], dim=-1)
    return values.unflatten(1, x.shape[1:3])


def linear(x: Tensor, weights: LinearWeights) -> Tensor:
    """(B, N, in) -> (B, N, out)."""
    return layer(weights.bias[None], x, weights.weight)


def fused(x: Tensor, mlp: MLPWeights) -> bool:
    """Whether the kernels compute these networks: they multiply in bf16 (Triton's interpreter in
    fp32), have blocks whose sides are powers of two, and go back two layers at a time from the last
    and from half way."""
    depth, width = mlp.bias.shape
    fit = width in (32, 64, 128) and depth % 4 == 0
    return fit and kernels.chosen(x) and (kernels.interpreted() or in_bf16(x))


def in_bf16(x: Tensor) -> bool:
    """Whether matrix products on the device of x are in bf16 now."""
    device = x.device.type
    return torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16


class _Fused(torch.autograd.Function):
    """Either function by the kernels: the arguments are those of `networks_triton.Network`."""

    @staticmethod
    def forward(ctx, x: Tensor, f: Tensor | None, view: Tensor | None, *arguments) -> Tensor:
        from ssp_nerf.kernels import networks_triton

        *tensors, levels, radius = arguments
        gate, frame_bias, inputs, hidden, *heads = tensors
        kind = torch.bfloat16 if in_bf16(x) else x.dtype
        flat, samples = x.flatten(1, 2).contiguous(), x.shape[2]
        if f is not None:
            f = f.flatten(1, 2).contiguous()
        if view is not None:
            view = view.contiguous()
        hidden = hidden.to(kind)
        frame_bias = frame_bias.contiguous()
        saved = (flat, f, view, gate, frame_bias, inputs, hidden, *heads)
        network = networks_triton.Network(*saved, samples, levels, radius)
        out, stored = networks_triton.forward(network, store=any(ctx.needs_input_grad))
        ctx.save_for_backward(*saved, out, stored)
        ctx.rest = samples, levels, radius
        return out.view(*x.shape[:3], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx, d_out: Tensor):  # type: ignore[override]
        from ssp_nerf.kernels import networks_triton

        *saved, out, stored = ctx.saved_tensors
        network = networks_triton.Network(*saved, *ctx.rest)
        d_out = d_out.reshape(out.shape)
        found = networks_triton.backward(network, out, stored, d_out, d_x=ctx.needs_input_grad[0])
        for name in ("x", "f"):
            if name in found:
                found[name] = found[name].unflatten(1, (-1, ctx.rest[0]))
        names = networks_triton.Network._fields
        return tuple(found.get(name) for name in names if name != "samples")
