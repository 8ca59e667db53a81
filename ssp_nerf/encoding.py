"""Positional encoding (paper, section 4.2)."""

import math

import torch
from torch import Tensor, nn


class PositionalEncoding(nn.Module):
    """gamma(q) = < sin(2^l pi q), cos(2^l pi q) >, l = 0 .. L-1.

    q itself is not part of it, as in the paper's formula. Inputs should lie in [-1, 1], where the
    lowest frequency is free of repetition.
    """

    frequencies: Tensor

    def __init__(self, levels: int):
        super().__init__()
        self.levels = levels
        self.register_buffer("frequencies", math.pi * 2.0 ** torch.arange(levels), persistent=False)

    def width(self, dimensions: int) -> int:
        """Length of the code of a `dimensions`-vector."""
        return 2 * self.levels * dimensions

    def forward(self, q: Tensor) -> Tensor:
        """(..., D) -> (..., 2 L D), all sines first."""
        angles = (q[..., None, :] * self.frequencies[:, None]).flatten(-2)
        return torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)
