"""Triton kernels of a sparse layer: two launches there, two back.

There are few sites (a few thousand on the finest level, some dozens on the coarsest), and what a
layer takes is the time of its launches and of the memory's answers. So a program reads the
neighbours of few sites in few large bites, and backwards one launch computes the gradients of both
features and weight. Nothing is added up in memory: a gradient is gathered as values are, by the
transposed table, and the same bits come out every time.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

POSITIONS = 27  # of the kernel
SITES = 16  # of a program of the convolution
BITE = 128  # inputs (positions times channels) that it reads at once
SUMMED_SITES = 128  # in one matrix product of the gradient of the weight
SITES_PER_PART = 1024  # of the sites that this gradient is summed over
NORMALISED_SITES = 4096  # of one channel, at once


@triton.jit
def _convolve_sites(
    features, table, weight, out, first, sites, none, BY_POSITION, BY_INPUT, BY_OUTPUT,
    C: tl.constexpr, D: tl.constexpr, POSITIONS: tl.constexpr, SITES: tl.constexpr,
    BITE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """out (sites, D), from row `first` on: features (none, C), gathered, times weight."""
    site = first + tl.arange(0, SITES)
    PADDED: tl.constexpr = max(16, triton.next_power_of_2(D))
    d = tl.arange(0, PADDED)
    total = tl.zeros((SITES, PADDED), tl.float32)
    for start in tl.static_range(0, POSITIONS * C, BITE):
        column = start + tl.arange(0, BITE)
        position, c = column // C, column % C
        known = column < POSITIONS * C
        neighbour = tl.load(
            table + site[:, None] * POSITIONS + position[None, :],
            mask=(site < sites)[:, None] & known[None, :],
            other=none,
        )
        x = tl.load(
            features + neighbour * C + c[None, :], mask=neighbour < none, other=0.0
        )  # (SITES, BITE)
        w = tl.load(
            weight + (position * BY_POSITION + c * BY_INPUT)[:, None] + (d * BY_OUTPUT)[None, :],
            mask=known[:, None] & (d < D)[None, :],
            other=0.0,
        )  # (BITE, PADDED)
        total = tl.dot(x, w, total, input_precision=PRECISION)
    tl.store(
        out + site[:, None] * D + d[None, :],
        total,
        mask=(site < sites)[:, None] & (d < D)[None, :],
    )


@triton.jit
def _convolve(
    features, table, weight, out, sites, none, C: tl.constexpr, D: tl.constexpr,
    POSITIONS: tl.constexpr, SITES: tl.constexpr, BITE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """out (sites, D); weight (D, POSITIONS, C)."""
    _convolve_sites(
        features, table, weight, out, tl.program_id(0) * SITES, sites, none, C, 1, POSITIONS * C,
        C, D, POSITIONS, SITES, BITE, PRECISION,
    )  # fmt: skip


@triton.jit
def _weight_gradient(
    features, table, of_out, of_weight, position, first, sites, none, C: tl.constexpr,
    D: tl.constexpr, POSITIONS: tl.constexpr, SUMMED: tl.constexpr, PART: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """of_weight (D, C) at one position, summed over PART output sites from `first` on."""
    PADDED_C: tl.constexpr = max(16, triton.next_power_of_2(C))
    PADDED_D: tl.constexpr = max(16, triton.next_power_of_2(D))
    c = tl.arange(0, PADDED_C)
    d = tl.arange(0, PADDED_D)
    total = tl.zeros((PADDED_D, PADDED_C), tl.float32)
    for start in range(first, min(first + PART, sites), SUMMED):
        site = start + tl.arange(0, SUMMED)
        neighbour = tl.load(table + site * POSITIONS + position, mask=site < sites, other=none)
        x = tl.load(
            features + neighbour[:, None] * C + c[None, :],
            mask=(neighbour < none)[:, None] & (c < C)[None, :],
            other=0.0,
        )
        gradient = tl.load(
            of_out + site[:, None] * D + d[None, :],
            mask=(site < sites)[:, None] & (d < D)[None, :],
            other=0.0,
        )
        total = tl.dot(tl.trans(gradient), x, total, input_precision=PRECISION)
    tl.store(
        of_weight + (d * POSITIONS + position)[:, None] * C + c[None, :],
        total,
        mask=(d < D)[:, None] & (c < C)[None, :],
    )


@triton.jit
def _convolve_backward(
    features, input_sites, output_sites, weight, of_out, of_features, of_weight, sites, input_count,
    C: tl.constexpr, D: tl.constexpr, POSITIONS: tl.constexpr, SITES: tl.constexpr,
    BITE: tl.constexpr, SUMMED: tl.constexpr, PART: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The first programs compute of_features (input_count, C), the others of_weight, in parts."""
    program = tl.program_id(0)
    programs = tl.cdiv(input_count, SITES)
    if program < programs:
        _convolve_sites(
            of_out, output_sites, weight, of_features, program * SITES, input_count, sites, C,
            POSITIONS * C, 1, D, C, POSITIONS, SITES, BITE, PRECISION,
        )  # fmt: skip
    else:
        position = (program - programs) % POSITIONS
        part = (program - programs) // POSITIONS
        _weight_gradient(
            features, input_sites, of_out, of_weight + part * D * POSITIONS * C, position,
            part * PART, sites, input_count, C, D, POSITIONS, SUMMED, PART, PRECISION,
        )  # fmt: skip


@triton.jit
def _normalise(
    y, scale, shift, out, statistics, sites, channels, epsilon, BLOCK: tl.constexpr
):  # fmt: skip
    """One channel: out = relu(scale (y - mean) / deviation + shift); y, out (sites, channels).

    statistics (2, channels): mean and 1 / deviation. Means and squares of blocks are combined as
    Chan, Golub and LeVeque (1979) do, which loses no digits where the mean is large.
    """
    channel = tl.program_id(0)
    count = 0.0
    mean = 0.0
    squares = 0.0
    for start in range(0, sites, BLOCK):
        site = start + tl.arange(0, BLOCK)
        known = site < sites
        value = tl.load(y + site * channels + channel, mask=known, other=0.0)
        here = tl.minimum(sites - start, BLOCK).to(tl.float32)
        mean_here = tl.sum(value) / here
        centred = tl.where(known, value - mean_here, 0.0)
        difference = mean_here - mean
        squares += tl.sum(centred * centred) + difference * difference * count * here / (
            count + here
        )
        mean += difference * here / (count + here)
        count += here
    inverse = 1 / tl.sqrt(squares / count + epsilon)
    tl.store(statistics + channel, mean)
    tl.store(statistics + channels + channel, inverse)
    factor = tl.load(scale + channel) * inverse
    offset = tl.load(shift + channel)
    for start in range(0, sites, BLOCK):
        site = start + tl.arange(0, BLOCK)
        known = site < sites
        value = tl.load(y + site * channels + channel, mask=known, other=0.0)
        value = (value - mean) * factor + offset
        value = tl.maximum(value, 0.0, propagate_nan=tl.PropagateNan.ALL)
        tl.store(out + site * channels + channel, value, mask=known)


@triton.jit
def _normalise_backward(
    y, out, statistics, scale, upstream, of_y, of_scale, of_shift, sites, channels,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """One channel of the gradients; all (sites, channels) but of_scale and of_shift (channels,)."""
    channel = tl.program_id(0)
    mean = tl.load(statistics + channel)
    inverse = tl.load(statistics + channels + channel)
    sum_gradient = 0.0
    sum_product = 0.0
    for start in range(0, sites, BLOCK):
        at = (start + tl.arange(0, BLOCK)) * channels + channel
        known = start + tl.arange(0, BLOCK) < sites
        standard = (tl.load(y + at, mask=known, other=0.0) - mean) * inverse
        active = tl.load(out + at, mask=known, other=0.0) > 0
        gradient = tl.where(active, tl.load(upstream + at, mask=known, other=0.0), 0.0)
        sum_gradient += tl.sum(gradient)
        sum_product += tl.sum(gradient * standard)
    tl.store(of_shift + channel, sum_gradient)
    tl.store(of_scale + channel, sum_product)
    factor = tl.load(scale + channel) * inverse
    for start in range(0, sites, BLOCK):
        at = (start + tl.arange(0, BLOCK)) * channels + channel
        known = start + tl.arange(0, BLOCK) < sites
        standard = (tl.load(y + at, mask=known, other=0.0) - mean) * inverse
        active = tl.load(out + at, mask=known, other=0.0) > 0
        gradient = tl.where(active, tl.load(upstream + at, mask=known, other=0.0), 0.0)
        gradient -= (sum_gradient + standard * sum_product) / sites
        tl.store(of_y + at, factor * gradient, mask=known)


def convolve(features: Tensor, input_sites: Tensor, weight: Tensor, precision: str) -> Tensor:
    """(N, C) -> (M, D) by the table of inputs (M, 27)."""
    sites, channels, width = len(input_sites), features.shape[1], len(weight)
    y = features.new_empty(sites, width)
    _convolve[(triton.cdiv(sites, SITES),)](
        features, input_sites, weight, y, sites, len(features), channels, width,
        POSITIONS, SITES, BITE, precision,
    )  # fmt: skip
    return y


def convolve_backward(
    features: Tensor,
    input_sites: Tensor,
    output_sites: Tensor,
    weight: Tensor,
    of_y: Tensor,
    precision: str,
) -> tuple[Tensor, Tensor]:
    """Gradients of features and weight from that of the output (M, D)."""
    sites, channels, width = len(input_sites), features.shape[1], len(weight)
    parts = triton.cdiv(sites, SITES_PER_PART)
    of_features = torch.empty_like(features)
    of_weight = weight.new_empty(parts, *weight.shape)
    _convolve_backward[(triton.cdiv(len(features), SITES) + parts * POSITIONS,)](
        features, input_sites, output_sites, weight, of_y, of_features, of_weight, sites,
        len(features), channels, width, POSITIONS, SITES, BITE, SUMMED_SITES, SITES_PER_PART,
        precision,
    )  # fmt: skip
    return of_features, of_weight.sum(0) if parts > 1 else of_weight[0]


def normalise(y: Tensor, scale: Tensor, shift: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Normalised over the sites, scaled, shifted, rectified; and the statistics (2, D)."""
    sites, channels = y.shape
    out, statistics = torch.empty_like(y), y.new_empty(2, channels)
    _normalise[(channels,)](
        y, scale, shift, out, statistics, sites, channels, epsilon, NORMALISED_SITES, num_warps=8
    )
    return out, statistics


def normalise_backward(
    y: Tensor, out: Tensor, statistics: Tensor, scale: Tensor, upstream: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of y, scale and shift from that of the activations."""
    sites, channels = y.shape
    of_y, of_scale, of_shift = (torch.empty_like(x) for x in (y, scale, scale))
    _normalise_backward[(channels,)](
        y, out, statistics, scale, upstream, of_y, of_scale, of_shift, sites, channels,
        NORMALISED_SITES, num_warps=8,
    )  # fmt: skip
    return of_y, of_scale, of_shift
