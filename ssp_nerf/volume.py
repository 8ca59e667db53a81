"""Volume rendering by numerical quadrature (eq. 1, 3, 4 and 10), as pure functions.

A ray's samples lie at depths v_1 < ... < v_S; sample i stands for the interval that it opens.
The background picture closes every ray: it takes the light that no sample has stopped.
"""

import torch
from torch import Tensor

LEAST_WEIGHT = 1e-5
"""Keeps the integral of the weights invertible where nothing was seen."""


def intervals(depths: Tensor, far: Tensor, step_length: Tensor) -> Tensor:
    """Lengths delta of the samples' intervals, in decimetres.

    Args:
        depths: (..., S) along the view axis, ascending.
        far: (..., 1) where the last interval ends.
        step_length: (..., 1) decimetres travelled along the ray per unit of depth.
    """
    return torch.diff(torch.cat([depths, far.expand_as(depths[..., :1])], dim=-1)) * step_length


def render_weights(density: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the samples and the transmittance behind them.

    w_i = T_i (1 - exp(-sigma_i delta_i)) with T_i = exp(-sum_{j<i} sigma_j delta_j); together with
    the transmittance behind the last sample they sum to one.

    Args:
        density: (..., S) sigma >= 0.
        delta: (..., S) interval lengths.

    Returns:
        weights (..., S) and remaining transmittance (..., 1).
    """
    optical_depth = torch.cumsum(density * delta, dim=-1)
    behind = torch.exp(-optical_depth)
    before = torch.cat([torch.ones_like(behind[..., :1]), behind[..., :-1]], dim=-1)
    return before - behind, behind[..., -1:]


def accumulate(weights: Tensor, values: Tensor) -> Tensor:
    """Expected value along the ray: weights (..., S), values (..., S, C) -> (..., C)."""
    # Not a matrix product, which autocast would round to bf16.
    return (weights[..., None] * values).sum(-2)


def stratified_depths(edges: Tensor, within: Tensor | None) -> Tensor:
    """One depth in each of S bins with edges (..., S + 1), ascending -> (..., S).

    `within` (..., S) in [0, 1) places it in its bin: at random (training), or None for the centres
    (rendering).
    """
    return torch.lerp(edges[..., :-1], edges[..., 1:], 0.5 if within is None else within)


def sample_pdf(edges: Tensor, weights: Tensor, samples: int, within: Tensor | None) -> Tensor:
    """Depths drawn from the piecewise constant density of `weights`, by inversion of its integral.

    Args:
        edges: (..., S + 1) ascending bin edges.
        weights: (..., S) >= 0, not necessarily normalised.
        samples: how many depths.
        within: (..., samples) in [0, 1), where in its stratum each quantile lies: at random
            (training), or None for evenly spaced ones (rendering).

    Returns:
        (..., samples) ascending depths. A ray without any weight is sampled uniformly.
    """
    weights = weights + LEAST_WEIGHT
    integral = torch.cumsum(weights / weights.sum(-1, keepdim=True), dim=-1)
    integral = torch.cat([torch.zeros_like(integral[..., :1]), integral], dim=-1)
    strata = torch.arange(samples, device=weights.device, dtype=weights.dtype)
    quantiles = (strata + (0.5 if within is None else within)) / samples  # ascending, as depths are
    quantiles = quantiles.expand(*weights.shape[:-1], samples).contiguous()
    last = weights.shape[-1] - 1
    bin_ = (torch.searchsorted(integral, quantiles, right=True) - 1).clamp(0, last)
    low, high = integral.gather(-1, bin_), integral.gather(-1, bin_ + 1)
    left, right = edges.gather(-1, bin_), edges.gather(-1, bin_ + 1)
    return left + (right - left) * ((quantiles - low) / (high - low)).clamp(0, 1)
