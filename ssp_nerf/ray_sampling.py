"""Semantic-aware dynamic ray sampling (paper, section 3.2)."""

from typing import Any

import torch
from torch import Tensor

from ssp_nerf.kernels.pixel_choice import choose_pixels
from ssp_nerf.parsing_map import CLASSES


class DynamicRaySampler:
    """Chooses the pixels of each step; learns from the losses of the previous epoch.

    An epoch is one pass over the training frames. In the first there is no previous one, and pixels
    are drawn uniformly over the image, as in NeRF; so they are in the ablation without it.

    Args:
        rays: pixels of a frame.
        floor: least share of a class that the frame shows.
        dynamic: False: always uniform.
        device: where the parsing maps are.
    """

    def __init__(self, rays: int, floor: float, dynamic: bool, device: torch.device):
        self.rays, self.floor, self.dynamic, self.device = rays, floor, dynamic, device
        self.epochs = 0
        self.mean_loss = torch.zeros(len(CLASSES), dtype=torch.float64, device=device)
        self._loss_sum, self._rays_seen = (torch.zeros_like(self.mean_loss) for _ in range(2))

    @property
    def uniform(self) -> bool:
        """Whether pixels are drawn uniformly now."""
        return not self.dynamic or self.epochs == 0

    def choose(self, parsing: Tensor, generator: torch.Generator) -> Tensor:
        """Parsing maps (B, H * W) uint8 -> pixels (B, R)."""
        within = torch.rand(
            (len(parsing), self.rays), generator=generator, device=self.device, dtype=torch.float64
        )
        if self.uniform:
            return (within * parsing.shape[1]).long()
        return choose_pixels(parsing, self.mean_loss, within, self.floor)

    def record(self, loss_sum: Tensor, rays_seen: Tensor) -> None:
        """Add losses of a step, summed for each class, and their number: (11,) each."""
        self._loss_sum += loss_sum
        self._rays_seen += rays_seen

    def end_epoch(self) -> None:
        """The running epoch becomes the previous one. A class never met keeps its last mean."""
        mean = self._loss_sum / self._rays_seen.clamp_min(1)
        overall = self._loss_sum.sum() / self._rays_seen.sum().clamp_min(1)
        last = self.mean_loss if self.epochs else overall
        self.mean_loss.copy_(torch.where(self._rays_seen > 0, mean, last))
        self.epochs += 1
        self._loss_sum.zero_()
        self._rays_seen.zero_()

    def state(self) -> dict[str, int | Tensor]:
        """For a checkpoint."""
        return {
            "epochs": self.epochs,
            "mean_loss": self.mean_loss,
            "loss_sum": self._loss_sum,
            "rays_seen": self._rays_seen,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.epochs = state["epochs"]
        self.mean_loss.copy_(state["mean_loss"])
        self._loss_sum.copy_(state["loss_sum"])
        self._rays_seen.copy_(state["rays_seen"])
