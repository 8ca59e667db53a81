"""What the kernels of the networks do with a block of samples (rows) or of weights."""

import triton
import triton.language as tl

TWO_PI = tl.constexpr(6.283185307179586)


@triton.jit
def sine(turns):
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
def coordinates(x_ptr, row, inside, other):
    """Coordinates of rows, each (rows,)."""
    x = tl.load(x_ptr + 3 * row, mask=inside, other=other)
    y = tl.load(x_ptr + 3 * row + 1, mask=inside, other=other)
    z = tl.load(x_ptr + 3 * row + 2, mask=inside, other=other)
    return x, y, z


@triton.jit
def turns_of(x_ptr, row, inside, radius, LEVELS: tl.constexpr, ENCODED: tl.constexpr):
    """Angles of the positional encoding, in turns, (rows, ENCODED), and turns per decimetre.

    Columns as in `PositionalEncoding`: sines of level 0 (x, y, z), of level 1, ...; cosines.
    """
    column = tl.arange(0, ENCODED)
    level = (column % (3 * LEVELS)) // 3
    axis = column % 3
    x, y, z = coordinates(x_ptr, row, inside, 0.0)
    x, y, z = x / radius, y / radius, z / radius
    q = tl.where(
        axis[None, :] == 0, x[:, None], tl.where(axis[None, :] == 1, y[:, None], z[:, None])
    )
    rate = (1 << level).to(tl.float32) * 0.5  # 2^l pi in turns
    cosine = (column >= 3 * LEVELS) & (column < 6 * LEVELS)
    return q * rate[None, :] + tl.where(cosine, 0.25, 0.0)[None, :], rate / radius


@triton.jit
def encode(x_ptr, row, inside, radius, LEVELS: tl.constexpr, ENCODED: tl.constexpr):
    """Positional encoding of rows (rows, ENCODED), zero beyond its 6 L columns."""
    angle, _ = turns_of(x_ptr, row, inside, radius, LEVELS, ENCODED)
    column = tl.arange(0, ENCODED)
    return tl.where(column[None, :] < 6 * LEVELS, sine(angle), 0.0)


@triton.jit
def matrix(ptr, first, OUT: tl.constexpr, IN: tl.constexpr, ROW: tl.constexpr):
    """Packed weights (OUT, IN): from column `first` of rows of length ROW."""
    return tl.load(ptr + tl.arange(0, OUT)[:, None] * ROW + first + tl.arange(0, IN)[None, :])


@triton.jit
def transposed(ptr, first, OUT: tl.constexpr, IN: tl.constexpr, ROW: tl.constexpr):
    """The same as (IN, OUT)."""
    return tl.load(ptr + tl.arange(0, OUT)[None, :] * ROW + first + tl.arange(0, IN)[:, None])


@triton.jit
def product(a, b, acc=None):
    """a b (+ acc) in fp32."""
    return tl.dot(a, b, acc, input_precision="ieee")


@triton.jit
def features_of(f_ptr, row, inside, CODE: tl.constexpr, CODED: tl.constexpr):
    """Structured codes of rows (rows, CODED)."""
    column = tl.arange(0, CODED)
    return tl.load(
        f_ptr + row[:, None].to(tl.int64) * CODE + column[None, :],
        mask=inside[:, None] & (column[None, :] < CODE),
        other=0.0,
    )


@triton.jit
def relu(h):
    """What is no number stays so, as in PyTorch, and is found in the loss."""
    return tl.maximum(h, 0.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def softplus(h):
    return tl.maximum(h, 0.0) + tl.log(1.0 + tl.exp(-tl.abs(h)))


@triton.jit
def rows_of(ptr, row, inside, W: tl.constexpr):
    """(rows, W) of a stored layer."""
    return tl.load(
        ptr + row[:, None].to(tl.int64) * W + tl.arange(0, W)[None, :],
        mask=inside[:, None],
        other=0.0,
    )


@triton.jit
def store_rows(ptr, row, inside, values, W: tl.constexpr):
    tl.store(
        ptr + row[:, None].to(tl.int64) * W + tl.arange(0, W)[None, :],
        values,
        mask=inside[:, None],
    )
