"""The training loop's state and its one step (paper, section 3.4)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ssp_nerf.audio import neighbouring_windows
from ssp_nerf.config import ModelConfig, TrainingConfig
from ssp_nerf.dataset import PortraitDataset, as_colour
from ssp_nerf.device import precision
from ssp_nerf.losses import photometric_loss, semantic_loss
from ssp_nerf.model import SSPNeRF
from ssp_nerf.ray_sampling import DynamicRaySampler
from ssp_nerf.rays import rays_through_pixels

LEARNING_RATE_DECAY = 0.1  # factor over `decay_steps`, as in NeRF


@dataclass
class StepResult:
    """Means over the rays of one step."""

    loss: float  # eq. 12
    photometric: float  # Lp
    semantic: float  # Ls
    psnr: float  # of the fine level, dB, over the rays that were drawn


class Trainer:
    """Networks, optimiser, random streams and the order of frames: all that a checkpoint holds."""

    def __init__(self, dataset: PortraitDataset, model: ModelConfig, training: TrainingConfig):
        self.dataset, self.config = dataset, training
        self.device = dataset.device
        torch.manual_seed(training.seed)  # initial weights
        self.model = SSPNeRF(model, dataset.scene()).to(self.device)
        frames = dataset.training_frames
        self.model.standardise_by(dataset.c2w[frames], dataset.audio[frames])
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=training.learning_rate)
        # On the CPU whatever the device, so that the same seed gives the same rays everywhere.
        self.generator = torch.Generator().manual_seed(training.seed)
        self.sampler = DynamicRaySampler(
            training.rays // training.frames_per_step,
            training.class_floor,
            training.dynamic_sampling,
        )
        self.step_number = 0
        self.order = torch.empty(0, dtype=torch.int64)  # frames left in the running epoch

    def step(self) -> StepResult:
        """One optimiser step on the rays of the next frames."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate
        self.model.train()
        frames = self._next_frames()
        images, parsing = self.dataset.images(frames)
        pixels = self.sampler.choose(parsing, self.generator)
        colour = as_colour(images.gather(1, pixels[..., None].expand(-1, -1, 3)))
        classes = parsing.gather(1, pixels).long()

        with precision(self.device, self.config.precision):
            condition = self.model.condition(
                self.dataset.time[frames],
                self.dataset.c2w[frames],
                neighbouring_windows(self.dataset.audio, frames),
            )
            output = self.model(
                self.rays(pixels, frames),
                condition,
                self.dataset.background[pixels],
                self.generator,
            )
        photometric = photometric_loss(output, colour)
        semantic = semantic_loss(output, classes)
        if not self.config.semantic_branch:
            semantic = torch.zeros_like(semantic)
        loss = (photometric + self.config.semantic_weight * semantic).mean()  # eq. 12

        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.sampler.record(classes, photometric + semantic)
        self.step_number += 1

        error = ((output.fine.colour.detach() - colour) ** 2).mean()
        return StepResult(
            float(loss.detach()),
            float(photometric.detach().mean()),
            float(semantic.detach().mean()),
            float(-10 * torch.log10(error)),
        )

    def rays(self, pixels: Tensor, frames: Tensor):
        """Rays through pixels (B, R) of frames (B,) of the clip."""
        data = self.dataset
        return rays_through_pixels(pixels, data.c2w[frames], data.focal, data.width, data.height)

    @property
    def learning_rate(self) -> float:
        """Exponential decay to a tenth in `decay_steps`."""
        done = self.step_number / self.config.decay_steps
        return self.config.learning_rate * LEARNING_RATE_DECAY**done

    def _next_frames(self) -> Tensor:
        """Frames (B,) of this step; an epoch visits every training frame once, in random order."""
        batch = self.config.frames_per_step
        if len(self.order) < batch:
            if self.step_number:
                self.sampler.end_epoch()
            frames = self.dataset.training_frames.cpu()
            # What is left of the old order comes first; a short clip may go round more than once.
            while len(self.order) < batch:
                shuffled = frames[torch.randperm(len(frames), generator=self.generator)]
                self.order = torch.cat([self.order, shuffled])
        frames, self.order = self.order[:batch], self.order[batch:]
        return frames.to(self.device)

    def state(self) -> dict[str, Any]:
        """Everything that training continues from, for `torch.load(weights_only=True)`."""
        return {
            "step": self.step_number,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "order": self.order,
            "sampler": self.sampler.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state` was taken."""
        self.step_number = state["step"]
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.order = state["order"]
        self.sampler.restore(state["sampler"])
