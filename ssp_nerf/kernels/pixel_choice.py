"""Pixels of a step by the losses of their classes (paper, section 3.2, eq. 5).

All of it stays on the device of the parsing maps and waits for none of its results.
"""

import torch
from torch import Tensor

from ssp_nerf import kernels
from ssp_nerf.parsing_map import CLASSES

ROUNDING = 1e-6
"""Of a ray: forgives float64 a share that should be whole, or remainders that should be equal."""


def choose_pixels(parsing: Tensor, mean_loss: Tensor, within: Tensor, floor: float) -> Tensor:
    """Pixels of each frame, uniform in each class and as many of it as eq. 5 says.

    Args:
        parsing: (B, H * W) uint8 classes of each frame's pixels.
        mean_loss: (11,) float64 L_i >= 0 over the previous epoch.
        within: (B, R) float64 in [0, 1), where in its class's region each pixel lies.
        floor: least share of the rays for a class that the frame shows.

    Returns:
        (B, R) int64 flat pixel numbers, grouped by class.
    """
    if not kernels.chosen(parsing):
        return plain_choose_pixels(parsing, mean_loss, within, floor)
    from ssp_nerf.kernels import pixel_choice_triton

    return pixel_choice_triton.choose_pixels(
        parsing.contiguous(), mean_loss.contiguous(), within.contiguous(), floor
    )


def plain_choose_pixels(parsing: Tensor, mean_loss: Tensor, within: Tensor, floor: float) -> Tensor:
    """`choose_pixels` in plain PyTorch."""
    places = class_places(parsing)
    present = class_areas(places) > 0
    return pixels_of_classes(
        places, rays_per_class(mean_loss, present, within.shape[1], floor), within
    )


def rays_per_class(mean_loss: Tensor, present: Tensor, rays: int, floor: float) -> Tensor:
    """Eq. 5: rays N_i of each class in proportion to its mean loss L_i, as whole numbers.

    Classes that a frame does not show give their share to the others; one that it shows never
    falls below `floor` (a share of the rays) and has one ray at least, so that its loss stays
    known. Fractions are rounded by largest remainder, so the numbers add up to `rays` exactly.

    Args:
        mean_loss: (11,) L_i >= 0 over the previous epoch.
        present: (B, 11) bool, classes of each frame.
        rays: Ns of a frame, 11 or more.
        floor: least share of a present class.

    Returns:
        (B, 11) int64.
    """
    loss = torch.where(present, mean_loss.double(), 0.0)
    loss = torch.where(loss.sum(-1, keepdim=True) > 0, loss, present.double())
    share = loss / loss.sum(-1, keepdim=True)
    # At least one ray each: a class without any would never show that it has become hard.
    least = (1.0 / present.sum(-1, keepdim=True)).clamp(max=max(floor, 1.0 / rays))
    # Shares under the floor are lifted to it and the rest shrinks by what that costs, which may
    # bring others under it; after a round for each class none is left.
    lifted = torch.zeros_like(present)
    for _ in CLASSES:
        rest = torch.where(lifted, 0.0, share).sum(-1, keepdim=True).clamp_min(1e-12)
        shrunk = share * (1.0 - least * lifted.sum(-1, keepdim=True)) / rest
        lifted = lifted | (present & (shrunk < least))
    share = torch.where(lifted, least, shrunk) * present
    exact = share / share.sum(-1, keepdim=True) * rays
    number = (exact + ROUNDING).floor()
    left = rays - number.sum(-1, keepdim=True)
    remainder = ((exact - number) / ROUNDING + 0.5).floor()
    place = torch.argsort(remainder, dim=-1, descending=True, stable=True).argsort(dim=-1)
    return (number + (place < left)).long()


def pixels_of_classes(places: Tensor, counts: Tensor, within: Tensor) -> Tensor:
    """Pixels drawn uniformly, with replacement, from each class's region.

    Args:
        places: (B, 11, H * W) of B frames, see `class_places`.
        counts: (B, 11) int64 how many of each class, R in a row; 0 for classes that are absent.
        within: (B, R) float64 in [0, 1), where in its region each pixel lies.

    Returns:
        (B, R) flat pixel numbers, grouped by class.
    """
    area = class_areas(places)
    ray = torch.arange(within.shape[1], device=places.device).expand_as(within).contiguous()
    classes = torch.searchsorted(counts.cumsum(-1), ray, right=True)
    before = (places[..., -1] - area).gather(-1, classes)
    place = before + 1 + (within * area.gather(-1, classes)).long()
    return torch.searchsorted(places.flatten(), place.to(places.dtype)) % places.shape[2]


def class_places(parsing: Tensor) -> Tensor:
    """Where each class's pixels are: parsing maps (B, H * W) uint8 -> (B, 11, H * W) int32.

    Pixels are counted frame by frame, in each class by class, and in each of those row by row; at
    [b, c, i] stands how many have been met when pixel i is passed while class c of frame b is
    counted. A sort would tell the same, and takes longer.
    """
    number = torch.arange(len(CLASSES), dtype=torch.uint8, device=parsing.device)
    members = parsing[:, None] == number[:, None]
    counted = members.flatten().cumsum(0, dtype=torch.int32)  # in one row: fastest on a GPU
    return counted.view(members.shape)


def class_areas(places: Tensor) -> Tensor:
    """Pixels of each class: places (B, 11, H * W) -> (B, 11) int64."""
    last = places[..., -1].flatten().long()
    return last.diff(prepend=torch.zeros_like(last[:1])).view(places.shape[:2])
