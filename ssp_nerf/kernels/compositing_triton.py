"""Triton kernels of compositing.py: one program for each ray, which fits into its registers."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ssp_nerf import field_output

WIDTH = tl.constexpr(field_output.WIDTH)
DENSITY = tl.constexpr(field_output.DENSITY)
LOGITS = tl.constexpr(field_output.LOGITS.start)
CLASSES = tl.constexpr(field_output.LOGITS.stop - field_output.LOGITS.start)
COLOUR = tl.constexpr(field_output.COLOUR.start)
SAMPLES_PER_WARP = 32  # 512 numbers, 16 a thread


@triton.jit
def _march(values, v, far, step_length, ray, S, SAMPLES: tl.constexpr, FAR_PER_RAY: tl.constexpr):
    """Depths, intervals and light of a ray's samples.

    Returns:
        depth, interval, light before and behind each sample (SAMPLES,); light at the end; far.
    """
    sample = tl.arange(0, SAMPLES)
    end = tl.load(far + ray) if FAR_PER_RAY else far
    step = tl.load(step_length + ray)
    here = v + ray * S + sample
    depth = tl.load(here, sample < S, other=0.0)
    delta = (tl.load(here + 1, sample + 1 < S, other=end) - depth) * step
    delta = tl.where(sample < S, delta, 0.0)
    density = values + (ray * S + sample) * WIDTH + DENSITY
    optical = tl.load(density, sample < S, other=0.0) * delta
    # What the samples in front stop is summed without the own one: to take it off again would
    # leave nothing where it is opaque. The second loads are from the cache.
    behind_first = (sample > 0) & (sample < S)
    last_delta = (depth - tl.load(here - 1, behind_first, other=0.0)) * step
    last = tl.load(density - WIDTH, behind_first, other=0.0) * last_delta
    in_front = tl.cumsum(last, 0)
    before, behind = tl.exp(-in_front), tl.exp(-(in_front + optical))
    return depth, delta, before, behind, tl.exp(-tl.sum(optical, 0)), end


@triton.jit
def _closing(background, background_logits, ray, channel):
    """What stands behind a ray, laid out as a sample."""
    is_logit = (channel >= LOGITS) & (channel < LOGITS + CLASSES)
    is_colour = (channel >= COLOUR) & (channel < COLOUR + 3)
    return tl.load(background_logits + channel - LOGITS, is_logit, other=0.0) + tl.load(
        background + ray * 3 + channel - COLOUR, is_colour, other=0.0
    )


@triton.jit
def _forward(
    values, dx, v, far, step_length, background, background_logits,
    colour, logits, depth, accumulation, displacement, weights, S,
    SAMPLES: tl.constexpr, FAR_PER_RAY: tl.constexpr,
):  # fmt: skip
    ray = tl.program_id(0).to(tl.int64)
    sample, channel = tl.arange(0, SAMPLES), tl.arange(0, WIDTH)
    at, _, before, behind, light, end = _march(
        values, v, far, step_length, ray, S, SAMPLES, FAR_PER_RAY
    )
    weight = before - behind
    tl.store(weights + ray * S + sample, weight, sample < S)

    inside = (sample < S)[:, None]
    row = (ray * S + sample)[:, None]
    value = tl.load(values + row * WIDTH + channel[None, :], inside, other=0.0)
    expected = tl.sum(weight[:, None] * value, 0)
    expected += light * _closing(background, background_logits, ray, channel)
    is_logit = (channel >= LOGITS) & (channel < LOGITS + CLASSES)
    is_colour = (channel >= COLOUR) & (channel < COLOUR + 3)
    tl.store(logits + ray * CLASSES + channel - LOGITS, expected, is_logit)
    tl.store(colour + ray * 3 + channel - COLOUR, expected, is_colour)
    tl.store(depth + ray, tl.sum(weight * at, 0) + light * end)
    tl.store(accumulation + ray, 1 - light)

    axis = tl.arange(0, 4)
    moved = tl.zeros((4,), tl.float32)
    if dx is not None:
        move = tl.load(dx + row * 3 + axis[None, :], inside & (axis < 3)[None, :], other=0.0)
        moved = tl.sum(weight[:, None] * move, 0)
    tl.store(displacement + ray * 3 + axis, moved, axis < 3)


@triton.jit
def _backward(
    values, v, far, step_length, background, background_logits,
    d_colour, d_logits, d_depth, d_accumulation, d_values, S,
    SAMPLES: tl.constexpr, FAR_PER_RAY: tl.constexpr,
):  # fmt: skip
    ray = tl.program_id(0).to(tl.int64)
    sample, channel = tl.arange(0, SAMPLES), tl.arange(0, WIDTH)
    at, delta, before, behind, light, end = _march(
        values, v, far, step_length, ray, S, SAMPLES, FAR_PER_RAY
    )
    weight = before - behind
    upstream = tl.zeros((WIDTH,), tl.float32)
    if d_logits is not None:
        is_logit = (channel >= LOGITS) & (channel < LOGITS + CLASSES)
        upstream += tl.load(d_logits + ray * CLASSES + channel - LOGITS, is_logit, other=0.0)
    if d_colour is not None:
        is_colour = (channel >= COLOUR) & (channel < COLOUR + 3)
        upstream += tl.load(d_colour + ray * 3 + channel - COLOUR, is_colour, other=0.0)

    # The loss is sum_i w_i g_i + T g_b to first order, with g a sample's values times the upstream
    # gradient and g_b the background's; as sum_i w_i + T = 1, it is g_b + sum_i w_i (g_i - g_b).
    place = values + (ray * S + sample)[:, None] * WIDTH + channel[None, :]
    value = tl.load(place, (sample < S)[:, None], other=0.0)
    closing = _closing(background, background_logits, ray, channel)
    gain = tl.sum((value - closing[None, :]) * upstream[None, :], 1)
    if d_depth is not None:
        gain += tl.load(d_depth + ray) * (at - end)
    # d w_k / d tau_k is the light behind k, and every w_i behind it shrinks by itself.
    weighted = weight * gain
    hidden = tl.cumsum(weighted, 0, reverse=True) - weighted
    d_optical = behind * gain - hidden
    if d_accumulation is not None:
        d_optical += light * tl.load(d_accumulation + ray)
    d_density = d_optical * delta

    d_value = tl.where(
        (channel == DENSITY)[None, :], d_density[:, None], weight[:, None] * upstream[None, :]
    )
    place = d_values + (ray * S + sample)[:, None] * WIDTH + channel[None, :]
    tl.store(place, d_value, (sample < S)[:, None])


def _sizes(samples: int, far: float | Tensor) -> dict[str, int | bool]:
    padded = triton.next_power_of_2(samples)
    return {
        "SAMPLES": padded,
        "FAR_PER_RAY": isinstance(far, Tensor),
        "num_warps": min(max(padded // SAMPLES_PER_WARP, 1), 8),
    }


def forward(
    values: Tensor,
    dx: Tensor | None,
    v: Tensor,
    far: float | Tensor,
    step_length: Tensor,
    background: Tensor,
    background_logits: Tensor,
) -> tuple[Tensor, ...]:
    """Colour, logits, depth, accumulation, displacement, weights; contiguous fp32 throughout."""
    frames, rays, samples = v.shape
    shapes = ((3,), (field_output.LOGITS.stop - field_output.LOGITS.start,), (), (), (3,))
    outputs = [v.new_empty(frames, rays, *shape) for shape in shapes]
    outputs.append(torch.empty_like(v))
    _forward[(frames * rays,)](
        values, dx, v, far, step_length, background, background_logits, *outputs, samples,
        **_sizes(samples, far),
    )  # fmt: skip
    return tuple(outputs)


def backward(
    values: Tensor,
    v: Tensor,
    far: float | Tensor,
    step_length: Tensor,
    background: Tensor,
    background_logits: Tensor,
    d_colour: Tensor | None,
    d_logits: Tensor | None,
    d_depth: Tensor | None,
    d_accumulation: Tensor | None,
) -> Tensor:
    """Gradient of the values, (B, R, S, 16)."""
    frames, rays, samples = v.shape
    d_values = torch.empty_like(values)
    _backward[(frames * rays,)](
        values, v, far, step_length, background, background_logits,
        d_colour, d_logits, d_depth, d_accumulation, d_values, samples,
        **_sizes(samples, far),
    )  # fmt: skip
    return d_values
