"""Photometric and semantic loss (eq. 11) for each ray; the objective (eq. 12) is their mean."""

import torch.nn.functional as F
from torch import Tensor

from ssp_nerf.kernels.compositing import LevelOutput
from ssp_nerf.model import RenderOutput


def photometric_loss(output: RenderOutput, colour: Tensor) -> Tensor:
    """Squared colour error, coarse plus fine: colour (B, R, 3) -> (B, R)."""

    def error(level: LevelOutput) -> Tensor:
        return ((level.colour - colour) ** 2).sum(-1)

    return error(output.coarse) + error(output.fine)


def semantic_loss(output: RenderOutput, parsing: Tensor) -> Tensor:
    """Cross entropy of the rendered logits, coarse plus fine: parsing (B, R) int64 -> (B, R)."""

    def cross_entropy(level: LevelOutput) -> Tensor:
        # The class axis comes second there.
        return F.cross_entropy(level.logits.transpose(1, 2), parsing, reduction="none")

    return cross_entropy(output.coarse) + cross_entropy(output.fine)
