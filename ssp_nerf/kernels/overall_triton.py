"""Triton kernels of `overall`: the networks, there and back.

A program holds a block of samples (rows) of one frame on the chip. Matrix products take their
factors in the type of the hidden weights (bf16; fp32 in tests) and add up in fp32.

On the way there nothing is stored but the outputs. On the way back the samples whose gradient
matters are gathered (`roulette_triton`), and `forward_kernel` computes their layers again and
stores them.
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

import torch
import triton
import triton.language as tl
from torch import Tensor

from ssp_nerf import fields
from ssp_nerf.field_output import COLOUR, DENSITY, WIDTH
from ssp_nerf.kernels.blocks_triton import (
    TWO_PI,
    encode,
    features_of,
    matrix,
    product,
    relu,
    rows_of,
    sine,
    softplus,
    store_rows,
    transposed,
    turns_of,
)
from ssp_nerf.kernels.packing_triton import LEAST_COLUMNS, Network, Weights, view_width
from ssp_nerf.kernels.roulette_triton import Selection

# Rows of a block and warps that share it, of those tried on an H100 the fastest.
FORWARD_ROWS, FORWARD_WARPS = 256, 16
AGAIN_ROWS, AGAIN_WARPS = 128, 8
BACKWARD_ROWS, BACKWARD_WARPS = 128, 8
FIRST_COLOUR = tl.constexpr(COLOUR.start)
DENSITY_COLUMN = tl.constexpr(DENSITY)
DENSITY_SHIFT = tl.constexpr(fields.DENSITY_SHIFT)


@triton.jit(do_not_specialize=["frames"])
def forward_kernel(
    x_ptr, f_ptr, view_ptr, ray_ptr, gate_ptr, out_ptr, layers_ptr, count_ptr,
    frame_bias_ptr, bias_ptr, head_bias_ptr,
    hidden_ptr, inputs_ptr, head_ptr, appearance_ptr, view_weight_ptr, colour_ptr,
    samples, rows_per_frame, frames, radius,
    W: tl.constexpr, DEPTH: tl.constexpr, LEVELS: tl.constexpr, ENCODED: tl.constexpr,
    CODE: tl.constexpr, CODED: tl.constexpr, VIEWED: tl.constexpr,
    OUTPUTS: tl.constexpr, HEADS: tl.constexpr, STORE: tl.constexpr, ROWS: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """Eq. 6 (VIEWED > 0) or eq. 7 at ROWS samples of one frame, or (STORE) their layers. Where
    there is a `count`, a frame has so many; where there is none, all."""
    frame = tl.program_id(1)
    in_frame = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    rows = rows_per_frame
    if count_ptr is not None:
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

    encoded = encode(x_ptr, row, inside, radius, LEVELS, ENCODED).to(kind)
    h = product(encoded, transposed(inputs_ptr, 0, W, ENCODED, ENTRY))
    if CODE > 0:
        f = features_of(f_ptr, row, inside, CODE, CODED)
        h = product(f, transposed(inputs_ptr, ENCODED, W, CODED, ENTRY), h)
    b = tl.load(bias_ptr + unit) + tl.load(frame_bias_ptr + frame * W + unit)
    h = relu(h + b[None, :]).to(kind)
    if STORE:
        store_rows(layers_ptr, row, inside, h, W)

    for number in tl.range(1, HALF_WAY, num_stages=STAGES):
        weight = transposed(hidden_ptr + (number - 1) * W * W, 0, W, W, W)
        b = tl.load(bias_ptr + number * W + unit)
        h = relu(product(h, weight) + b[None, :]).to(kind)
        if STORE:
            store_rows(layers_ptr + number * layer_stride, row, inside, h, W)

    h = product(h, transposed(hidden_ptr + (HALF_WAY - 1) * W * W, 0, W, W, W))
    again = inputs_ptr + W * ENTRY
    h = product(encoded, transposed(again, 0, W, ENCODED, ENTRY), h)
    if CODE > 0:
        f = features_of(f_ptr, row, inside, CODE, CODED)
        h = product(f, transposed(again, ENCODED, W, CODED, ENTRY), h)
    b = tl.load(bias_ptr + HALF_WAY * W + unit)
    b += tl.load(frame_bias_ptr + (frames + frame) * W + unit)
    h = relu(h + b[None, :]).to(kind)
    if STORE:
        store_rows(layers_ptr + HALF_WAY * layer_stride, row, inside, h, W)

    for number in tl.range(HALF_WAY + 1, DEPTH, num_stages=STAGES):
        weight = transposed(hidden_ptr + (number - 1) * W * W, 0, W, W, W)
        b = tl.load(bias_ptr + number * W + unit)
        h = relu(product(h, weight) + b[None, :]).to(kind)
        if STORE:
            store_rows(layers_ptr + number * layer_stride, row, inside, h, W)

    if not STORE:
        if ray_ptr is not None:
            ray = tl.load(ray_ptr + row, mask=inside, other=0)
        else:
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
    out = product(h, transposed(head_ptr, 0, HEADS, W, W))
    if VIEWED > 0:
        A: tl.constexpr = W // 2
        appearance = product(h, transposed(appearance_ptr, 0, A, W, W))
        view = rows_of(view_ptr, ray, inside, VIEWED)
        appearance = product(view, transposed(view_weight_ptr, 0, A, VIEWED, VIEWED), appearance)
        appearance = relu(appearance).to(h.dtype)
        out = product(appearance, transposed(colour_ptr, 0, HEADS, A, A), out)
        out += tl.load(head_bias_ptr + column)[None, :]
        coloured = (column >= FIRST_COLOUR) & (column < FIRST_COLOUR + 3)
        out = tl.where(
            column[None, :] == DENSITY_COLUMN,
            softplus(out + DENSITY_SHIFT),
            tl.where(coloured[None, :], 1.0 / (1.0 + tl.exp(-out)), out),
        )
        store_rows(out_ptr, row, inside, out, HEADS)
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

    head = matrix(head_ptr, 0, HEADS, W, W)
    d_head = tl.zeros((W, HEADS), tl.float32)
    d_head_bias = tl.zeros((HEADS,), tl.float32)
    if VIEWED > 0:
        appearance_weight = matrix(appearance_ptr, 0, A, W, W)
        view_weight = matrix(view_weight_ptr, 0, A, VIEWED, VIEWED)
        colour_weight = matrix(colour_ptr, 0, HEADS, A, A)
        d_appearance_weight = tl.zeros((A, W), tl.float32)
        d_view_weight = tl.zeros((A, VIEWED), tl.float32)
        d_colour = tl.zeros((A, HEADS), tl.float32)
    else:
        gate = tl.load(gate_ptr + frame)

    for block in tl.range(0, blocks, num_stages=STAGES):
        in_frame = start + block * ROWS + tl.arange(0, ROWS)
        inside = in_frame < end
        row = frame * rows_per_frame + in_frame
        h = rows_of(layers_ptr, row, inside, W)
        if VIEWED > 0:
            d_raw = rows_of(d_raw_ptr, row, inside, HEADS)
            d_head_bias += tl.sum(d_raw, axis=0)
            d_raw = d_raw.to(kind)
            ray = tl.load(ray_ptr + row, mask=inside, other=0)
            view = rows_of(view_ptr, ray, inside, VIEWED)
            appearance = product(h, tl.trans(appearance_weight))
            appearance = product(view, tl.trans(view_weight), appearance)
            appearance = relu(appearance).to(kind)
            d_colour = product(tl.trans(appearance), d_raw, d_colour)
            d_appearance = product(d_raw, colour_weight)
            d_appearance = tl.where(appearance > 0, d_appearance, 0.0).to(kind)
            d_view_weight = product(tl.trans(d_appearance), view, d_view_weight)
            d_appearance_weight = product(tl.trans(d_appearance), h, d_appearance_weight)
            d_h = product(d_appearance, appearance_weight, product(d_raw, head))
        else:
            d_raw = tl.load(
                d_raw_ptr + row[:, None] * OUTPUTS + column[None, :],
                mask=inside[:, None] & (column[None, :] < OUTPUTS),
                other=0.0,
            )
            d_raw *= gate
            d_head_bias += tl.sum(d_raw, axis=0)
            d_raw = d_raw.to(kind)
            d_h = product(d_raw, head)
        d_head = product(tl.trans(h), d_raw, d_head)
        store_rows(layers_ptr, row, inside, tl.where(h > 0, d_h, 0.0), W)

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
    weight = matrix(hidden_ptr + (number - 1) * W * W, 0, W, W, W)
    ones = tl.full((ROWS, ONES), 1.0, hidden_ptr.dtype.element_ty)
    d_weight = tl.zeros((W, W), tl.float32)
    d_bias = tl.zeros((W, ONES), tl.float32)

    for block in tl.range(0, blocks, num_stages=STAGES):
        in_frame = start + block * ROWS + tl.arange(0, ROWS)
        inside = in_frame < end
        row = frame * rows_per_frame + in_frame
        d = rows_of(below_ptr + layer_stride, row, inside, W)
        below = rows_of(below_ptr, row, inside, W)
        d_weight = product(tl.trans(d), below, d_weight)
        d_bias = product(tl.trans(d), ones, d_bias)
        d_below = tl.where(below > 0, product(d, weight), 0.0)
        store_rows(below_ptr, row, inside, d_below, W)

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
    first = matrix(inputs_ptr, PACKED, W, FEATURES, ENTRY)
    again = matrix(inputs_ptr + W * ENTRY, PACKED, W, FEATURES, ENTRY)
    d_first = tl.zeros((W, FEATURES), tl.float32)
    d_again = tl.zeros((W, FEATURES), tl.float32)
    if not OF_CODE:
        ones = tl.full((ROWS, ONES), 1.0, kind)
        d_bias = tl.zeros((W, ONES), tl.float32)

    for block in tl.range(0, blocks, num_stages=STAGES):
        in_frame = start + block * ROWS + tl.arange(0, ROWS)
        inside = in_frame < end
        row = frame * rows_per_frame + in_frame
        d_h = rows_of(layers_ptr, row, inside, W)
        d_half_way = rows_of(half_way_ptr, row, inside, W)
        if OF_CODE:
            features = features_of(f_ptr, row, inside, CODE, CODED)
        else:
            features = encode(x_ptr, row, inside, radius, LEVELS, ENCODED).to(kind)
            d_bias = product(tl.trans(d_h), ones, d_bias)
        d_first = product(tl.trans(d_h), features, d_first)
        d_again = product(tl.trans(d_half_way), features, d_again)
        if WANTED:
            d_features = product(d_half_way, again, product(d_h, first))
            column = tl.arange(0, FEATURES)
            if OF_CODE:
                tl.store(
                    d_f_ptr + row[:, None].to(tl.int64) * CODE + column[None, :],
                    d_features,
                    mask=inside[:, None] & (column[None, :] < CODE),
                )
            else:
                angle, rate = turns_of(x_ptr, row, inside, radius, LEVELS, ENCODED)
                slope = sine(angle + 0.25) * (rate * TWO_PI)[None, :]
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


def forward(
    network: Network,
    x: Tensor,
    f: Tensor | None,
    samples: int = 1,
    ray: Tensor | None = None,
    count: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Values (B, N, 16) of the semantic field or displacements (B, N, 3).

    Args:
        x: (B, N, 3) decimetres.
        f: (B, N, code) structured codes, of the semantic field.
        samples: consecutive rows that share a ray.
        ray: (B, N) int32 of each row, where it is not told by `samples`.
        count: (B,) int32 rows of each frame that are asked for; without it all are.
        out: where to write them.
    """
    n = network
    frames, rows = x.shape[:2]
    if out is None:
        out = x.new_empty(frames, rows, WIDTH if n.view is not None else len(n.weights.head))
    forward_kernel[(triton.cdiv(rows, FORWARD_ROWS), frames)](
        x, f, n.view, ray, n.gate, out, None, count, n.weights.frame_bias, n.weights.bias,
        n.head_bias, *n.packed, samples, rows, frames, n.radius, STORE=False, ROWS=FORWARD_ROWS,
        num_warps=FORWARD_WARPS, **_forward_options(n),
    )  # fmt: skip
    return out


def _layers_again(network: Network, x: Tensor, f: Tensor | None, count: Tensor) -> Tensor:
    """All layers (D, B, N, W) at the samples that go back."""
    n = network
    frames, rows = x.shape[:2]
    layers = n.packed.hidden.new_empty(n.depth, frames, rows, n.width)
    forward_kernel[(triton.cdiv(rows, AGAIN_ROWS), frames)](
        x, f, None, None, None, None, layers, count, n.weights.frame_bias, n.weights.bias,
        n.head_bias, *n.packed, 1, rows, frames, n.radius, STORE=True, ROWS=AGAIN_ROWS,
        num_warps=AGAIN_WARPS, **_forward_options(n),
    )  # fmt: skip
    return layers


def _forward_options(n: Network) -> dict[str, int]:
    return {"W": n.width, "DEPTH": n.depth, **n.sizes(), **n.head_sizes(), "STAGES": 2}


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
        rows, frames, DEPTH=n.depth, VIEW=view_width(n.weights), **n.head_sizes(), STAGES=1,
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
