"""Photometric and semantic loss (eq. 11) for each ray; the objective (eq. 12) is their mean."""

import torch.nn.functional as F
from torch import Tensor

from ssp_nerf.model import RenderOutput


def photometric_loss(output: RenderOutput, colour: Tensor) -> Tensor:
    """Squared colour error, coarse plus fine: colour (B, R, 3) -> (B, R)."""
    return sum(((level.colour - colour) ** 2).sum(-1) for level in (output.coarse, output.fine))  # type: ignore[return-value]


def semantic_loss(output: RenderOutput, parsing: Tensor) -> Tensor:
    """Cross entropy of the rendered logits, coarse plus fine: parsing (B, R) int64 -> (B, R)."""
    return sum(
        F.cross_entropy(level.logits.flatten(0, 1), parsing.flatten(), reduction="none").view_as(
            parsing
        )
        for level in (output.coarse, output.fine)
    )  # type: ignore[return-value]
