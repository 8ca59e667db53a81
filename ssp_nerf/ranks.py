"""Data parallel training: the processes that `torchrun` starts, one for each GPU.

Every rank draws the same frames and rays and renders its share of them; the sums that the optimiser
and the sampler need go round once a step. So N ranks compute what one would, save for the order in
which floating point adds.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from ssp_nerf.errors import InputError


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; the default is one alone."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")  # where its messages lie

    @property
    def first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def share(self, rays: Tensor) -> Tensor:
        """This rank's part of (B, R, ...): every `size`-th ray of each frame."""
        return rays if self.size == 1 else rays[:, self.rank :: self.size]

    def least(self, value: float) -> float:
        """The smallest of the ranks' values."""
        if self.size == 1:
            return value
        smallest = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(smallest, dist.ReduceOp.MIN)
        return smallest.item()

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all ranks, all in one message."""
        if self.size == 1:
            return
        message = torch.cat([tensor.detach().double().flatten() for tensor in tensors])
        dist.all_reduce(message)
        parts = message.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.detach().copy_(part.view_as(tensor))


def join_ranks(device: torch.device) -> tuple[Ranks, torch.device]:
    """Meet the other processes of `torchrun`; without it, one process alone.

    Returns:
        this process, and the device that is its own.

    Raises:
        InputError: more processes than GPUs.
    """
    if "WORLD_SIZE" not in os.environ:
        return Ranks(), device
    if device.type == "cuda":
        processes, count = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if processes > count:
            raise InputError(
                f"torchrun --nproc-per-node: {processes} processes, but this machine has {count} "
                "GPUs; each process needs its own. Lower `gpus` in config.yaml."
            )
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Ranks(dist.get_rank(), dist.get_world_size(), device), device


def leave_ranks() -> None:
    """Part from the other processes, if there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()
