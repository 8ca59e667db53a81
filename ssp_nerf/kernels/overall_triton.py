"""Triton kernels of `overall`: the networks, there and back.

A program holds a block of samples (rows) of one frame on the chip. Matrix products take their
factors in the type of the hidden weights (bf16; fp32 in tests) and add up in fp32.

On the way there nothing is stored but the outputs. On the way back the samples whose gradient
matters are gathered (`select`), and `forward_kernel` computes their layers again and stores them.
Then `head_backward` goes from the outputs to the last layer, `layer_backward` from each layer to
the one below, and `entry_backward` through the two that see the encoded position or the structured
code. The gradient of a layer takes the place of its values. A program keeps the gradients of its
weights on the chip while it walks over its rows, and leaves one partial sum.

Layer l (0 ... D - 1) has input weights `inputs[0]` for l = 0, `inputs[1]` for l = D / 2, and for
l > 0 `hidden[l - 1]`.
"""

from collections.abc import Mapping
from itertools import accumulate
from math import prod
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ssp_nerf import fields
from ssp_nerf.field_output import COLOUR, DENSITY, WIDTH

# Rows of a block and warps that share it, of those tried on an H100 the fastest.
FORWARD_ROWS, FORWARD_WARPS = 256, 16
AGAIN_ROWS, AGAIN_WARPS = 128, 8
BACKWARD_ROWS, BACKWARD_WARPS = 128, 8
SELECTION_ROWS = 128
LEAST_COLUMNS = 16  # of a factor of a matrix product
PACKED_AT_ONCE = 256  # divides each matrix
FAR_AWAY = 1e6  # decimetres
TWO_PI = tl.constexpr(6.283185307179586)
FIRST_COLOUR = tl.constexpr(COLOUR.start)
DENSITY_COLUMN = tl.constexpr(DENSITY)
DENSITY_SHIFT = tl.constexpr(fields.DENSITY_SHIFT)


@triton.jit
def _sine(turns):
    """sin(2 pi turns), to the last digits of fp32 for any number of turns."""
    r = turns - tl.floor(turns + 0.5)  # exact; in [-1/2, 1/2]
    r = tl.where(r > 0.25, 0.5 - r, tl.where(r < -0.25, -0.5 - r, r))
    y = r * TWO_PI
    z = y * y
    series = 1.0 / 362880.0 - z * (1.0 / 39916800.0)
    series = -1.0 / 5040.0 + z * series
    series = 1.0 / 120.0 + z * series
    series = -1.0 / 6.0 + z * series
    return y + y * z * series


@triton.jit
def _turns(x_ptr, row, inside, radius, LEVELS: tl.constexpr, ENCODED: tl.constexpr):
    """Angles of the positional encoding, in turns, (rows, ENCODED), and turns per decimetre.

    Columns as in `PositionalEncoding`: sines of level 0 (x, y, z), of level 1, ...; cosines.
    """
    column = tl.arange(0, ENCODED)
    level = (column % (3 * LEVELS)) // 3
    axis = column % 3
    x = tl.load(x_ptr + 3 * row, mask=inside, other=0.0) / radius
    y = tl.load(x_ptr + 3 * row + 1, mask=inside, other=0.0) / radius
    z = tl.load(x_ptr + 3 * row + 2, mask=inside, other=0.0) / radius
    q = tl.where(
        axis[None, :] == 0, x[:, None], tl.where(axis[None, :] == 1, y[:, None], z[:, None])
    )
    rate = (1 << level).to(tl.float32) * 0.5  # 2^l pi in turns
    cosine = (column >= 3 * LEVELS) & (column < 6 * LEVELS)
    return q * rate[None, :] + tl.where(cosine, 0.25, 0.0)[None, :], rate / radius


@triton.jit
def _encode(x_ptr, row, inside, radius, LEVELS: tl.constexpr, ENCODED: tl.constexpr):
    """Positional encoding of rows (rows, ENCODED), zero beyond its 6 L columns."""
    turns, _ = _turns(x_ptr, row, inside, radius, LEVELS, ENCODED)
    column = tl.arange(0, ENCODED)
    return tl.where(column[None, :] < 6 * LEVELS, _sine(turns), 0.0)


@triton.jit
def _matrix(ptr, first, OUT: tl.constexpr, IN: tl.constexpr, ROW: tl.constexpr):
    """Packed weights (OUT, IN): from column `first` of rows of length ROW."""
    return tl.load(ptr + tl.arange(0, OUT)[:, None] * ROW + first + tl.arange(0, IN)[None, :])


@triton.jit
def _transposed(ptr, first, OUT: tl.constexpr, IN: tl.constexpr, ROW: tl.constexpr):
    """The same as (IN, OUT)."""
    return tl.load(ptr + tl.arange(0, OUT)[None, :] * ROW + first + tl.arange(0, IN)[:, None])


@triton.jit
def _product(a, b, acc=None):
    """a b (+ acc) in fp32."""
    return tl.dot(a, b, acc, input_precision="ieee")


@triton.jit
def _features(f_ptr, row, inside, CODE: tl.constexpr, CODED: tl.constexpr):
    """Structured codes of rows (rows, CODED)."""
    column = tl.arange(0, CODED)
    return tl.load(
        f_ptr + row[:, None].to(tl.int64) * CODE + column[None, :],
        mask=inside[:, None] & (column[None, :] < CODE),
        other=0.0,
    )


@triton.jit
def _relu(h):
    """What is no number stays so, as in PyTorch, and is found in the loss."""
    return tl.maximum(h, 0.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _softplus(h):
    return tl.maximum(h, 0.0) + tl.log(1.0 + tl.exp(-tl.abs(h)))


@triton.jit
def _rows(ptr, row, inside, W: tl.constexpr):
    """(rows, W) of a stored layer."""
    return tl.load(
        ptr + row[:, None].to(tl.int64) * W + tl.arange(0, W)[None, :],
        mask=inside[:, None],
        other=0.0,
    )


@triton.jit
def _store_rows(ptr, row, inside, values, W: tl.constexpr):
    tl.store(
        ptr + row[:, None].to(tl.int64) * W + tl.arange(0, W)[None, :],
        values,
        mask=inside[:, None],
    )


@triton.jit(do_not_specialize=["frames"])
def forward_kernel(
    x_ptr, f_ptr, view_ptr, gate_ptr, out_ptr, layers_ptr, count_ptr,
    frame_bias_ptr, bias_ptr, head_bias_ptr,
    hidden_ptr, inputs_ptr, head_ptr, appearance_ptr, view_weight_ptr, colour_ptr,
    samples, rows_per_frame, frames, radius,
    W: tl.constexpr, DEPTH: tl.constexpr, LEVELS: tl.constexpr, ENCODED: tl.constexpr,
    CODE: tl.constexpr, CODED: tl.constexpr, VIEWED: tl.constexpr,
    OUTPUTS: tl.constexpr, HEADS: tl.constexpr, STORE: tl.constexpr, ROWS: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """Eq. 6 (VIEWED > 0) or eq. 7 at ROWS samples of one frame; or (STORE) the layers at the
    samples that go back, as many as `count` says."""
    frame = tl.program_id(1)
    in_frame = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    rows = rows_per_frame
    if STORE:
        rows = tl.load(count_ptr + frame)
        if tl.program_id(0) * ROWS >= rows:
            return
    inside = in_frame < rows
    row = frame * rows_per_frame + in_frame
    unit = tl.arange(0, W)
    kind = hidden_ptr.dtype.element_ty
    HALF_WAY: tl.constexpr = DEPTH // 2
    ENTRY: tl.constexpr = ENCODED + CODED  # features of a sample
    layer_stride = frames.to(tl.int64) * rows_per_frame * W

    encoded = _encode(x_ptr, row, inside, radius, LEVELS, ENCODED).to(kind)
    h = _product(encoded, _transposed(inputs_ptr, 0, W, ENCODED, ENTRY))
    if CODE > 0:
        f = _features(f_ptr, row, inside, CODE, CODED)
        h = _product(f, _transposed(inputs_ptr, ENCODED, W, CODED, ENTRY), h)
    b = tl.load(bias_ptr + unit) + tl.load(frame_bias_ptr + frame * W + unit)
    h = _relu(h + b[None, :]).to(kind)
    if STORE:
        _store_rows(layers_ptr, row, inside, h, W)

    for number in tl.range(1, HALF_WAY, num_stages=STAGES):
        weight = _transposed(hidden_ptr + (number - 1) * W * W, 0, W, W, W)
        b = tl.load(bias_ptr + number * W + unit)
        h = _relu(_product(h, weight) + b[None, :]).to(kind)
        if STORE:
            _store_rows(layers_ptr + number * layer_stride, row, inside, h, W)

    h = _product(h, _transposed(hidden_ptr + (HALF_WAY - 1) * W * W, 0, W, W, W))
    again = inputs_ptr + W * ENTRY
    h = _product(encoded, _transposed(again, 0, W, ENCODED, ENTRY), h)
    if CODE > 0:
        f = _features(f_ptr, row, inside, CODE, CODED)
        h = _product(f, _transposed(again, ENCODED, W, CODED, ENTRY), h)
    b = tl.load(bias_ptr + HALF_WAY * W + unit)
    b += tl.load(frame_bias_ptr + (frames + frame) * W + unit)
    h = _relu(h + b[None, :]).to(kind)
    if STORE:
        _store_rows(layers_ptr + HALF_WAY * layer_stride, row, inside, h, W)

    for number in tl.range(HALF_WAY + 1, DEPTH, num_stages=STAGES):
        weight = _transposed(hidden_ptr + (number - 1) * W * W, 0, W, W, W)
        b = tl.load(bias_ptr + number * W + unit)
        h = _relu(_product(h, weight) + b[None, :]).to(kind)
        if STORE:
            _store_rows(layers_ptr + number * layer_stride, row, inside, h, W)

    if not STORE:
        ray = frame * (rows_per_frame // samples) + in_frame // samples
        _store_outputs(
            h, row, ray, frame, inside, view_ptr, gate_ptr, out_ptr, head_bias_ptr,
            head_ptr, appearance_ptr, view_weight_ptr, colour_ptr,
            W, VIEWED, OUTPUTS, HEADS,
        )  # fmt: skip


@triton.jit
def _store_outputs(
    h, row, ray, frame, inside, view_ptr, gate_ptr, out_ptr, head_bias_ptr,
    head_ptr, appearance_ptr, view_weight_ptr, colour_ptr,
    W: tl.constexpr, VIEWED: tl.constexpr, OUTPUTS: tl.constexpr, HEADS: tl.constexpr,
):  # fmt: skip
    """The heads over the last layer h (rows, W)."""
    column = tl.arange(0, HEADS)
    out = _product(h, _transposed(head_ptr, 0, HEADS, W, W))
    if VIEWED > 0:
        A: tl.constexpr = W // 2
        appearance = _product(h, _transposed(appearance_ptr, 0, A, W, W))
        view = _rows(view_ptr, ray, inside, VIEWED)
        appearance = _product(view, _transposed(view_weight_ptr, 0, A, VIEWED, VIEWED), appearance)
        appearance = _relu(appearance).to(h.dtype)
        out = _product(appearance, _transposed(colour_ptr, 0, HEADS, A, A), out)
        out += tl.load(head_bias_ptr + column)[None, :]
        coloured = (column >= FIRST_COLOUR) & (column < FIRST_COLOUR + 3)
        out = tl.where(
            column[None, :] == DENSITY_COLUMN,
            _softplus(out + DENSITY_SHIFT),
            tl.where(coloured[None, :], 1.0 / (1.0 + tl.exp(-out)), out),
        )
        _store_rows(out_ptr, row, inside, out, HEADS)
    else:
        out += tl.load(head_bias_ptr + column)[None, :]
        out *= tl.load(gate_ptr + frame)
        tl.store(
            out_ptr + row[:, None] * OUTPUTS + column[None, :],
            out,
            mask=inside[:, None] & (column[None, :] < OUTPUTS),
        )


@triton.jit
def _own_rows(count_ptr, ROWS: tl.constexpr):
    """What a program of a backward kernel walks over: its first row in the frame, the row after
    its last, and the number of its blocks."""
    rows = tl.load(count_ptr + tl.program_id(1))
    blocks = tl.cdiv(tl.cdiv(rows, ROWS), tl.num_programs(0))
    start = tl.program_id(0) * blocks * ROWS
    return start, tl.minimum(start + blocks * ROWS, rows), blocks


@triton.jit
def _own_sums(partial_ptr, total):
    """Where a program leaves its sums."""
    program = tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)
    return partial_ptr + program.to(tl.int64) * total


@triton.jit
def _store_matrix(ptr, out_stride, first, values, OUT: tl.constexpr, IN: tl.constexpr, outs, ins):
    """Values (OUT, IN), up to `outs` rows and `ins` columns."""
    o = tl.arange(0, OUT)
    i = tl.arange(0, IN)
    inside = (o[:, None] < outs) & (i[None, :] < ins)
    tl.store(ptr + o[:, None] * out_stride + first + i[None, :], values, mask=inside)


@triton.jit
def _store_column(ptr, values, OUT: tl.constexpr, IN: tl.constexpr, which):
    """Column `which` of values (OUT, IN) -> (OUT,)."""
    i = tl.arange(0, IN)
    column = tl.sum(tl.where(i[None, :] == which, values, 0.0), axis=1)
    tl.store(ptr + tl.arange(0, OUT), column)


@triton.jit(do_not_specialize=["frames"])
def head_backward(
    d_raw_ptr, view_ptr, ray_ptr, gate_ptr, count_ptr, layers_ptr,
    head_ptr, appearance_ptr, view_weight_ptr, colour_ptr,
    partial_ptr, total, at_head, at_head_bias, at_appearance, at_appearance_bias, at_view,
    at_colour,
    rows_per_frame, frames,
    W: tl.constexpr, DEPTH: tl.constexpr, VIEW: tl.constexpr, VIEWED: tl.constexpr,
    OUTPUTS: tl.constexpr, HEADS: tl.constexpr, ROWS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """From the outputs, before their last functions, to the last layer."""
    frame = tl.program_id(1)
    start, end, blocks = _own_rows(count_ptr, ROWS)
    kind = head_ptr.dtype.element_ty
    column = tl.arange(0, HEADS)
    A: tl.constexpr = W // 2
    layers_ptr += (DEPTH - 1) * frames.to(tl.int64) * rows_per_frame * W

    head = _matrix(head_ptr, 0, HEADS, W, W)
    d_head = tl.zeros((W, HEADS), tl.float32)
    d_head_bias = tl.zeros((HEADS,), tl.float32)
    if VIEWED > 0:
        appearance_weight = _matrix(appearance_ptr, 0, A, W, W)
        view_weight = _matrix(view_weight_ptr, 0, A, VIEWED, VIEWED)
        colour_weight = _matrix(colour_ptr, 0, HEADS, A, A)
        d_appearance_weight = tl.zeros((A, W), tl.float32)
        d_view_weight = tl.zeros((A, VIEWED), tl.float32)
        d_colour = tl.zeros((A, HEADS), tl.float32)
    else:
        gate = tl.load(gate_ptr + frame)

    for block in tl.range(0, blocks, num_stages=STAGES):
        in_frame = start + block * ROWS + tl.arange(0, ROWS)
        inside = in_frame < end
        row = frame * rows_per_frame + in_frame
        h = _rows(layers_ptr, row, inside, W)
        if VIEWED > 0:
            d_raw = _rows(d_raw_ptr, row, inside, HEADS)
            d_head_bias += tl.sum(d_raw, axis=0)
            d_raw = d_raw.to(kind)
            ray = tl.load(ray_ptr + row, mask=inside, other=0)
            view = _rows(view_ptr, ray, inside, VIEWED)
            appearance = _product(h, tl.trans(appearance_weight))
            appearance = _product(view, tl.trans(view_weight), appearance)
            appearance = _relu(appearance).to(kind)
            d_colour = _product(tl.trans(appearance), d_raw, d_colour)
            d_appearance = _product(d_raw, colour_weight)
            d_appearance = tl.where(appearance > 0, d_appearance, 0.0).to(kind)
            d_view_weight = _product(tl.trans(d_appearance), view, d_view_weight)
            d_appearance_weight = _product(tl.trans(d_appearance), h, d_appearance_weight)
            d_h = _product(d_appearance, appearance_weight, _product(d_raw, head))
        else:
            d_raw = tl.load(
                d_raw_ptr + row[:, None] * OUTPUTS + column[None, :],
                mask=inside[:, None] & (column[None, :] < OUTPUTS),
                other=0.0,
            )
            d_raw *= gate
            d_head_bias += tl.sum(d_raw, axis=0)
            d_raw = d_raw.to(kind)
            d_h = _product(d_raw, head)
        d_head = _product(tl.trans(h), d_raw, d_head)
        _store_rows(layers_ptr, row, inside, tl.where(h > 0, d_h, 0.0), W)

    sums = _own_sums(partial_ptr, total)
    _store_matrix(sums + at_head, W, 0, tl.trans(d_head), HEADS, W, HEADS, W)
    tl.store(sums + at_head_bias + column, d_head_bias)
    if VIEWED > 0:
        _store_matrix(sums + at_appearance, W, 0, d_appearance_weight, A, W, A, W)
        _store_column(sums + at_appearance_bias, d_view_weight, A, VIEWED, VIEW)
        _store_matrix(sums + at_view, VIEW, 0, d_view_weight, A, VIEWED, A, VIEW)
        _store_matrix(sums + at_colour, A, 0, tl.trans(d_colour), HEADS, A, HEADS, A)


@triton.jit(do_not_specialize=["frames"])
def layer_backward(
    count_ptr, layers_ptr, hidden_ptr, partial_ptr, total, at_hidden, at_bias, number,
    rows_per_frame, frames,
    W: tl.constexpr, ROWS: tl.constexpr, ONES: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """From layer `number` to the one below."""
    frame = tl.program_id(1)
    start, end, blocks = _own_rows(count_ptr, ROWS)
    layer_stride = frames.to(tl.int64) * rows_per_frame * W
    below_ptr = layers_ptr + (number - 1) * layer_stride
    weight = _matrix(hidden_ptr + (number - 1) * W * W, 0, W, W, W)
    ones = tl.full((ROWS, ONES), 1.0, hidden_ptr.dtype.element_ty)
    d_weight = tl.zeros((W, W), tl.float32)
    d_bias = tl.zeros((W, ONES), tl.float32)

    for block in tl.range(0, blocks, num_stages=STAGES):
        in_frame = start + block * ROWS + tl.arange(0, ROWS)
        inside = in_frame < end
        row = frame * rows_per_frame + in_frame
        d = _rows(below_ptr + layer_stride, row, inside, W)
        below = _rows(below_ptr, row, inside, W)
        d_weight = _product(tl.trans(d), below, d_weight)
        d_bias = _product(tl.trans(d), ones, d_bias)
        d_below = tl.where(below > 0, _product(d, weight), 0.0)
        _store_rows(below_ptr, row, inside, d_below, W)

    sums = _own_sums(partial_ptr, total)
    _store_matrix(sums + at_hidden + (number - 1) * W * W, W, 0, d_weight, W, W, W, W)
    _store_column(sums + at_bias + number * W, d_bias, W, ONES, 0)


@triton.jit(do_not_specialize=["frames"])
def entry_backward(
    x_ptr, f_ptr, d_x_ptr, d_f_ptr, count_ptr, layers_ptr, inputs_ptr,
    partial_ptr, total, at_inputs, at_bias, rows_per_frame, frames, radius,
    W: tl.constexpr, DEPTH: tl.constexpr, LEVELS: tl.constexpr, ENCODED: tl.constexpr,
    CODE: tl.constexpr, CODED: tl.constexpr, OF_CODE: tl.constexpr, WANTED: tl.constexpr,
    ONES: tl.constexpr, ROWS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Through the two layers that see a sample's features: of its encoded position and the first
    layer's bias, or (OF_CODE) of its structured code. WANTED: also the gradient of x or f."""
    frame = tl.program_id(1)
    start, end, blocks = _own_rows(count_ptr, ROWS)
    kind = layers_ptr.dtype.element_ty
    ENTRY: tl.constexpr = ENCODED + CODED  # packed; in the gradient they lie side by side
    INPUTS: tl.constexpr = 6 * LEVELS + CODE
    FIRST: tl.constexpr = 6 * LEVELS if OF_CODE else 0
    COUNT: tl.constexpr = CODE if OF_CODE else 6 * LEVELS
    FEATURES: tl.constexpr = CODED if OF_CODE else ENCODED
    half_way_ptr = layers_ptr + (DEPTH // 2) * frames.to(tl.int64) * rows_per_frame * W

    PACKED: tl.constexpr = ENCODED if OF_CODE else 0
    first = _matrix(inputs_ptr, PACKED, W, FEATURES, ENTRY)
    again = _matrix(inputs_ptr + W * ENTRY, PACKED, W, FEATURES, ENTRY)
    d_first = tl.zeros((W, FEATURES), tl.float32)
    d_again = tl.zeros((W, FEATURES), tl.float32)
    if not OF_CODE:
        ones = tl.full((ROWS, ONES), 1.0, kind)
        d_bias = tl.zeros((W, ONES), tl.float32)

    for block in tl.range(0, blocks, num_stages=STAGES):
        in_frame = start + block * ROWS + tl.arange(0, ROWS)
        inside = in_frame < end
        row = frame * rows_per_frame + in_frame
        d_h = _rows(layers_ptr, row, inside, W)
        d_half_way = _rows(half_way_ptr, row, inside, W)
        if OF_CODE:
            features = _features(f_ptr, row, inside, CODE, CODED)
        else:
            features = _encode(x_ptr, row, inside, radius, LEVELS, ENCODED).to(kind)
            d_bias = _product(tl.trans(d_h), ones, d_bias)
        d_first = _product(tl.trans(d_h), features, d_first)
        d_again = _product(tl.trans(d_half_way), features, d_again)
        if WANTED:
            d_features = _product(d_half_way, again, _product(d_h, first))
            column = tl.arange(0, FEATURES)
            if OF_CODE:
                tl.store(
                    d_f_ptr + row[:, None].to(tl.int64) * CODE + column[None, :],
                    d_features,
                    mask=inside[:, None] & (column[None, :] < CODE),
                )
            else:
                turns, rate = _turns(x_ptr, row, inside, radius, LEVELS, ENCODED)
                slope = _sine(turns + 0.25) * (rate * TWO_PI)[None, :]
                known = column[None, :] < 6 * LEVELS
                d_q = tl.where(known, d_features * slope, 0.0)
                for axis in tl.static_range(3):
                    d_axis = tl.sum(tl.where((column % 3 == axis)[None, :], d_q, 0.0), axis=1)
                    tl.store(d_x_ptr + 3 * row + axis, d_axis, mask=inside)

    sums = _own_sums(partial_ptr, total)
    _store_matrix(sums + at_inputs, INPUTS, FIRST, d_first, W, FEATURES, W, COUNT)
    _store_matrix(sums + at_inputs + W * INPUTS, INPUTS, FIRST, d_again, W, FEATURES, W, COUNT)
    if not OF_CODE:
        _store_column(sums + at_bias, d_bias, W, ONES, 0)


@triton.jit
def _raw_gradient(d_values_ptr, values_ptr, row, inside, HEADS: tl.constexpr):
    """Gradient (rows, HEADS) of what the heads give before their last functions."""
    column = tl.arange(0, HEADS)
    d = _rows(d_values_ptr, row, inside, HEADS)
    value = _rows(values_ptr, row, inside, HEADS)
    coloured = (column >= FIRST_COLOUR) & (column < FIRST_COLOUR + 3)
    slope = tl.where(
        column[None, :] == DENSITY_COLUMN,
        1.0 - tl.exp(-value),  # of the softplus whose value that is
        tl.where(coloured[None, :], value * (1.0 - value), 1.0),
    )
    return tl.where(column[None, :] < FIRST_COLOUR + 3, d * slope, 0.0)


@triton.jit
def norm_kernel(d_values_ptr, values_ptr, norm_ptr, rows, HEADS: tl.constexpr, ROWS: tl.constexpr):
    """Length of each sample's gradient."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = row < rows
    d = _raw_gradient(d_values_ptr, values_ptr, row, inside, HEADS)
    tl.store(norm_ptr + row, tl.sqrt(tl.sum(d * d, axis=1)), mask=inside)


@triton.jit
def draw_kernel(norm_ptr, threshold_ptr, seed_ptr, kept_ptr, rows, ROWS: tl.constexpr):
    """1 for each sample that goes back, else 0: with the probability norm / threshold."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    norm = tl.load(norm_ptr + row, mask=row < rows, other=0.0)
    draw = tl.rand(tl.load(seed_ptr), row)
    stays = draw * tl.load(threshold_ptr) >= norm  # what is no number does not
    tl.store(kept_ptr + row, 1 - stays.to(tl.int32), mask=row < rows)


@triton.jit
def gather_kernel(
    d_values_ptr, values_ptr, norm_ptr, threshold_ptr, rank_ptr, x_ptr, moved_ptr,
    count_ptr, d_raw_ptr, x_out_ptr, moved_out_ptr, ray_ptr, samples, rows_per_frame,
    HEADS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Put the kept samples of each frame side by side, their gradients over their probability."""
    frame = tl.program_id(1)
    in_frame = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = in_frame < rows_per_frame
    first = frame * rows_per_frame
    row = first + in_frame
    # Counted over all frames in a row: rank is the number of kept samples up to this one.
    before_frame = tl.load(rank_ptr + first - 1, mask=frame > 0, other=0)
    if tl.program_id(0) == 0:
        total = tl.load(rank_ptr + first + rows_per_frame - 1)
        tl.store(count_ptr + frame, total - before_frame)
    rank = tl.load(rank_ptr + row, mask=inside, other=0)
    before = tl.load(rank_ptr + row - 1, mask=inside & (row > 0), other=0)
    kept = inside & (rank > before)
    place = first + before - before_frame

    d = _raw_gradient(d_values_ptr, values_ptr, row, kept, HEADS)
    norm = tl.load(norm_ptr + row, mask=kept, other=1.0)
    d *= tl.maximum(tl.load(threshold_ptr) / norm, 1.0)[:, None]
    _store_rows(d_raw_ptr, place, kept, d, HEADS)
    for axis in tl.static_range(3):
        value = tl.load(x_ptr + 3 * row + axis, mask=kept)
        tl.store(x_out_ptr + 3 * place + axis, value, mask=kept)
        value = tl.load(moved_ptr + 3 * row + axis, mask=kept)
        tl.store(moved_out_ptr + 3 * place + axis, value, mask=kept)
    tl.store(ray_ptr + place, row // samples, mask=kept)


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
    view = _encode(d_ptr, ray, inside, 1.0, LEVELS, VIEWED)
    view = tl.where(tl.arange(0, VIEWED)[None, :] == 6 * LEVELS, 1.0, view)
    _store_rows(view_ptr, ray, inside, view, VIEWED)


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


def _view_width(w: Weights) -> int:
    return w.view_weight.shape[1] if w.view_weight is not None else 0


def _head_sizes(w: Weights) -> dict[str, int]:
    view = _view_width(w)
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
        W=width, DEPTH=depth, **sizes, **head_sizes, VIEW=_view_width(w), BLOCK=PACKED_AT_ONCE,
    )  # fmt: skip
    parts = zip(shapes.items(), buffer.split(counts), strict=True)
    packed = Packed(**{name: part.view(shape) for (name, shape), part in parts})
    return Network(weights, packed, head_bias, gate, None, levels, radius)


def encoded_view(d: Tensor, levels: int, kind: torch.dtype) -> Tensor:
    """Unit directions (..., 3) -> (rays, V), their encoding, a one for the bias, and zeros."""
    rays = d.numel() // 3
    viewed = _padded(6 * levels + 1)
    view = d.new_empty(rays, viewed, dtype=kind)
    view_kernel[(triton.cdiv(rays, SELECTION_ROWS),)](
        d.contiguous(), view, rays, LEVELS=levels, VIEWED=viewed, ROWS=SELECTION_ROWS
    )
    return view


class Selection(NamedTuple):
    """The samples that go back, frame by frame, and their gradient; undefined beyond `counts`, but
    for `moved`, which is far from everything there."""

    counts: Tensor  # (B,) int32
    x: Tensor  # (B, N, 3)
    moved: Tensor  # (B, N, 3) displaced
    ray: Tensor  # (B, N) int32, of all B R rays
    d_raw: Tensor  # (B, N, 16) fp32


def forward(network: Network, x: Tensor, f: Tensor | None, samples: int) -> Tensor:
    """Values (B, N, 16) of the semantic field or displacements (B, N, 3).

    Args:
        x: (B, N, 3) decimetres.
        f: (B, N, code) structured codes, of the semantic field.
        samples: consecutive rows that share a ray.
    """
    n = network
    frames, rows = x.shape[:2]
    out = x.new_empty(frames, rows, WIDTH if n.view is not None else len(n.weights.head))
    forward_kernel[(triton.cdiv(rows, FORWARD_ROWS), frames)](
        x, f, n.view, n.gate, out, None, None, n.weights.frame_bias, n.weights.bias, n.head_bias,
        *n.packed, samples, rows, frames, n.radius, STORE=False, ROWS=FORWARD_ROWS,
        num_warps=FORWARD_WARPS, **_forward_options(n),
    )  # fmt: skip
    return out


def _layers_again(network: Network, x: Tensor, f: Tensor | None, count: Tensor) -> Tensor:
    """All layers (D, B, N, W) at the samples that go back."""
    n = network
    frames, rows = x.shape[:2]
    layers = n.packed.hidden.new_empty(n.depth, frames, rows, n.width)
    forward_kernel[(triton.cdiv(rows, AGAIN_ROWS), frames)](
        x, f, None, None, None, layers, count, n.weights.frame_bias, n.weights.bias, n.head_bias,
        *n.packed, 1, rows, frames, n.radius, STORE=True, ROWS=AGAIN_ROWS,
        num_warps=AGAIN_WARPS, **_forward_options(n),
    )  # fmt: skip
    return layers


def _forward_options(n: Network) -> dict[str, int]:
    return {"W": n.width, "DEPTH": n.depth, **n.sizes(), **n.head_sizes(), "STAGES": 2}


def select(
    d_values: Tensor, values: Tensor, x: Tensor, moved: Tensor, samples: int,
    tolerance: float, seed: Tensor,
) -> Selection:  # fmt: skip
    """Which samples go back (see `Roulette`), with their gradients over their probability.

    Args:
        d_values, values: (B, N, 16) of the semantic field's outputs.
        x, moved: (B, N, 3) positions before and after their displacement.
    """
    frames, rows = x.shape[:2]
    norm = x.new_empty(frames * rows)
    blocks = triton.cdiv(frames * rows, SELECTION_ROWS)
    norm_kernel[(blocks,)](d_values, values, norm, frames * rows, HEADS=WIDTH, ROWS=SELECTION_ROWS)
    # Where a gradient is infinite or no number, all go back as they are, and it is found.
    threshold = torch.nan_to_num(norm.mean() * tolerance, nan=0.0, posinf=0.0)
    kept = torch.empty_like(norm, dtype=torch.int32)
    draw_kernel[(blocks,)](norm, threshold, seed, kept, frames * rows, ROWS=SELECTION_ROWS)
    rank = kept.cumsum(0, dtype=torch.int32)  # over all frames in one row: fastest on a GPU
    selection = Selection(
        rank.new_empty(frames),
        torch.empty_like(x),
        torch.full_like(x, FAR_AWAY),
        rank.new_empty(frames, rows),
        torch.empty_like(values),
    )
    gather_kernel[(triton.cdiv(rows, SELECTION_ROWS), frames)](
        d_values, values, norm, threshold, rank, x, moved,
        selection.counts, selection.d_raw, selection.x, selection.moved, selection.ray,
        samples, rows, HEADS=WIDTH, ROWS=SELECTION_ROWS,
    )  # fmt: skip
    return selection


def backward(
    network: Network, selection: Selection, x: Tensor, f: Tensor | None, d_raw: Tensor, d_x: bool
) -> dict[str, Tensor]:
    """Gradients by the names of `Weights`, and of f (B, N, code) and, if wanted, x (B, N, 3).

    Args:
        x, f: of the selected samples, as in `forward`.
        d_raw: (B, N, 16) gradient before the heads' last functions, or (B, N, 3) of displacements.
    """
    n, p, count = network, network.packed, selection.counts
    frames, rows = x.shape[:2]
    layers = _layers_again(n, x, f, count)
    sums = Sums(_shapes(n.weights), frames, rows, x.device)
    at = sums.places
    found = {}
    constants = {"W": n.width, "ROWS": BACKWARD_ROWS, "num_warps": BACKWARD_WARPS}
    head_backward[sums.grid](
        d_raw, n.view, selection.ray, n.gate, count, layers,
        p.head, p.appearance, p.view_weight, p.colour,
        sums.partial, sums.total, at["head"], at["head_bias"],
        at.get("appearance", 0), at.get("appearance_bias", 0), at.get("view_weight", 0),
        at.get("colour", 0),
        rows, frames, DEPTH=n.depth, VIEW=_view_width(n.weights), **n.head_sizes(), STAGES=1,
        **constants,
    )  # fmt: skip
    for number in range(n.depth - 1, 0, -1):
        layer_backward[sums.grid](
            count, layers, p.hidden, sums.partial, sums.total, at["hidden"], at["bias"], number,
            rows, frames, ONES=LEAST_COLUMNS, STAGES=2, **constants,
        )  # fmt: skip
    if d_x:
        found["x"] = torch.empty_like(x)
    if f is not None:
        found["f"] = torch.empty_like(f)
    for of_code in (False, True)[: 1 if f is None else 2]:
        entry_backward[sums.grid](
            x, f, found.get("x"), found.get("f"), count, layers, p.inputs,
            sums.partial, sums.total, at["inputs"], at["bias"], rows, frames, n.radius,
            DEPTH=n.depth, **n.sizes(), OF_CODE=of_code, WANTED=of_code or d_x, ONES=LEAST_COLUMNS,
            STAGES=1, **constants,
        )  # fmt: skip
    return found | _by_name(n.weights, sums)


def _shapes(w: Weights) -> dict[str, tuple[int, ...]]:
    """What a program of the backward kernels adds up; the heads' in rows of all their columns."""
    width = w.bias.shape[1]
    shapes: dict[str, tuple[int, ...]] = {
        "inputs": tuple(w.inputs.shape),
        "hidden": tuple(w.hidden.shape),
        "bias": tuple(w.bias.shape),
        "head": (WIDTH, width),
        "head_bias": (WIDTH,),
    }
    if w.view_weight is not None:
        shapes |= {
            "appearance": (width // 2, width),
            "appearance_bias": (width // 2,),
            "view_weight": tuple(w.view_weight.shape),
            "colour": (WIDTH, width // 2),
        }
    return shapes


class Sums:
    """Where the programs of the backward kernels leave their parts of the weights' gradients.

    Attributes:
        grid: of the programs, as many for each frame.
        partial: (programs, total).
        places: where in `total` each gradient begins.
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], frames: int, rows: int, device: torch.device
    ):
        self.shapes = shapes
        counts = [prod(shape) for shape in shapes.values()]
        *places, self.total = accumulate(counts, initial=0)
        self.places = dict(zip(shapes, places, strict=True))
        programs = max(1, _processors(device) // frames)
        self.grid = (min(programs, triton.cdiv(rows, BACKWARD_ROWS)), frames)
        self.partial = torch.empty(prod(self.grid), self.total, device=device)

    def of_frame(self, name: str) -> Tensor:
        """(frames, ...) sums of each frame."""
        shape, start = self.shapes[name], self.places[name]
        part = self.partial.view(self.grid[1], self.grid[0], self.total)
        return part[..., start : start + prod(shape)].sum(1).view(-1, *shape)

    def all(self) -> dict[str, Tensor]:
        """Sums over all programs."""
        total = self.partial.sum(0)
        parts = total.split([prod(shape) for shape in self.shapes.values()])
        return {
            name: part.view(shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }


def _processors(device: torch.device) -> int:
    if device.type != "cuda":
        return 2  # in the interpreter: enough to tell programs apart
    return torch.cuda.get_device_properties(device).multi_processor_count


def _by_name(w: Weights, sums: Sums) -> dict[str, Tensor]:
    found = sums.all()
    of_frame = sums.of_frame("bias")
    found["frame_bias"] = torch.stack([of_frame[:, 0], of_frame[:, len(w.bias) // 2]])
    if w.colour is not None:
        found["colour"] = found["colour"][COLOUR]
        found["colour_bias"] = found["head_bias"][COLOUR]
    found["head"] = found["head"][: len(w.head)]
    found["head_bias"] = found["head_bias"][: len(w.head)]
    return found
