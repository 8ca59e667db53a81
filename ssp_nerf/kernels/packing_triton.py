"""Weights and view directions as the kernels of the networks take them."""

from math import prod
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ssp_nerf.field_output import COLOUR, WIDTH
from ssp_nerf.kernels.blocks_triton import encode, store_rows

LEAST_COLUMNS = 16  # of a factor of a matrix product
PACKED_AT_ONCE = 256  # elements; divides each matrix
RAYS_AT_ONCE = 128
FIRST_COLOUR = tl.constexpr(COLOUR.start)


@triton.jit
def pack_kernel(
    hidden_ptr, inputs_ptr, head_ptr, head_bias_ptr, appearance_ptr, appearance_bias_ptr,
    view_weight_ptr, colour_ptr, colour_bias_ptr, packed_ptr, packed_bias_ptr,
    W: tl.constexpr, DEPTH: tl.constexpr, LEVELS: tl.constexpr, ENCODED: tl.constexpr,
    CODE: tl.constexpr, CODED: tl.constexpr, VIEW: tl.constexpr, VIEWED: tl.constexpr,
    OUTPUTS: tl.constexpr, HEADS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """All matrices of a network one after the other (see `Packed`), in rows of powers of two."""
    A: tl.constexpr = W // 2
    ENTRY: tl.constexpr = ENCODED + CODED
    INPUTS_AT: tl.constexpr = (DEPTH - 1) * W * W
    HEAD_AT: tl.constexpr = INPUTS_AT + 2 * W * ENTRY
    APPEARANCE_AT: tl.constexpr = HEAD_AT + HEADS * W
    VIEW_AT: tl.constexpr = APPEARANCE_AT + A * W
    COLOUR_AT: tl.constexpr = VIEW_AT + A * VIEWED
    start = tl.program_id(0) * BLOCK
    element = start + tl.arange(0, BLOCK)
    value = tl.zeros((BLOCK,), tl.float32)
    if start < INPUTS_AT:
        value = tl.load(hidden_ptr + element)
    elif start < HEAD_AT:
        row = (element - INPUTS_AT) // ENTRY
        packed = (element - INPUTS_AT) % ENTRY
        code = packed - ENCODED
        column = tl.where(code < 0, packed, 6 * LEVELS + code)
        known = tl.where(code < 0, packed < 6 * LEVELS, code < CODE)
        value = tl.load(inputs_ptr + row * (6 * LEVELS + CODE) + column, mask=known, other=0.0)
    elif start < APPEARANCE_AT:
        known = element - HEAD_AT < OUTPUTS * W
        value = tl.load(head_ptr + element - HEAD_AT, mask=known, other=0.0)
    elif VIEWED > 0:
        if start < VIEW_AT:
            value = tl.load(appearance_ptr + element - APPEARANCE_AT)
        elif start < COLOUR_AT:
            row = (element - VIEW_AT) // VIEWED
            column = (element - VIEW_AT) % VIEWED
            value = tl.load(view_weight_ptr + row * VIEW + column, mask=column < VIEW, other=0.0)
            bias = tl.load(appearance_bias_ptr + row, mask=column == VIEW, other=0.0)
            value = value + bias
        else:
            row = (element - COLOUR_AT) // A - FIRST_COLOUR
            known = (row >= 0) & (row < 3)
            offset = element - COLOUR_AT - FIRST_COLOUR * A
            value = tl.load(colour_ptr + offset, mask=known, other=0.0)
    tl.store(packed_ptr + element, value.to(packed_ptr.dtype.element_ty))
    if start == 0:
        column = tl.arange(0, HEADS)
        bias = tl.load(head_bias_ptr + column, mask=column < OUTPUTS, other=0.0)
        if VIEWED > 0:
            coloured = (column >= FIRST_COLOUR) & (column < FIRST_COLOUR + 3)
            bias += tl.load(colour_bias_ptr + column - FIRST_COLOUR, mask=coloured, other=0.0)
        tl.store(packed_bias_ptr + column, bias)


@triton.jit
def view_kernel(
    d_ptr, view_ptr, rays,
    LEVELS: tl.constexpr, VIEWED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Encoded view directions of rays, and a one for the bias."""
    ray = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = ray < rays
    view = encode(d_ptr, ray, inside, 1.0, LEVELS, VIEWED)
    view = tl.where(tl.arange(0, VIEWED)[None, :] == 6 * LEVELS, 1.0, view)
    store_rows(view_ptr, ray, inside, view, VIEWED)


class Weights(NamedTuple):
    """Of one function; None for what a deformation does not have."""

    frame_bias: Tensor  # (2, B, W)
    inputs: Tensor  # (2, W, I)
    hidden: Tensor  # (D - 1, W, W)
    bias: Tensor  # (D, W)
    head: Tensor  # (outputs, W)
    head_bias: Tensor  # (outputs,)
    appearance: Tensor | None = None  # (W / 2, W)
    appearance_bias: Tensor | None = None  # (W / 2,)
    view_weight: Tensor | None = None  # (W / 2, V)
    colour: Tensor | None = None  # (3, W / 2)
    colour_bias: Tensor | None = None  # (3,)


class Packed(NamedTuple):
    """Matrices in the type of the products; rows padded by zeros to powers of two."""

    hidden: Tensor  # (D - 1, W, W)
    inputs: Tensor  # (2, W, encoded position + code)
    head: Tensor  # (16, W)
    appearance: Tensor  # (W / 2, W)
    view_weight: Tensor  # (W / 2, V), with the appearance's bias
    colour: Tensor  # (16, W / 2), in the rows of the colour


class Network(NamedTuple):
    """One function as the kernels take it."""

    weights: Weights
    packed: Packed
    head_bias: Tensor  # (16,) with the colour's
    gate: Tensor | None  # (B,) of the deformation
    view: Tensor | None  # (B R, V) from `encoded_view`, where a semantic field is asked
    levels: int  # of the positional encoding
    radius: float  # decimetres

    @property
    def depth(self) -> int:
        return len(self.weights.bias)

    @property
    def width(self) -> int:
        return self.weights.bias.shape[1]

    def sizes(self) -> dict[str, int]:
        """Compile-time constants of the kernels that see a sample's features."""
        return _sizes(self.weights, self.levels)

    def head_sizes(self) -> dict[str, int]:
        return _head_sizes(self.weights)


def _sizes(w: Weights, levels: int) -> dict[str, int]:
    code = w.inputs.shape[2] - 6 * levels
    return {
        "LEVELS": levels,
        "ENCODED": _padded(6 * levels),
        "CODE": code,
        "CODED": _padded(code) if code else 0,
    }


def view_width(w: Weights) -> int:
    return w.view_weight.shape[1] if w.view_weight is not None else 0


def _head_sizes(w: Weights) -> dict[str, int]:
    view = view_width(w)
    return {
        "VIEWED": _padded(view + 1) if view else 0,
        "OUTPUTS": len(w.head),
        "HEADS": WIDTH,
    }


def _padded(columns: int) -> int:
    """What a block of so many columns takes."""
    return max(LEAST_COLUMNS, triton.next_power_of_2(columns))


def network(
    weights: Weights, gate: Tensor | None, levels: int, radius: float, kind: torch.dtype
) -> Network:
    """Pack weights for the kernels.

    Args:
        gate: (B,) of a deformation.
        levels: of the positional encoding.
        radius: of the scene, decimetres.
        kind: type of the matrix products.
    """
    w = weights
    depth, width = w.bias.shape
    sizes, head_sizes = _sizes(w, levels), _head_sizes(w)
    viewed = head_sizes["VIEWED"]
    shapes: dict[str, tuple[int, ...]] = {
        "hidden": (depth - 1, width, width),
        "inputs": (2, width, sizes["ENCODED"] + sizes["CODED"]),
        "head": (WIDTH, width),
        "appearance": (width // 2 if viewed else 0, width),
        "view_weight": (width // 2, viewed),
        "colour": (WIDTH if viewed else 0, width // 2),
    }
    counts = [prod(shape) for shape in shapes.values()]
    buffer = w.bias.new_empty(sum(counts), dtype=kind)
    head_bias = w.bias.new_empty(WIDTH)
    pack_kernel[(len(buffer) // PACKED_AT_ONCE,)](
        w.hidden, w.inputs, w.head, w.head_bias, w.appearance, w.appearance_bias, w.view_weight,
        w.colour, w.colour_bias, buffer, head_bias,
        W=width, DEPTH=depth, **sizes, **head_sizes, VIEW=view_width(w), BLOCK=PACKED_AT_ONCE,
    )  # fmt: skip
    parts = zip(shapes.items(), buffer.split(counts), strict=True)
    packed = Packed(**{name: part.view(shape) for (name, shape), part in parts})
    return Network(weights, packed, head_bias, gate, None, levels, radius)


def encoded_view(d: Tensor, levels: int, kind: torch.dtype) -> Tensor:
    """Unit directions (..., 3) -> (rays, V), their encoding, a one for the bias, and zeros."""
    rays = d.numel() // 3
    viewed = _padded(6 * levels + 1)
    view = d.new_empty(rays, viewed, dtype=kind)
    view_kernel[(triton.cdiv(rays, RAYS_AT_ONCE),)](
        d.contiguous(), view, rays, LEVELS=levels, VIEWED=viewed, ROWS=RAYS_AT_ONCE
    )
    return view
