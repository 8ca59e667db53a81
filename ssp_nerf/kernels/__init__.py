"""Fused GPU kernels in Triton, each beside its twin in plain PyTorch.

A module here holds one operation: what the model calls, its twin, and the autograd function around
the kernels, which lie in `<module>_triton.py` and are imported when first used. PyTorch's builds
for GPUs bring Triton along; where it is missing, and on a CPU, the twins compute.
"""

import contextlib
import functools
import importlib.util
import os
import shutil
import sysconfig
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import torch
from torch import Tensor

from ssp_nerf.errors import InputError

_choice: ContextVar[str] = ContextVar("kernels", default="auto")


@contextlib.contextmanager
def using(choice: str) -> Iterator[None]:
    """Context in which operations are computed by Triton's kernels or by their twins.

    Args:
        choice: one of `device.KERNELS`: auto (kernels on a GPU with Triton), plain (twins), or
            triton (kernels always; on a CPU only in Triton's interpreter, TRITON_INTERPRET=1, which
            is for tests).

    Raises:
        InputError: triton was asked for and is not installed.
    """
    if choice == "triton" and not installed():
        raise InputError(
            "kernels: triton was asked for, but Triton is not installed here. Set `kernels: auto` "
            "or `plain` in config.yaml, or install a PyTorch build for GPUs, which brings it."
        )
    token = _choice.set(choice)
    try:
        yield
    finally:
        _choice.reset(token)


def chosen(x: Tensor) -> bool:
    """Whether an operation on x is for the kernels now.

    Raises:
        InputError: nothing but the kernels was wanted, and x is on a CPU.
    """
    choice = _choice.get()
    if choice == "plain":
        return False
    if choice == "triton":
        if not x.is_cuda and not interpreted():
            raise InputError(
                "kernels: triton was asked for, but it computes on GPUs alone, and the device is "
                f"{x.device}. Set `kernels: auto` in config.yaml."
            )
        return True
    return x.is_cuda and installed() and builds()


def only() -> bool:
    """Whether nothing but the kernels was wanted."""
    return _choice.get() == "triton"


@functools.cache
def installed() -> bool:
    """Whether Triton can be imported."""
    return importlib.util.find_spec("triton") is not None


@functools.cache
def builds() -> bool:
    """Whether Triton can build its launchers: with a C compiler and Python's headers."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    return compiler is not None and Path(sysconfig.get_paths()["include"], "Python.h").exists()


def interpreted() -> bool:
    """Whether kernels run on the CPU, in Triton's interpreter."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def product_precision(x: Tensor) -> str:
    """How Triton's matrix products of fp32 numbers may round them: as PyTorch's own would now.

    tf32 (10 bits) keeps more than the bf16 (7 bits) that autocast would make of them; without
    autocast or `precision: tf32` they stay as they are (ieee).
    """
    low = torch.is_autocast_enabled(x.device.type) or torch.backends.cuda.matmul.allow_tf32
    return "tf32" if low else "ieee"
