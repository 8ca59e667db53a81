"""Triton kernels of sparse_rays.py: samples to compute are listed on the device, and the host never
learns how many.

A program holds some rays with all their samples. Those that it asks for it appends to a list; the
networks' kernels take as many as its length says. `slot` tells where in the lists a fine
sample lies, -1 if it was not computed; `share` how far from its left to its right neighbour one
lies that is made of these, -1 if it is not. A first sample, every fourth, has no share.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ssp_nerf import field_output
from ssp_nerf.kernels.blocks_triton import softplus
from ssp_nerf.kernels.overall import ListedPoints
from ssp_nerf.kernels.resampling_triton import resample
from ssp_nerf.kernels.sparse_rays import BIN_ROUNDING, COLOUR, LOGITS, STRIDE, WIDTH, Frame
from ssp_nerf.rays import Rays

VALUES = tl.constexpr(field_output.WIDTH)  # of a sample
DENSITY_AT = tl.constexpr(field_output.DENSITY)
COLOUR_AT = tl.constexpr(field_output.COLOUR.start)
LOGITS_AT = tl.constexpr(field_output.LOGITS.start)
CLASSES = tl.constexpr(LOGITS.stop - LOGITS.start)
DRAWN = tl.constexpr(WIDTH)  # numbers of a ray
COLOUR_DRAWN = tl.constexpr(COLOUR.start)
LOGITS_DRAWN = tl.constexpr(LOGITS.start)
ROUNDING = tl.constexpr(BIN_ROUNDING)
OPAQUE = tl.constexpr(30.0)  # optical depth of a sample that stops all light; keeps sums exact
ELEMENTS = 1024  # samples of a program
LISTS = 4  # of coarse samples, and of fine ones: first, between two, between these
ALIGNED = 4  # int32 for a length, 16 bytes: Triton compiles anew for a pointer less aligned
assert STRIDE == 4  # the kernels' own: first samples, those between two, those between these


@triton.jit
def _occupied(occupied, cells, ray, depth, near, slices_per_depth, SLICES, inside):
    """Whether samples (rays, samples) lie in cells that may hold density."""
    slice_ = tl.maximum(tl.minimum(((depth - near) * slices_per_depth).to(tl.int32), SLICES - 1), 0)
    cell = tl.load(cells + ray, inside, other=0)
    return tl.load(occupied + cell[:, None] * SLICES + slice_, inside[:, None], other=0) != 0


@triton.jit
def _own_rays(rays, RAYS: tl.constexpr):
    """Rays of a program, and how many there are."""
    return tl.program_id(0) * RAYS + tl.arange(0, RAYS), tl.load(rays)


@triton.jit
def _append(asked, depth, ray, inside, origin, directions, count, x, ray_of):
    """Append asked samples (rays, samples) to a list: the place of each ray's first one, and of
    each sample, one after the other."""
    per_ray = tl.sum(asked.to(tl.int32), 1)
    start = tl.atomic_add(count, tl.sum(per_ray, 0)) + tl.cumsum(per_ray, 0) - per_ray
    place = start[:, None] + tl.cumsum(asked.to(tl.int32), 1) - 1
    for axis in tl.static_range(3):
        along = tl.load(directions + ray * 3 + axis, inside, other=0.0)
        at = tl.load(origin + axis) + depth * along[:, None]
        tl.store(x + place * 3 + axis, at, asked)
    tl.store(ray_of + place, ray[:, None] + tl.zeros_like(place), asked)
    return start, place


@triton.jit
def _coarse_samples(
    occupied, cells, depths, ray, sample, inside, near, slices_per_depth, SLICES, S,
    RAYS: tl.constexpr,
):  # fmt: skip
    """Depths of coarse samples (rays, samples), and which are computed: those in occupied cells."""
    depth = tl.load(depths + sample, sample < S, other=0.0) + tl.zeros((RAYS, 1), tl.float32)
    found = _occupied(occupied, cells, ray, depth, near, slices_per_depth, SLICES, inside)
    return depth, found & (sample < S)


@triton.jit
def _coarse_kernel(
    occupied, cells, depths, origin, directions, count, x, ray_of, first,
    near, slices_per_depth, SLICES, rays, S, SAMPLES: tl.constexpr, RAYS: tl.constexpr,
):  # fmt: skip
    """List the coarse samples that are not in empty space; `first`: place of each ray's first."""
    ray, R = _own_rays(rays, RAYS)
    if tl.program_id(0) * RAYS >= R:
        return
    sample = tl.arange(0, SAMPLES)[None, :]
    inside = ray < R
    depth, asked = _coarse_samples(
        occupied, cells, depths, ray, sample, inside, near, slices_per_depth, SLICES, S, RAYS
    )
    start, _ = _append(asked, depth, ray, inside, origin, directions, count, x, ray_of)
    tl.store(first + ray, start, inside)


@triton.jit
def _coarse_weights_kernel(
    occupied, cells, depths, step_length, values, first, v, weights, light, far,
    near, slices_per_depth, SLICES, rays, S, SAMPLES: tl.constexpr, RAYS: tl.constexpr,
):  # fmt: skip
    """Depths, weights, and light that comes to each coarse sample."""
    ray, R = _own_rays(rays, RAYS)
    if tl.program_id(0) * RAYS >= R:
        return
    sample = tl.arange(0, SAMPLES)[None, :]
    inside = ray < R
    depth, computed = _coarse_samples(
        occupied, cells, depths, ray, sample, inside, near, slices_per_depth, SLICES, S, RAYS
    )
    end = tl.load(depths + sample + 1, sample + 1 < S, other=far)
    delta = (end - depth) * tl.load(step_length + ray, inside, other=0.0)[:, None]
    place = tl.load(first + ray, inside, other=0)[:, None]
    place += tl.cumsum(computed.to(tl.int32), 1) - 1
    density = tl.load(values + place.to(tl.int64) * VALUES + DENSITY_AT, computed, other=0.0)
    optical = tl.minimum(density * delta, OPAQUE)
    in_front = tl.cumsum(optical, 1) - optical
    before = tl.exp(-in_front)
    known = inside[:, None] & (sample < S)
    at = ray[:, None] * S + sample
    tl.store(v + at, depth, known)
    tl.store(light + at, before, known)
    tl.store(weights + at, before - tl.exp(-(in_front + optical)), known)


@triton.jit
def _first_kernel(
    occupied, cells, v, light, origin, directions, count, x, ray_of, fine_light, slot,
    first_depth, bin_width, least, near, slices_per_depth, SLICES, rays, S, F,
    SAMPLES: tl.constexpr, RAYS: tl.constexpr,
):  # fmt: skip
    """Light at the fine samples that matter, 0 at others; list every fourth."""
    ray, R = _own_rays(rays, RAYS)
    if tl.program_id(0) * RAYS >= R:
        return
    sample = tl.arange(0, SAMPLES)[None, :]
    inside = ray < R
    known = inside[:, None] & (sample < F)
    at = ray[:, None] * F + sample
    depth = tl.load(v + at, known, other=0.0)
    bin_ = ((depth - first_depth) / bin_width + ROUNDING).to(tl.int32)
    bin_ = tl.maximum(tl.minimum(bin_, S - 1), 0)
    seen = tl.load(light + ray[:, None] * S + bin_, known, other=0.0)
    matters = known & (seen > least)
    matters &= _occupied(occupied, cells, ray, depth, near, slices_per_depth, SLICES, inside)
    tl.store(fine_light + at, tl.where(matters, seen, 0.0), known)
    asked = matters & (sample % 4 == 0)
    _, place = _append(asked, depth, ray, inside, origin, directions, count, x, ray_of)
    tl.store(slot + at, tl.where(asked, place, -1), known)


@triton.jit
def _computed(values, slot, at, known):
    """Whether samples were computed, and their density and colour, 0 where not."""
    place = tl.load(slot + at, known, other=-1)
    there = place >= 0
    row = values + place.to(tl.int64) * VALUES
    return (
        there,
        tl.load(row + DENSITY_AT, there, other=0.0),
        tl.load(row + COLOUR_AT, there, other=0.0),
        tl.load(row + COLOUR_AT + 1, there, other=0.0),
        tl.load(row + COLOUR_AT + 2, there, other=0.0),
    )


@triton.jit
def _softplus_inverse(density):
    density = tl.maximum(density, 1e-10)
    small = density * (1 - density / 2 + density * density / 6)
    return density + tl.log(tl.where(density < 0.01, small, 1 - tl.exp(-density)))


@triton.jit
def _density_between(left, right, share):
    a = _softplus_inverse(left)
    return softplus(a + share * (_softplus_inverse(right) - a))


@triton.jit
def _even(values, slot, share, at, sample, known):
    """Density and colour of even samples: computed, made of those two beside, or 0."""
    there, density, red, green, blue = _computed(values, slot, at, known)
    part = tl.load(share + at, known & (sample % 4 == 2), other=-1.0)
    between = ~there & (part >= 0)
    _, left, red_left, green_left, blue_left = _computed(values, slot, at - 2, between)
    _, right, red_right, green_right, blue_right = _computed(values, slot, at + 2, between)
    return (
        tl.where(between, _density_between(left, right, part), density),
        tl.where(between, red_left + part * (red_right - red_left), red),
        tl.where(between, green_left + part * (green_right - green_left), green),
        tl.where(between, blue_left + part * (blue_right - blue_left), blue),
    )


@triton.jit
def _between_kernel(
    values, v, fine_light, step_length, origin, directions, count, x, ray_of, slot, share,
    first_slot, tolerance, rays, F,
    STEP: tl.constexpr, SAMPLES: tl.constexpr, RAYS: tl.constexpr,
):  # fmt: skip
    """Samples a STEP after every second of the last step's: interpolated where the two beside are
    alike, else listed."""
    ray, R = _own_rays(rays, RAYS)
    if tl.program_id(0) * RAYS >= R:
        return
    inside = ray < R
    sample = STEP + 2 * STEP * tl.arange(0, SAMPLES)[None, :]
    known = inside[:, None] & (sample < F)
    at = ray[:, None] * F + sample
    beside = known & (sample + STEP < F)
    depth = tl.load(v + at, known, other=0.0)
    left_depth = tl.load(v + at - STEP, beside, other=0.0)
    right_depth = tl.load(v + at + STEP, beside, other=0.0)
    matters = tl.load(fine_light + at, known, other=0.0) > 0
    light = tl.load(fine_light + at - STEP, beside, other=0.0)
    both = (light > 0) & (tl.load(fine_light + at + STEP, beside, other=0.0) > 0)

    left, red_left, green_left, blue_left = _even(
        values, slot, share, at - STEP, sample - STEP, beside
    )
    right, red_right, green_right, blue_right = _even(
        values, slot, share, at + STEP, sample + STEP, beside
    )
    length = right_depth - left_depth
    along = length * tl.load(step_length + ray, inside, other=0.0)[:, None]
    clear_left, clear_right = tl.exp(-left * along), tl.exp(-right * along)
    opacity = 1 - tl.sqrt(clear_left * clear_right)
    colours = tl.maximum(
        tl.maximum(tl.abs(red_left - red_right), tl.abs(green_left - green_right)),
        tl.abs(blue_left - blue_right),
    )
    difference = light * (tl.abs(clear_left - clear_right) / 2 + opacity * colours)
    alike = matters & both & (difference < tolerance)
    part = (depth - left_depth) / tl.maximum(length, 1e-9)
    tl.store(share + at, tl.where(alike, part, -1.0), known)
    asked = matters & ~alike
    _, place = _append(asked, depth, ray, inside, origin, directions, count, x, ray_of)
    tl.store(slot + at, first_slot + place, asked)


@triton.jit
def _weights_kernel(
    values, v, step_length, slot, share, weights, drawn, far, rays, F,
    SAMPLES: tl.constexpr,
):  # fmt: skip
    """Weights of a ray's samples, and the transmittance behind them."""
    ray = tl.program_id(0).to(tl.int64)
    if ray >= tl.load(rays):
        return
    sample = tl.arange(0, SAMPLES)
    known = sample < F
    at = ray * F + sample
    there, density, _, _, _ = _computed(values, slot, at, known)
    part = tl.load(share + at, known & (sample % 4 > 0), other=-1.0)
    between = ~there & (part >= 0)
    step = tl.where(sample % 2 == 0, 2, 1)
    left, _, _, _ = _even(values, slot, share, at - step, sample - step, between)
    right, _, _, _ = _even(values, slot, share, at + step, sample + step, between)
    density = tl.where(between, _density_between(left, right, part), density)

    depth = tl.load(v + at, known, other=0.0)
    end = tl.load(v + at + 1, sample + 1 < F, other=far)
    optical = density * (end - depth) * tl.load(step_length + ray)
    # What is no number stays so, and is seen; the coarse level's only place samples.
    optical = tl.minimum(optical, OPAQUE, propagate_nan=tl.PropagateNan.ALL)
    optical = tl.where(known, optical, 0.0)
    in_front = tl.cumsum(optical, 0) - optical
    tl.store(weights + at, tl.exp(-in_front) - tl.exp(-(in_front + optical)), known)
    tl.store(drawn + ray * DRAWN, tl.exp(-tl.sum(optical, 0)))


@triton.jit
def _held(weights, share, at, sample, known, F, STEP: tl.constexpr):
    """Weight that samples take of those a STEP beside that are made of them."""
    part = tl.load(share + at - STEP, known & (sample >= STEP), other=-1.0)
    before = tl.load(weights + at - STEP, part >= 0, other=0.0) * part
    part = tl.load(share + at + STEP, known & (sample + STEP < F), other=-1.0)
    return before + tl.load(weights + at + STEP, part >= 0, other=0.0) * (1 - part)


@triton.jit
def _sum_kernel(
    values, dx, slot, share, weights, drawn, rays, F, SAMPLES: tl.constexpr,
):  # fmt: skip
    """Expected colour, logits and displacement of a ray, by its computed samples."""
    ray = tl.program_id(0).to(tl.int64)
    if ray >= tl.load(rays):
        return
    sample = tl.arange(0, SAMPLES)
    known = sample < F
    at = ray * F + sample
    place = tl.load(slot + at, known, other=-1).to(tl.int64)
    there = place >= 0
    even = there & (sample % 2 == 0)
    fourth = there & (sample % 4 == 0)
    weight = tl.load(weights + at, there, other=0.0)
    weight += _held(weights, share, at, sample, even, F, 1)
    # A sample that is made of two fourth ones hands on what it took itself.
    part = tl.load(share + at - 2, fourth & (sample >= 2), other=-1.0)
    before = part >= 0
    taken = tl.load(weights + at - 2, before, other=0.0)
    taken += _held(weights, share, at - 2, sample - 2, before, F, 1)
    weight += tl.where(before, taken * part, 0.0)
    part = tl.load(share + at + 2, fourth & (sample + 2 < F), other=-1.0)
    behind = part >= 0
    taken = tl.load(weights + at + 2, behind, other=0.0)
    taken += _held(weights, share, at + 2, sample + 2, behind, F, 1)
    weight += tl.where(behind, taken * (1 - part), 0.0)

    channel = tl.arange(0, VALUES)
    value = tl.load(values + place[:, None] * VALUES + channel[None, :], there[:, None], other=0.0)
    expected = tl.sum(weight[:, None] * value, 0)
    drawn += ray * DRAWN
    is_colour = (channel >= COLOUR_AT) & (channel < COLOUR_AT + 3)
    is_logit = (channel >= LOGITS_AT) & (channel < LOGITS_AT + CLASSES)
    tl.store(drawn + COLOUR_DRAWN + channel - COLOUR_AT, expected, is_colour)
    tl.store(drawn + LOGITS_DRAWN + channel - LOGITS_AT, expected, is_logit)
    axis = tl.arange(0, 4)
    moved = tl.load(
        dx + place[:, None] * 3 + axis[None, :], there[:, None] & (axis < 3)[None, :], other=0.0
    )
    tl.store(drawn + LOGITS_DRAWN + CLASSES + axis, tl.sum(weight[:, None] * moved, 0), axis < 3)


def sparse_rays(
    frame: Frame,
    pixels: Tensor,
    rays: Rays,
    count: Tensor | None,
    least: float,
    tolerance: float,
) -> tuple[Tensor, Tensor]:
    """As `sparse_rays.sparse_rays`.

    Args:
        least: `sparse_rays.LEAST_TRANSMITTANCE`.
        tolerance: `sparse_rays.SAMPLE_TOLERANCE`.
    """
    least = max(least, 0.0)  # no light at a sample says that it does not matter
    depths, near, far = frame.depths, frame.near, frame.far
    R, S = len(pixels), len(depths)
    F = S + frame.fine_samples
    origin, directions = rays.origins[0, 0].contiguous(), rays.directions[0].contiguous()
    step_length = rays.step_length[0].contiguous()
    view = frame.fine.encoded_view(rays.view[0])
    if count is None:
        count = torch.full((1,), R, dtype=torch.int32, device=pixels.device)
    lengths = pixels.new_zeros(LISTS, ALIGNED, dtype=torch.int32)

    def new_list(samples: int, number: int) -> ListedPoints:
        x = depths.new_empty(R * samples, 3)
        ray = torch.empty(R * samples, dtype=torch.int32, device=x.device)
        return ListedPoints(x, ray, lengths[number, :1])

    def space(level) -> tuple:
        slices = level.occupied.shape[1]
        return (
            (level.occupied.view(torch.uint8), level.block[pixels]),
            (level.near, slices / (level.far - level.near), slices),
        )

    def sizes(samples: int) -> dict[str, int]:
        padded = triton.next_power_of_2(samples)
        return {"SAMPLES": padded, "RAYS": max(1, ELEMENTS // padded)}

    def programs(samples: int) -> tuple[int]:
        return (triton.cdiv(R, sizes(samples)["RAYS"]),)

    cells, slices = space(frame.coarse_space)
    points = new_list(S, 0)
    first = torch.empty_like(points.ray[:R])
    values, dx = depths.new_empty(R * S, field_output.WIDTH), depths.new_empty(R * S, 3)
    _coarse_kernel[programs(S)](
        *cells, depths, origin, directions, points.length, points.x, points.ray, first,
        *slices, count, S, **sizes(S),
    )  # fmt: skip
    frame.coarse.listed(points, view, values, dx)
    v, weights, light = (depths.new_empty(1, R, S) for _ in range(3))
    _coarse_weights_kernel[programs(S)](
        *cells, depths, step_length, values, first, v, weights, light, far,
        *slices, count, S, **sizes(S),
    )  # fmt: skip
    v = resample(v, weights, far, frame.fine_samples, None, count)

    cells, slices = space(frame.fine_space)
    fine_light, share = torch.empty_like(v), torch.empty_like(v)
    slot = torch.empty_like(v, dtype=torch.int32)
    values, dx = depths.new_empty(R * F, field_output.WIDTH), depths.new_empty(R * F, 3)
    asked = -(-F // 4)  # samples of a ray, at most
    points = new_list(asked, 1)
    bin_width = (far - near) / S
    _first_kernel[programs(F)](
        *cells, v, light, origin, directions, points.length, points.x, points.ray, fine_light, slot,
        near + bin_width / 2, bin_width, least, *slices, count, S, F, **sizes(F),
    )  # fmt: skip
    frame.fine.listed(points, view, values, dx)
    used = R * asked
    for number, step in ((2, 2), (3, 1)):
        asked = max(1, -(-(F - step) // (2 * step)))
        points = new_list(asked, number)
        _between_kernel[programs(asked)](
            values, v, fine_light, step_length, origin, directions, points.length, points.x,
            points.ray, slot, share, used, tolerance, count, F, STEP=step, **sizes(asked),
        )  # fmt: skip
        frame.fine.listed(points, view, values[used:], dx[used:])
        used += R * asked

    drawn = depths.new_empty(R, WIDTH)
    padded = triton.next_power_of_2(F)
    _weights_kernel[(R,)](
        values, v, step_length, slot, share, weights := torch.empty_like(v), drawn, far, count, F,
        SAMPLES=padded,
    )  # fmt: skip
    _sum_kernel[(R,)](
        values, dx, slot, share, weights, drawn, count, F, SAMPLES=padded, num_warps=8
    )
    return drawn, torch.stack([lengths[0, 0], lengths[1:, 0].sum()])
