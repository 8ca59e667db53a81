"""Triton kernel of resampling.py: one program for each ray."""

import triton
import triton.language as tl
from torch import Tensor

from ssp_nerf.volume import LEAST_WEIGHT as LEAST

LEAST_WEIGHT = tl.constexpr(LEAST)
DRAWN_AT_ONCE = 32  # samples; each is compared with all coarse ones
SAMPLES_PER_WARP = 32


@triton.jit
def _resample(
    v, weights, far, within, depths, rays, S, F,
    SAMPLES: tl.constexpr, DRAWN: tl.constexpr, FAR_PER_RAY: tl.constexpr,
):  # fmt: skip
    ray = tl.program_id(0).to(tl.int64)
    if rays is not None:  # noqa: SIM102 - the compiler decides the first, the program the second
        if ray >= tl.load(rays):
            return
    sample = tl.arange(0, SAMPLES)
    inside = sample < S
    end = tl.load(far + ray) if FAR_PER_RAY else far
    v += ray * S
    depths += ray * (S + F)
    coarse = tl.load(v + sample, inside, other=float("inf"))
    weight = tl.load(weights + ray * S + sample, inside, other=0.0) + LEAST_WEIGHT
    weight = tl.where(inside, weight, 0.0)
    integral = tl.cumsum(weight / tl.sum(weight, 0), 0)

    # Both lists ascend, so a depth's place among all is its number in its own list and how many of
    # the other come first; of equal ones the coarse. So each place is written once.
    before_coarse = tl.zeros((SAMPLES,), tl.int32)
    for start in range(0, F, DRAWN):
        number = start + tl.arange(0, DRAWN)
        wanted = number < F
        jitter = 0.5
        if within is not None:
            jitter = tl.load(within + ray * F + number, wanted, other=0.0)
        quantile = (number + jitter) / F
        passed = (integral[:, None] <= quantile[None, :]) & inside[:, None]
        bin_ = tl.minimum(tl.sum(passed.to(tl.int32), 0), S - 1)
        low = tl.sum(tl.where(sample[:, None] == bin_[None, :] - 1, integral[:, None], 0.0), 0)
        high = tl.sum(tl.where(sample[:, None] == bin_[None, :], integral[:, None], 0.0), 0)
        left = tl.load(v + bin_)
        right = tl.load(v + bin_ + 1, bin_ + 1 < S, other=end)
        part = tl.minimum(tl.maximum((quantile - low) / (high - low), 0.0), 1.0)
        # Rounding shall not carry a depth past its bin: they would no longer ascend.
        drawn = tl.minimum(left + (right - left) * part, right)

        first = (coarse[:, None] <= drawn[None, :]) & inside[:, None]
        place = number + tl.sum(first.to(tl.int32), 0)
        tl.store(depths + place, drawn, wanted)
        later = (drawn[None, :] < coarse[:, None]) & wanted[None, :]
        before_coarse += tl.sum(later.to(tl.int32), 1)
    tl.store(depths + sample + before_coarse, coarse, inside)


def resample(
    v: Tensor,
    weights: Tensor,
    far: float | Tensor,
    samples: int,
    within: Tensor | None,
    rays: Tensor | None = None,
) -> Tensor:
    """As `resampling.resample`; contiguous fp32 throughout.

    Args:
        rays: (1,) int32 rays that are asked for, the first ones; without it all are.
    """
    frames, most, coarse = v.shape
    depths = v.new_empty(frames, most, coarse + samples)
    padded = triton.next_power_of_2(coarse)
    _resample[(frames * most,)](
        v, weights, far, within, depths, rays, coarse, samples,
        SAMPLES=padded,
        DRAWN=DRAWN_AT_ONCE,
        FAR_PER_RAY=isinstance(far, Tensor),
        num_warps=min(max(padded // SAMPLES_PER_WARP, 1), 8),
    )  # fmt: skip
    return depths
