"""Which samples go back, and their gradients side by side: see `overall.Roulette`."""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ssp_nerf.field_output import COLOUR, DENSITY, WIDTH
from ssp_nerf.kernels.blocks_triton import rows_of, store_rows

SELECTION_ROWS = 128
FAR_AWAY = 1e6  # decimetres
FIRST_COLOUR = tl.constexpr(COLOUR.start)
DENSITY_COLUMN = tl.constexpr(DENSITY)


@triton.jit
def _raw_gradient(d_values_ptr, values_ptr, row, inside, HEADS: tl.constexpr):
    """Gradient (rows, HEADS) of what the heads give before their last functions."""
    column = tl.arange(0, HEADS)
    d = rows_of(d_values_ptr, row, inside, HEADS)
    value = rows_of(values_ptr, row, inside, HEADS)
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
    store_rows(d_raw_ptr, place, kept, d, HEADS)
    for axis in tl.static_range(3):
        value = tl.load(x_ptr + 3 * row + axis, mask=kept)
        tl.store(x_out_ptr + 3 * place + axis, value, mask=kept)
        value = tl.load(moved_ptr + 3 * row + axis, mask=kept)
        tl.store(moved_out_ptr + 3 * place + axis, value, mask=kept)
    tl.store(ray_ptr + place, row // samples, mask=kept)


class Selection(NamedTuple):
    """The samples that go back, frame by frame, and their gradient; undefined beyond `counts`, but
    for `moved`, which is far from everything there."""

    counts: Tensor  # (B,) int32
    x: Tensor  # (B, N, 3)
    moved: Tensor  # (B, N, 3) displaced
    ray: Tensor  # (B, N) int32, of all B R rays
    d_raw: Tensor  # (B, N, 16) fp32


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
