"""What the rays of each class add up to."""

import torch
from torch import Tensor

from ssp_nerf import kernels
from ssp_nerf.parsing_map import CLASSES


def sum_by_class(values: Tensor, classes: Tensor) -> Tensor:
    """Sums over the rays of each class, in float64 and always in the same order.

    Args:
        values: (K, B, R) of B x R rays.
        classes: (B, R) int64.

    Returns:
        (11, K + 1) float64: K sums, and how many rays of the class there are.
    """
    if not kernels.chosen(values):
        return plain_sum_by_class(values, classes)
    from ssp_nerf.kernels import class_sums_triton

    return class_sums_triton.sum_by_class(values.detach().contiguous(), classes.contiguous())


@torch.no_grad()
def plain_sum_by_class(values: Tensor, classes: Tensor) -> Tensor:
    """`sum_by_class` in plain PyTorch."""
    number = torch.arange(len(CLASSES), device=classes.device)
    members = (number[:, None] == classes.flatten()).double()
    values = values.flatten(1).double()
    return members @ torch.cat([values, torch.ones_like(values[:1])]).T
