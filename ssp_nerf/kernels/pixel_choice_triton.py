"""Triton kernels of pixel_choice.py.

Three in a row, each reading what the last one wrote: the classes in each block of pixels; over the
blocks of a frame where each class's pixels are, and how many rays it gets; and the pixel of a ray,
whose block is found first.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ssp_nerf import parsing_map
from ssp_nerf.kernels import pixel_choice

CLASSES = tl.constexpr(len(parsing_map.CLASSES))
PADDED = tl.constexpr(triton.next_power_of_2(len(parsing_map.CLASSES)))
ROUNDING = tl.constexpr(pixel_choice.ROUNDING)
PIXELS = 512  # of a block


@triton.jit
def _count(parsing, members, pixels, blocks, PIXELS: tl.constexpr):
    """Members of each class in each block: parsing (B, pixels) -> members (B, blocks, PADDED)."""
    block, frame = tl.program_id(0), tl.program_id(1).to(tl.int64)
    pixel = block * PIXELS + tl.arange(0, PIXELS)
    label = tl.load(parsing + frame * pixels + pixel, pixel < pixels, other=255)
    number = tl.arange(0, PADDED)
    counted = tl.sum((label.to(tl.int32)[:, None] == number[None, :]).to(tl.int32), 0)
    tl.store(members + (frame * blocks + block) * PADDED + number, counted)


@triton.jit
def _share(
    members, mean_loss, met, area, last_ray, blocks,
    RAYS: tl.constexpr, FLOOR: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    """Eq. 5 for a frame, step by step as `pixel_choice.rays_per_class`.

    Writes met (B, PADDED, blocks): members of the class up to the end of the block; area
    (B, PADDED): all of them; last_ray (B, PADDED): rays of this class and those before it.
    """
    frame = tl.program_id(0).to(tl.int64)
    number = tl.arange(0, PADDED)
    block = tl.arange(0, BLOCKS)
    tile = (frame * blocks + block)[:, None] * PADDED + number[None, :]
    member = tl.load(members + tile, (block < blocks)[:, None], other=0)
    row = (frame * PADDED + number)[None, :] * blocks + block[:, None]
    tl.store(met + row, tl.cumsum(member, 0), (block < blocks)[:, None])
    pixels = tl.sum(member, 0)
    tl.store(area + frame * PADDED + number, pixels)

    present = (pixels > 0) & (number < CLASSES)
    shown = tl.where(present, 1.0, 0.0).to(tl.float64)
    loss = tl.load(mean_loss + number, number < CLASSES, other=0.0) * shown
    loss = tl.where(tl.sum(loss, 0) > 0, loss, shown)
    share = loss / tl.sum(loss, 0)
    lifted = tl.zeros_like(shown)  # 1 or 0
    least = tl.minimum(1.0 / tl.sum(shown, 0), lifted + FLOOR)  # tl.minimum takes FLOOR in fp32
    shrunk = share
    for _ in tl.static_range(CLASSES):
        rest = tl.maximum(tl.sum(share * (1.0 - lifted), 0), 1e-12)
        shrunk = share * (1.0 - least * tl.sum(lifted, 0)) / rest
        lifted = tl.where(present & (shrunk < least), 1.0, lifted)
    share = tl.where(lifted > 0, least, shrunk) * shown
    exact = share / tl.sum(share, 0) * RAYS
    whole = tl.floor(exact + ROUNDING)
    left = RAYS - tl.sum(whole, 0)
    # Largest remainders first, of equal ones the first class.
    remainder = tl.floor((exact - whole) / ROUNDING + 0.5)
    remainder = tl.where(number < CLASSES, remainder, float("-inf"))
    greater = remainder[None, :] > remainder[:, None]
    equal = (remainder[None, :] == remainder[:, None]) & (number[None, :] < number[:, None])
    place = tl.sum((greater | equal).to(tl.int32), 1)
    rays = whole.to(tl.int32) + (place < left).to(tl.int32)
    tl.store(last_ray + frame * PADDED + number, tl.cumsum(rays, 0))


@triton.jit
def _find(
    parsing, within, met, area, last_ray, chosen, pixels, blocks, rays,
    BLOCKS: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """The pixel of a ray: the one of its class that `within` of the others come before."""
    ray, frame = tl.program_id(0), tl.program_id(1).to(tl.int64)
    number = tl.arange(0, PADDED)
    last = tl.load(last_ray + frame * PADDED + number, number < CLASSES, other=2147483647)
    class_ = tl.sum((last <= ray).to(tl.int32), 0)
    row = frame * PADDED + class_
    share = tl.load(within + frame * rays + ray)
    before = (share * tl.load(area + row)).to(tl.int32)

    block = tl.arange(0, BLOCKS)
    passed = tl.load(met + row * blocks + block, block < blocks, other=2147483647)
    earlier = passed <= before
    first = tl.sum(earlier.to(tl.int32), 0) * PIXELS
    before -= tl.max(tl.where(earlier, passed, 0), 0)

    pixel = first + tl.arange(0, PIXELS)
    label = tl.load(parsing + frame * pixels + pixel, pixel < pixels, other=255)
    member = (label.to(tl.int32) == class_).to(tl.int32)
    place = first + tl.sum((tl.cumsum(member, 0) <= before).to(tl.int32), 0)
    tl.store(chosen + frame * rays + ray, place.to(tl.int64))


def choose_pixels(parsing: Tensor, mean_loss: Tensor, within: Tensor, floor: float) -> Tensor:
    """As `pixel_choice.choose_pixels`; contiguous, mean loss and `within` float64."""
    (frames, pixels), rays = parsing.shape, within.shape[1]
    blocks = triton.cdiv(pixels, PIXELS)
    padded = triton.next_power_of_2(blocks)

    def table(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.int32, device=parsing.device)

    members, met = table(frames, blocks, PADDED.value), table(frames, PADDED.value, blocks)
    area, last_ray = table(frames, PADDED.value), table(frames, PADDED.value)
    _count[(blocks, frames)](parsing, members, pixels, blocks, PIXELS)
    # Constants, since Triton takes other numbers from Python in fp32.
    _share[(frames,)](
        members, mean_loss, met, area, last_ray, blocks,
        RAYS=rays, FLOOR=max(floor, 1.0 / rays), BLOCKS=padded, num_warps=8,
    )  # fmt: skip
    chosen = torch.empty(frames, rays, dtype=torch.int64, device=parsing.device)
    _find[(rays, frames)](
        parsing, within, met, area, last_ray, chosen, pixels, blocks, rays, padded, PIXELS
    )
    return chosen
