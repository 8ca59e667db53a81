"""Triton kernel of class_sums.py: a block of rays for each program, then a sum over programs."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ssp_nerf import parsing_map

CLASSES = tl.constexpr(len(parsing_map.CLASSES))
PADDED = tl.constexpr(triton.next_power_of_2(len(parsing_map.CLASSES)))
RAYS = 256  # of a program


@triton.jit
def _sum(values, classes, partial, rays, COLUMNS: tl.constexpr, RAYS: tl.constexpr):
    ray = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    number = tl.arange(0, PADDED)
    class_ = tl.load(classes + ray, ray < rays, other=-1).to(tl.int32)
    member = class_[:, None] == number[None, :]
    row = partial + (tl.program_id(0) * CLASSES + number) * (COLUMNS + 1)
    for column in tl.static_range(COLUMNS):
        value = tl.load(values + column * rays + ray, ray < rays, other=0.0).to(tl.float64)
        total = tl.sum(tl.where(member, value[:, None], 0.0), 0)
        tl.store(row + column, total, number < CLASSES)
    tl.store(row + COLUMNS, tl.sum(member.to(tl.float64), 0), number < CLASSES)


def sum_by_class(values: Tensor, classes: Tensor) -> Tensor:
    """As `class_sums.sum_by_class`; contiguous."""
    columns, rays = len(values), classes.numel()
    programs = triton.cdiv(rays, RAYS)
    shape = (programs, len(parsing_map.CLASSES), columns + 1)
    partial = torch.empty(shape, dtype=torch.float64, device=values.device)
    _sum[(programs,)](values, classes, partial, rays, columns, RAYS)
    return partial.sum(0)
