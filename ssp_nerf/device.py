"""Where and how precisely the networks compute."""

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from ssp_nerf.errors import InputError

if TYPE_CHECKING:  # commands name DEVICES in their --help and may run without PyTorch
    import torch

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "tf32", "bf16")
KERNELS = ("auto", "plain", "triton")


def pick_device(name: str) -> "torch.device":
    """`auto` is the GPU where there is one, else the CPU.

    Raises:
        InputError: a GPU was asked for and there is none.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(
            "device: cuda was asked for, but PyTorch sees no GPU here. Set `device: cpu` or `auto` "
            "in config.yaml, or install a PyTorch build for your driver."
        )
    return torch.device(name)


def pick_precision(device: "torch.device", name: str) -> str:
    """`auto` is bf16 where the device's matrix units have it, else fp32; a CPU computes in fp32.

    bf16 has the range of fp32, so no gradient vanishes or overflows and no loss is scaled; fp16,
    which needs that, is not offered.
    """
    import torch

    if device.type != "cuda":
        return "fp32"
    if name == "auto":
        return "bf16" if torch.cuda.get_device_capability(device)[0] >= 8 else "fp32"
    return name


def precision(device: "torch.device", name: str) -> contextlib.AbstractContextManager:
    """Context in which the networks run: `bf16` autocasts, `tf32` lets matrix units round inputs.

    Either way only matrix products lose digits (with the biases, and the sums that are their
    gradients): weights, encodings, densities, compositing and losses stay fp32.
    """
    import torch

    name = pick_precision(device, name)
    if device.type != "cuda":
        return contextlib.nullcontext()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "tf32"
    return torch.autocast("cuda", torch.bfloat16, enabled=name == "bf16")


def peak_memory(function: Callable[[], None], device: "torch.device") -> int:
    """Bytes of a GPU that a function allocates at most, beside what is there before."""
    import torch

    function()  # libraries take their workspaces
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    function()
    return torch.cuda.max_memory_allocated(device) - before
