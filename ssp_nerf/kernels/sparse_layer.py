"""A layer of the structured codes: sparse convolution, batch normalisation, ReLU."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ssp_nerf import kernels
from ssp_nerf.sparse import convolve


def sparse_layer(
    features: Tensor,
    input_sites: Tensor,
    output_sites: Tensor,
    weight: Tensor,
    scale: Tensor,
    shift: Tensor,
    epsilon: float,
) -> Tensor:
    """relu(scale (y - mean) / sqrt(variance + epsilon) + shift), y the convolution of features.

    Mean and variance are of each channel over the M output sites.

    Args:
        features: (N, C) at the input sites.
        input_sites: (M, 27) int32, the input at each position of an output's kernel; N for none.
        output_sites: (N, 27) int32, the output whose kernel has the input there; M for none.
        weight: (D, 3, 3, 3, C).
        scale, shift: (D,).

    Returns:
        (M, D).
    """
    if kernels.chosen(features):
        return _SparseLayer.apply(
            features, input_sites, output_sites, weight, scale, shift, epsilon
        )
    return plain_sparse_layer(features, input_sites, output_sites, weight, scale, shift, epsilon)


def plain_sparse_layer(
    features: Tensor,
    input_sites: Tensor,
    output_sites: Tensor,
    weight: Tensor,
    scale: Tensor,
    shift: Tensor,
    epsilon: float,
) -> Tensor:
    """`sparse_layer` by PyTorch's operations; autograd needs no output_sites."""
    y = convolve(features, input_sites, weight)
    return F.batch_norm(y, None, None, scale, shift, training=True, eps=epsilon).relu()


class _SparseLayer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        input_sites: Tensor,
        output_sites: Tensor,
        weight: Tensor,
        scale: Tensor,
        shift: Tensor,
        epsilon: float,
    ) -> Tensor:
        from ssp_nerf.kernels import sparse_layer_triton

        features, weight = features.contiguous(), weight.contiguous()
        ctx.precision = kernels.product_precision(features)
        y = sparse_layer_triton.convolve(features, input_sites, weight, ctx.precision)
        activations, statistics = sparse_layer_triton.normalise(y, scale, shift, epsilon)
        ctx.save_for_backward(
            features, input_sites, output_sites, weight, scale, y, activations, statistics
        )
        return activations

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        from ssp_nerf.kernels import sparse_layer_triton

        features, input_sites, output_sites, weight, scale, y, activations, statistics = (
            ctx.saved_tensors
        )
        of_y, of_scale, of_shift = sparse_layer_triton.normalise_backward(
            y, activations, statistics, scale, upstream.contiguous()
        )
        of_features, of_weight = sparse_layer_triton.convolve_backward(
            features, input_sites, output_sites, weight, of_y, ctx.precision
        )
        return of_features, None, None, of_weight, of_scale, of_shift, None
