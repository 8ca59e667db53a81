"""Semantic-aware dynamic ray sampling (paper, section 3.2, eq. 5)."""

import torch
from torch import Tensor

from ssp_nerf.parsing_map import CLASSES

ROUNDING = 1e-6
"""Of a ray: forgives float64 a share that should be whole."""


def rays_per_class(mean_loss: Tensor, present: Tensor, rays: int, floor: float) -> Tensor:
    """Eq. 5: rays N_i of each class in proportion to its mean loss L_i, as whole numbers.

    Classes that the frame does not show give their share to the others; one that it shows never
    falls below `floor` (a share of the rays) and has one ray at least, so that its loss stays
    known. Fractions are rounded by largest remainder, so the numbers add up to `rays` exactly.

    Args:
        mean_loss: (11,) L_i >= 0 over the previous epoch.
        present: (11,) bool, classes of this frame.
        rays: Ns, 11 or more.
        floor: least share of a present class.

    Returns:
        (11,) int64.
    """
    loss = torch.where(present, mean_loss.double(), 0.0)
    if loss.sum() <= 0:
        loss = present.double()
    share = loss / loss.sum()
    # At least one ray each: a class without any would never show that it has become hard.
    floor = min(max(floor, 1.0 / rays), 1.0 / int(present.sum()))
    # Shares under the floor are lifted to it; the rest shrinks by what that costs.
    lifted = present & (share < floor)
    while True:
        rest = present & ~lifted
        scale = (1.0 - floor * lifted.sum()) / share[rest].sum().clamp_min(1e-12)
        more = rest & (share * scale < floor)
        if not more.any():
            break
        lifted |= more
    share = torch.where(lifted, floor, share * scale) * present
    exact = share / share.sum() * rays
    number = (exact + ROUNDING).floor().long()
    left = rays - int(number.sum())
    largest = torch.argsort(exact - number, descending=True, stable=True)[:left]
    number[largest] += 1
    return number


def pixels_of_classes(parsing: Tensor, counts: Tensor, generator: torch.Generator) -> Tensor:
    """Pixels drawn uniformly, with replacement, from each class's region.

    Args:
        parsing: (H * W,) uint8 of one frame.
        counts: (11,) int64 how many of each class; 0 for classes that are absent.

    Returns:
        (R,) flat pixel numbers, grouped by class.
    """
    order = torch.argsort(parsing, stable=True)  # pixels of class 0, then 1, ...
    area = torch.bincount(parsing, minlength=len(CLASSES))
    start = torch.cumsum(area, 0) - area
    classes = torch.repeat_interleave(torch.arange(len(CLASSES), device=parsing.device), counts)
    draw = torch.rand(len(classes), generator=generator, dtype=torch.float64).to(parsing.device)
    return order[start[classes] + (draw * area[classes]).long()]


class DynamicRaySampler:
    """Chooses the pixels of each step; learns from the losses of the previous epoch.

    An epoch is one pass over the training frames. In the first there is no previous one, and pixels
    are drawn uniformly over the image, as in NeRF; so they are in the ablation without it.

    Args:
        rays: pixels of a frame.
        floor: least share of a class that the frame shows.
        dynamic: False: always uniform.
    """

    def __init__(self, rays: int, floor: float, dynamic: bool):
        self.rays, self.floor, self.dynamic = rays, floor, dynamic
        self.mean_loss: Tensor | None = None
        self._start_epoch()

    def choose(self, parsing: Tensor, generator: torch.Generator) -> Tensor:
        """Parsing maps (B, H * W) uint8 -> pixels (B, R)."""
        if self.mean_loss is None or not self.dynamic:
            uniform = torch.randint(
                parsing.shape[1], (len(parsing), self.rays), generator=generator
            )
            return uniform.to(parsing.device)
        chosen = []
        for frame in parsing:
            present = torch.bincount(frame, minlength=len(CLASSES)) > 0
            counts = rays_per_class(self.mean_loss, present.cpu(), self.rays, self.floor)
            chosen.append(pixels_of_classes(frame, counts.to(frame.device), generator))
        return torch.stack(chosen)

    def record(self, classes: Tensor, loss: Tensor) -> None:
        """Add the losses (B, R) of rays of `classes` (B, R) to the running epoch."""
        flat = classes.flatten().long().cpu()
        self._loss_sum.index_add_(0, flat, loss.detach().flatten().double().cpu())
        self._rays_seen += torch.bincount(flat, minlength=len(CLASSES))

    def end_epoch(self) -> None:
        """The running epoch becomes the previous one. A class never met keeps its last mean."""
        mean = self._loss_sum / self._rays_seen.clamp_min(1)
        seen = self._rays_seen > 0
        last = self.mean_loss if self.mean_loss is not None else mean[seen].mean().expand_as(mean)
        self.mean_loss = torch.where(seen, mean, last)
        self._start_epoch()

    def _start_epoch(self) -> None:
        self._loss_sum = torch.zeros(len(CLASSES), dtype=torch.float64)
        self._rays_seen = torch.zeros(len(CLASSES), dtype=torch.int64)

    def state(self) -> dict[str, Tensor | None]:
        """For a checkpoint."""
        return {
            "mean_loss": self.mean_loss,
            "loss_sum": self._loss_sum,
            "rays_seen": self._rays_seen,
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        self.mean_loss = state["mean_loss"]
        self._loss_sum, self._rays_seen = state["loss_sum"], state["rays_seen"]
