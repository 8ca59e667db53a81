"""Triton kernels of the trilinear lookup.

A program takes a block of consecutive points through all levels. Levels that none of its points
reaches cost it nothing, and that is most of them: rays are longer than a head.

Consecutive points follow a ray, and a ray crosses a cell between eight sites with many samples. So
the gradient of the volume is first summed over such a run of points, by a matrix product, and only
the run's sum is added to the eight sites in memory. That is a tenth of the additions or less, and on
the coarse levels, whose few sites all points share, they would wait for each other.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 64  # points of a program; divides the samples of a ray, 64 and 192
RUNS = 16  # summed at once: rows of a matrix unit


@triton.jit
def _site(points, row, axis, count, level):
    """Coordinate of points along an axis, in sites of a level; far outside where there is none."""
    x = tl.load(points + row * 3 + axis, mask=(row >= 0) & (row < count), other=-1e9)
    return (x - 0.5) / (2 << level)


@triton.jit
def _cell(points, row, count, level, X, Y, Z):
    """Lower corner (x, y, z) of the cell that points lie in, their place in it in 0 ... 1, and
    whether they are inside, which is to say within a site of the grid."""
    x = _site(points, row, 0, count, level)
    y = _site(points, row, 1, count, level)
    z = _site(points, row, 2, count, level)
    inside = (x > -1) & (x < X) & (y > -1) & (y < Y) & (z > -1) & (z < Z)
    x, y, z = tl.where(inside, x, 0.0), tl.where(inside, y, 0.0), tl.where(inside, z, 0.0)
    i, j, k = tl.floor(x), tl.floor(y), tl.floor(z)
    return i.to(tl.int32), j.to(tl.int32), k.to(tl.int32), x - i, y - j, z - k, inside


@triton.jit
def _cell_number(points, row, count, level, X, Y, Z):
    """One number for each cell, -1 outside."""
    i, j, k, _, _, _, inside = _cell(points, row, count, level, X, Y, Z)
    return tl.where(inside, ((i + 1) * (Y + 1) + j + 1) * (Z + 1) + k + 1, -1)


@triton.jit
def _corner(corner: tl.constexpr, i, j, k, X, Y, Z):
    """Number of a corner's site in the grid, and whether it exists; corners count as in binary."""
    i += corner // 4
    j += corner // 2 % 2
    k += corner % 2
    exists = (i >= 0) & (i < X) & (j >= 0) & (j < Y) & (k >= 0) & (k < Z)
    return (i * Y + j) * Z + k, exists


@triton.jit
def _lerp(upper: tl.constexpr, t):
    """Weight of the upper or lower end of an edge at t."""
    if upper:
        return t
    else:
        return 1 - t


@triton.jit
def _forward(
    volume, shapes, points, f, count, CHANNELS: tl.constexpr, FIRST: tl.constexpr,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """f (count, WIDTH) of points (count, 3); level l has CHANNELS[l] columns from FIRST[l] on."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    for level in tl.static_range(len(CHANNELS)):
        X, Y, Z = shapes[level]  # noqa: N806
        C: tl.constexpr = CHANNELS[level]  # noqa: N806
        PADDED: tl.constexpr = triton.next_power_of_2(C)  # noqa: N806
        channel = tl.arange(0, PADDED)[None, :]
        i, j, k, u, v, w, inside = _cell(points, row, count, level, X, Y, Z)
        value = tl.zeros((BLOCK, PADDED), tl.float32)
        if tl.max(inside.to(tl.int32)) > 0:
            for corner in tl.static_range(8):
                site, exists = _corner(corner, i, j, k, X, Y, Z)
                code = tl.load(
                    volume[level] + site[:, None] * C + channel,
                    mask=(inside & exists)[:, None] & (channel < C),
                    other=0.0,
                )
                weight = _lerp(corner // 4, u) * _lerp(corner // 2 % 2, v) * _lerp(corner % 2, w)
                value += weight[:, None] * code
        tl.store(
            f + row.to(tl.int64)[:, None] * WIDTH + FIRST[level] + channel,
            value.to(f.dtype.element_ty),
            mask=(row < count)[:, None] & (channel < C),
        )


@triton.jit
def _backward(
    volume, shapes, points, upstream, of_volume, of_points, count, CHANNELS: tl.constexpr,
    FIRST: tl.constexpr, WIDTH: tl.constexpr, POINTS_WANTED: tl.constexpr, BLOCK: tl.constexpr,
    RUNS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Adds to the gradients of the levels, and writes that of the points if it is wanted."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    # The row before, to see where a run begins; none before the block's first.
    before = tl.where(tl.arange(0, BLOCK) > 0, row - 1, -1)
    of_x = tl.zeros((BLOCK,), tl.float32)
    of_y = tl.zeros((BLOCK,), tl.float32)
    of_z = tl.zeros((BLOCK,), tl.float32)
    for level in tl.static_range(len(CHANNELS)):
        X, Y, Z = shapes[level]  # noqa: N806
        C: tl.constexpr = CHANNELS[level]  # noqa: N806
        PADDED: tl.constexpr = max(16, triton.next_power_of_2(C))  # noqa: N806
        channel = tl.arange(0, PADDED)[None, :]
        i, j, k, u, v, w, inside = _cell(points, row, count, level, X, Y, Z)
        if tl.max(inside.to(tl.int32)) > 0:
            gradient = tl.load(
                upstream + row.to(tl.int64)[:, None] * WIDTH + FIRST[level] + channel,
                mask=inside[:, None] & (channel < C),
                other=0.0,
            ).to(tl.float32)

            if POINTS_WANTED:
                along_x = tl.zeros((BLOCK, PADDED), tl.float32)
                along_y = tl.zeros((BLOCK, PADDED), tl.float32)
                along_z = tl.zeros((BLOCK, PADDED), tl.float32)
                for corner in tl.static_range(8):
                    site, exists = _corner(corner, i, j, k, X, Y, Z)
                    code = tl.load(
                        volume[level] + site[:, None] * C + channel,
                        mask=(inside & exists)[:, None] & (channel < C),
                        other=0.0,
                    )
                    by_x = _lerp(corner // 4, u)
                    by_y = _lerp(corner // 2 % 2, v)
                    by_z = _lerp(corner % 2, w)
                    along_x += ((corner // 4 * 2 - 1) * by_y * by_z)[:, None] * code
                    along_y += ((corner // 2 % 2 * 2 - 1) * by_x * by_z)[:, None] * code
                    along_z += ((corner % 2 * 2 - 1) * by_x * by_y)[:, None] * code
                of_x += tl.sum(along_x * gradient, axis=1) / (2 << level)
                of_y += tl.sum(along_y * gradient, axis=1) / (2 << level)
                of_z += tl.sum(along_z * gradient, axis=1) / (2 << level)

            cell = _cell_number(points, row, count, level, X, Y, Z)
            starts = cell != _cell_number(points, before, count, level, X, Y, Z)
            starts = starts | (before < 0)
            run = tl.cumsum(starts.to(tl.int32), axis=0) - 1
            for first in range(0, tl.max(run) + 1, RUNS):
                member = run[None, :] == first + tl.arange(0, RUNS)[:, None]  # (RUNS, BLOCK)
                number = tl.max(tl.where(member, cell[None, :], -1), axis=1)
                run_i = number // ((Y + 1) * (Z + 1)) - 1
                run_j = number // (Z + 1) % (Y + 1) - 1
                run_k = number % (Z + 1) - 1
                for corner in tl.static_range(8):
                    weight = _lerp(corner // 4, u) * _lerp(corner // 2 % 2, v)
                    weight = weight * _lerp(corner % 2, w)
                    total = tl.dot(
                        tl.where(member, weight[None, :], 0.0), gradient, input_precision=PRECISION
                    )
                    site, exists = _corner(corner, run_i, run_j, run_k, X, Y, Z)
                    tl.atomic_add(
                        of_volume[level] + site[:, None] * C + channel,
                        total,
                        mask=(exists & (number >= 0))[:, None] & (channel < C),
                        sem="relaxed",
                    )
    if POINTS_WANTED:
        tl.store(of_points + row * 3, of_x, mask=row < count)
        tl.store(of_points + row * 3 + 1, of_y, mask=row < count)
        tl.store(of_points + row * 3 + 2, of_z, mask=row < count)


def forward(volume: Sequence[Tensor], points: Tensor, dtype: torch.dtype) -> Tensor:
    """f (N, sum of C) of levels (X, Y, Z, C) at points (N, 3), all contiguous fp32."""
    channels, first, width = _columns(volume)
    f = points.new_empty(len(points), width, dtype=dtype)
    _forward[(triton.cdiv(len(points), BLOCK),)](
        tuple(volume), _shapes(volume), points, f, len(points), channels, first, width, BLOCK
    )
    return f


def backward(
    volume: Sequence[Tensor],
    points: Tensor,
    upstream: Tensor,
    points_wanted: bool,
    precision: str,
) -> tuple[Tensor | None, list[Tensor]]:
    """Gradients of the points, if they are wanted, and of the levels."""
    channels, first, width = _columns(volume)
    sizes = [grid.numel() for grid in volume]
    parts = points.new_zeros(sum(sizes)).split(sizes)  # all levels cleared at once
    of_volume = [part.view(grid.shape) for part, grid in zip(parts, volume, strict=True)]
    of_points = torch.empty_like(points) if points_wanted else None
    _backward[(triton.cdiv(len(points), BLOCK),)](
        tuple(volume), _shapes(volume), points, upstream, tuple(of_volume), of_points, len(points),
        channels, first, width, points_wanted, BLOCK, RUNS, precision,
    )  # fmt: skip
    return of_points, of_volume


def _shapes(volume: Sequence[Tensor]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(grid.shape[:3]) for grid in volume)


def _columns(volume: Sequence[Tensor]) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Channels of each level, the column where they begin, and how many there are together."""
    channels = tuple(grid.shape[-1] for grid in volume)
    first = tuple(sum(channels[:level]) for level in range(len(channels)))
    return channels, first, sum(channels)
