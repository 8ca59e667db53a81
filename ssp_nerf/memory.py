"""How much memory training will need, told before it begins."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ssp_nerf.device import peak_memory
from ssp_nerf.trainer import Trainer

FLOAT32 = 4  # bytes
COPIES = 4  # of each weight: itself, its gradient, Adam's two moments
TRIAL_RAYS = {"cpu": 64, "cuda": 512}
"""Rays of the smaller of two trials, about; the other has twice as many. A GPU has to be full."""
PEAK_OVER_SAVED = 1.1
"""Most memory of a step over what its graph keeps for the way back, in PyTorch's own operations:
0.99 to 1.1 on an H100, with 1,024 to 16,384 rays, in fp32 and bf16."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on the device of one rank."""

    fixed: float  # weights, optimiser, code volume
    per_ray: float

    def of(self, rays: int) -> float:
        """Bytes at the most when a step has `rays` rays."""
        return self.fixed + self.per_ray * rays


def estimate_memory(trainer: Trainer) -> MemoryEstimate:
    """Look at what two small steps take, and extrapolate.

    Nothing of the trainer changes, neither weights nor random streams.
    """
    parameters = sum(p.numel() for p in trainer.model.parameters())
    frames = trainer.config.frames_per_step
    few = max(1, TRIAL_RAYS[trainer.device.type] // frames)
    taken = _peak_bytes if trainer.device.type == "cuda" else _saved_bytes
    small, large = (taken(trainer, rays) for rays in (few, 2 * few))
    per_ray = (large - small) / (few * frames)
    fixed = max(0.0, small - per_ray * few * frames) + COPIES * FLOAT32 * parameters
    return MemoryEstimate(fixed, per_ray)


def _peak_bytes(trainer: Trainer, rays_per_frame: int) -> int:
    """Most memory of a step there and back, beyond what was there before; on a GPU."""
    wanted = [p for p in trainer.model.parameters() if p.requires_grad]

    def step() -> None:
        output = trainer.render(*_trial(trainer, rays_per_frame), None)
        shown = [tensor for level in output for tensor in (level.colour, level.logits)]
        upstream = [torch.ones_like(tensor) for tensor in shown]
        torch.autograd.grad(shown, wanted, upstream, allow_unused=True)

    return peak_memory(step, trainer.device)


def _saved_bytes(trainer: Trainer, rays_per_frame: int) -> int:
    """Most memory of a step there and back, by what its graph keeps; on a CPU."""
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # with its history, an output would keep the graph alive for ever

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = trainer.render(*_trial(trainer, rays_per_frame), None)
    weights = {p.untyped_storage().data_ptr() for p in trainer.model.parameters()}
    del output  # kept until here: what is freed may be given out again under the same address
    saved = sum(size for pointer, size in storages.items() if pointer not in weights)
    return round(PEAK_OVER_SAVED * saved)


def _trial(trainer: Trainer, rays_per_frame: int) -> tuple[Tensor, Tensor]:
    """Frames (B,) of a step, and pixels (B, R)."""
    data = trainer.dataset
    known = data.training_frames
    frames = known[torch.arange(trainer.config.frames_per_step, device=known.device) % len(known)]
    last = data.width * data.height - 1
    pixels = torch.linspace(0, last, rays_per_frame, device=data.device).long()
    return frames, pixels.expand(len(frames), -1)
