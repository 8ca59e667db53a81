"""Fine samples where the coarse pass saw something, in order among the coarse ones."""

import torch
from torch import Tensor

from ssp_nerf import kernels
from ssp_nerf.volume import sample_pdf


def resample(
    v: Tensor, weights: Tensor, far: float | Tensor, samples: int, within: Tensor | None
) -> Tensor:
    """Depths of the fine pass: the coarse ones and `samples` drawn by their weights.

    A weight belongs to the interval that its sample opens. There is no gradient.

    Args:
        v: (B, R, S) coarse depths, ascending.
        weights: (B, R, S) of the coarse samples, >= 0.
        far: depth where the last interval ends; one number, or (B, R, 1).
        samples: F, how many to add.
        within: (B, R, F) in [0, 1), where in its stratum each quantile lies: at random (training),
            or None for evenly spaced ones (rendering).

    Returns:
        (B, R, S + F) ascending depths.
    """
    if not kernels.chosen(v):
        return plain_resample(v, weights, far, samples, within)
    from ssp_nerf.kernels import resampling_triton

    return resampling_triton.resample(
        v.contiguous(),
        weights.detach().contiguous(),
        far.contiguous() if isinstance(far, Tensor) else far,
        samples,
        None if within is None else within.contiguous(),
    )


@torch.no_grad()
def plain_resample(
    v: Tensor, weights: Tensor, far: float | Tensor, samples: int, within: Tensor | None
) -> Tensor:
    """`resample` in plain PyTorch."""
    end = far if isinstance(far, Tensor) else torch.full_like(v[..., :1], far)
    drawn = sample_pdf(torch.cat([v, end], dim=-1), weights, samples, within)
    return torch.cat([v, drawn], dim=-1).sort(dim=-1).values
