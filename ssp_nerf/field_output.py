"""What the semantic field knows at a sample, and how it lies in memory."""

from typing import NamedTuple

import torch
from torch import Tensor

from ssp_nerf.parsing_map import CLASSES

WIDTH = 16  # numbers of a sample: density, 11 logits, colour, and one unused for alignment
DENSITY = 0
LOGITS = slice(1, 1 + len(CLASSES))
COLOUR = slice(1 + len(CLASSES), 4 + len(CLASSES))


class FieldOutput(NamedTuple):
    """Density, parsing logits and colour at the S samples of B x R rays, side by side."""

    values: Tensor  # (B, R, S, 16) fp32

    @classmethod
    def of(cls, density: Tensor, logits: Tensor, colour: Tensor) -> "FieldOutput":
        """From (B, R, S, 1), (B, R, S, 11) and (B, R, S, 3)."""
        unused = torch.zeros_like(density)
        return cls(torch.cat([density, logits, colour, unused], dim=-1))

    @property
    def density(self) -> Tensor:
        """(B, R, S), 1 / decimetre, >= 0."""
        return self.values[..., DENSITY]

    @property
    def logits(self) -> Tensor:
        """(B, R, S, 11)."""
        return self.values[..., LOGITS]

    @property
    def colour(self) -> Tensor:
        """(B, R, S, 3), in [0, 1]."""
        return self.values[..., COLOUR]
