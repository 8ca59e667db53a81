"""Triton kernels of the trilinear lookup.

A program takes a block of consecutive points through all levels, and passes over those that none of
its points reaches.

Consecutive points follow a ray, and a ray crosses a cell between eight sites with many samples. So
the gradient of the volume is first summed over such a run of points, by a matrix product, and only
the run's sum is added to the eight sites in memory. That saves most of the additions, which on the
coarse levels, whose few sites all points share, would wait for each other.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from ssp_nerf.kernels.blocks_triton import coordinates

BLOCK = 64  # points of a program; divides the samples of a ray, 64 and 192
RUNS = 8  # of points in one cell, summed at once
FAR = tl.constexpr(-1e9)  # voxels: where no grid is
REGISTERS = 128  # of a thread: four programs at once on a processor wait for memory together


@triton.jit
def _load_points(points, row, count):
    """Coordinates (x, y, z) of points, each (BLOCK,); far outside where there is none."""
    return coordinates(points, row, (row >= 0) & (row < count), FAR)


@triton.jit
def _cell(point, level, X, Y, Z):
    """Lower corner (x, y, z) of the cell that points lie in, their place in it in 0 ... 1, and
    whether they are inside, which is to say within a site of the grid."""
    sites: tl.constexpr = 1 / (2 << level)  # per voxel
    x, y, z = point
    x, y, z = (x - 0.5) * sites, (y - 0.5) * sites, (z - 0.5) * sites
    inside = (x > -1) & (x < X) & (y > -1) & (y < Y) & (z > -1) & (z < Z)
    x, y, z = tl.where(inside, x, 0.0), tl.where(inside, y, 0.0), tl.where(inside, z, 0.0)
    i, j, k = tl.floor(x), tl.floor(y), tl.floor(z)
    return i.to(tl.int32), j.to(tl.int32), k.to(tl.int32), x - i, y - j, z - k, inside


@triton.jit
def _cell_number(i, j, k, inside, Y, Z):
    """One number for each cell, -1 outside."""
    return tl.where(inside, ((i + 1) * (Y + 1) + j + 1) * (Z + 1) + k + 1, -1)


@triton.jit
def _number(i, j, k, X, Y, Z):
    """Numbers of sites in the grid, and whether they exist."""
    exists = (i >= 0) & (i < X) & (j >= 0) & (j < Y) & (k >= 0) & (k < Z)
    return (i * Y + j) * Z + k, exists


@triton.jit
def _lerp(upper, t):
    """Weight of the upper (1) or lower (0) end of an edge at t."""
    return tl.where(upper != 0, t, 1 - t)


@triton.jit
def _code(volume, site, exists, channel, C: tl.constexpr):
    """Channels (BLOCK, PADDED) of sites; zero where there is none."""
    mask = exists[:, None] & (channel < C)[None, :]
    return tl.load(volume + site[:, None] * C + channel[None, :], mask=mask, other=0.0)


@triton.jit
def _forward_level(
    volume, shape, point, f, count, row, level: tl.constexpr, C: tl.constexpr,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """f (count, C), in rows of WIDTH, of one level."""
    PADDED: tl.constexpr = triton.next_power_of_2(C)
    channel = tl.arange(0, PADDED)
    X, Y, Z = shape
    i, j, k, u, v, w, inside = _cell(point, level, X, Y, Z)
    value = tl.zeros((BLOCK, PADDED), tl.float32)
    if tl.max(inside.to(tl.int32)) > 0:
        for corner in tl.static_range(8):
            x, y, z = corner // 4, corner // 2 % 2, corner % 2
            site, exists = _number(i + x, j + y, k + z, X, Y, Z)
            weight = _lerp(x, u) * _lerp(y, v) * _lerp(z, w)
            value += weight[:, None] * _code(volume, site, inside & exists, channel, C)
    tl.store(
        f + row.to(tl.int64)[:, None] * WIDTH + channel[None, :],
        value.to(f.dtype.element_ty),
        mask=(row < count)[:, None] & (channel < C)[None, :],
    )


@triton.jit
def _forward(
    volume, shapes, points, dx, moved, origin, voxel, f, count, count_ptr,
    CHANNELS: tl.constexpr, FIRST: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """f (count, WIDTH) at points + dx (count, 3), which goes to `moved`; a level has CHANNELS
    columns from FIRST on. See `forward`."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    if count_ptr is not None:
        count = tl.load(count_ptr)
        if tl.program_id(0) * BLOCK >= count:
            return
    known = row < count
    point = coordinates(points, row, known, FAR)
    if dx is not None:
        x, y, z = point
        by_x, by_y, by_z = coordinates(dx, row, known, 0.0)
        x, y, z = x + by_x, y + by_y, z + by_z
        tl.store(moved + 3 * row, x, known)
        tl.store(moved + 3 * row + 1, y, known)
        tl.store(moved + 3 * row + 2, z, known)
        point = x, y, z
    if origin is not None:
        x, y, z = point
        x, y, z = x - tl.load(origin), y - tl.load(origin + 1), z - tl.load(origin + 2)
        point = x / voxel, y / voxel, z / voxel
    for level in tl.static_range(len(CHANNELS)):
        _forward_level(
            volume[level], shapes[level], point, f + FIRST[level], count, row, level,
            CHANNELS[level], WIDTH, BLOCK,
        )  # fmt: skip


@triton.jit
def _gradient_of_points(
    volume, gradient, i, j, k, u, v, w, inside, channel, X, Y, Z, C: tl.constexpr,
    BLOCK: tl.constexpr, PADDED: tl.constexpr,
):  # fmt: skip
    """Gradient along the axes (BLOCK,), in sites, from that of the codes (BLOCK, PADDED)."""
    along_x = tl.zeros((BLOCK, PADDED), tl.float32)
    along_y = tl.zeros((BLOCK, PADDED), tl.float32)
    along_z = tl.zeros((BLOCK, PADDED), tl.float32)
    for corner in tl.static_range(8):
        x, y, z = corner // 4, corner // 2 % 2, corner % 2
        site, exists = _number(i + x, j + y, k + z, X, Y, Z)
        code = _code(volume, site, inside & exists, channel, C)
        by_x, by_y, by_z = _lerp(x, u), _lerp(y, v), _lerp(z, w)
        along_x += ((2 * x - 1) * by_y * by_z)[:, None] * code
        along_y += ((2 * y - 1) * by_x * by_z)[:, None] * code
        along_z += ((2 * z - 1) * by_x * by_y)[:, None] * code
    return (
        tl.sum(along_x * gradient, axis=1),
        tl.sum(along_y * gradient, axis=1),
        tl.sum(along_z * gradient, axis=1),
    )


@triton.jit
def _backward_level(
    volume, shape, point, point_before, upstream, of_volume, row, level: tl.constexpr,
    C: tl.constexpr, WIDTH: tl.constexpr, POINTS_WANTED: tl.constexpr, BLOCK: tl.constexpr,
    RUNS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Adds to the gradient of one level; returns that of the points (BLOCK,) along each axis."""
    PADDED: tl.constexpr = max(16, triton.next_power_of_2(C))  # 16: the least of a matrix product
    channel = tl.arange(0, PADDED)
    X, Y, Z = shape
    of_x = tl.zeros((BLOCK,), tl.float32)
    of_y = tl.zeros((BLOCK,), tl.float32)
    of_z = tl.zeros((BLOCK,), tl.float32)
    i, j, k, u, v, w, inside = _cell(point, level, X, Y, Z)
    if tl.max(inside.to(tl.int32)) > 0:
        gradient = tl.load(
            upstream + row.to(tl.int64)[:, None] * WIDTH + channel[None, :],
            mask=inside[:, None] & (channel < C)[None, :],
            other=0.0,
        ).to(tl.float32)
        if POINTS_WANTED:
            x, y, z = _gradient_of_points(
                volume, gradient, i, j, k, u, v, w, inside, channel, X, Y, Z, C, BLOCK, PADDED
            )
            of_x, of_y, of_z = x / (2 << level), y / (2 << level), z / (2 << level)

        # Number the runs of points in one cell; the block's first point begins one.
        cell = _cell_number(i, j, k, inside, Y, Z)
        i, j, k, _, _, _, inside = _cell(point_before, level, X, Y, Z)
        begins = (cell != _cell_number(i, j, k, inside, Y, Z)) & (tl.arange(0, BLOCK) > 0)
        run = tl.cumsum(begins.to(tl.int32), axis=0)

        # Lines of the matrices below: the eight corners of each run's cell.
        line = tl.arange(0, 8 * RUNS)
        upper_x, upper_y, upper_z = line // 4 % 2, line // 2 % 2, line % 2
        by_x = _lerp(upper_x[:, None], u[None, :])  # (8 RUNS, BLOCK)
        by_y = _lerp(upper_y[:, None], v[None, :])
        by_z = _lerp(upper_z[:, None], w[None, :])
        for first in range(0, tl.max(run) + 1, RUNS):
            member = run[None, :] == (first + line // 8)[:, None]
            cell_of_line = tl.max(tl.where(member, cell[None, :], -1), axis=1)
            i = cell_of_line // ((Y + 1) * (Z + 1)) - 1 + upper_x
            j = cell_of_line // (Z + 1) % (Y + 1) - 1 + upper_y
            k = cell_of_line % (Z + 1) - 1 + upper_z
            site, exists = _number(i, j, k, X, Y, Z)
            exists = exists & (cell_of_line >= 0)

            weight = tl.where(member, by_x * by_y * by_z, 0.0)
            tl.atomic_add(
                of_volume + site[:, None] * C + channel[None, :],
                tl.dot(weight, gradient, input_precision=PRECISION),
                mask=exists[:, None] & (channel < C)[None, :],
                sem="relaxed",
            )
    return of_x, of_y, of_z


@triton.jit
def _backward(
    volume, shapes, points, upstream, of_volume, of_points, count, CHANNELS: tl.constexpr,
    FIRST: tl.constexpr, WIDTH: tl.constexpr, POINTS_WANTED: tl.constexpr, BLOCK: tl.constexpr,
    RUNS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Adds to the gradients of the levels, and writes that of the points if it is wanted."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    point = _load_points(points, row, count)
    point_before = _load_points(points, row - 1, count)
    of_x = tl.zeros((BLOCK,), tl.float32)
    of_y = tl.zeros((BLOCK,), tl.float32)
    of_z = tl.zeros((BLOCK,), tl.float32)
    for level in tl.static_range(len(CHANNELS)):
        x, y, z = _backward_level(
            volume[level], shapes[level], point, point_before, upstream + FIRST[level],
            of_volume[level], row, level, CHANNELS[level], WIDTH, POINTS_WANTED, BLOCK, RUNS,
            PRECISION,
        )  # fmt: skip
        of_x, of_y, of_z = of_x + x, of_y + y, of_z + z
    if POINTS_WANTED:
        tl.store(of_points + row * 3, of_x, mask=row < count)
        tl.store(of_points + row * 3 + 1, of_y, mask=row < count)
        tl.store(of_points + row * 3 + 2, of_z, mask=row < count)


def forward(
    volume: Sequence[Tensor],
    points: Tensor,
    dtype: torch.dtype,
    dx: Tensor | None = None,
    moved: Tensor | None = None,
    origin: Tensor | None = None,
    voxel: float = 1.0,
    count: Tensor | None = None,
) -> Tensor:
    """f (N, sum of C) of levels (X, Y, Z, C), all contiguous fp32.

    Args:
        points: (N, 3) in voxels of the finest grid from its origin, or in decimetres where
            `origin` (3,) and `voxel`, an edge, are given, decimetres.
        dx: (N, 3) added to the points.
        moved: (N, 3) where the sum is written.
        count: (1,) int32 points that are asked for, the first ones; without it all are.
    """
    channels, first, width = _columns(volume)
    f = points.new_empty(len(points), width, dtype=dtype)
    _forward[(triton.cdiv(len(points), BLOCK),)](
        tuple(volume), _shapes(volume), points, dx, moved, origin, voxel, f, len(points), count,
        channels, first, width, BLOCK,
    )  # fmt: skip
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
        channels, first, width, points_wanted, BLOCK, RUNS, precision, maxnreg=REGISTERS,
    )  # fmt: skip
    return of_points, of_volume


def _shapes(volume: Sequence[Tensor]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(grid.shape[:3]) for grid in volume)


def _columns(volume: Sequence[Tensor]) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Channels of each level, the column where they begin, and how many there are together."""
    channels = tuple(grid.shape[-1] for grid in volume)
    first = tuple(sum(channels[:level]) for level in range(len(channels)))
    return channels, first, sum(channels)
