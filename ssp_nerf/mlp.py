"""The MLP under both implicit functions (paper, section 4.2: 8 layers, ReLU)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConditionedLinear(nn.Module):
    """W [x, c] + b with the product over c done once for a frame instead of once for a sample.

    Equal to one linear layer over the concatenation; x has a row for every sample, c one for every
    frame, and copying c to the samples is what would cost.
    """

    def __init__(self, inputs: int, condition: int, outputs: int):
        super().__init__()
        self.inputs = nn.Linear(inputs, outputs)
        self.condition = nn.Linear(condition, outputs, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, R, S, inputs), condition (B, C) -> (B, R, S, outputs)."""
        return self.inputs(x) + self.condition(condition)[:, None, None, :]


class ConditionedMLP(nn.Module):
    """`depth` hidden layers with ReLU; the input enters again half way (NeRF's skip connection).

    Args:
        inputs: features of a sample.
        condition: features of a frame, shared by its samples.
        width: units of each hidden layer.
        depth: hidden layers.
    """

    def __init__(self, inputs: int, condition: int, width: int, depth: int):
        super().__init__()
        self.entry = ConditionedLinear(inputs, condition, width)
        self.first_half = nn.ModuleList(nn.Linear(width, width) for _ in range(depth // 2))
        self.reentry = ConditionedLinear(inputs, condition, width)
        self.second_half = nn.ModuleList(
            nn.Linear(width, width) for _ in range(depth - depth // 2 - 1)
        )

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, R, S, inputs), condition (B, C) -> hidden features (B, R, S, width)."""
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))  # once for the two entries
        h = F.relu(self.entry(x, condition), inplace=True)
        for layer in self.first_half[:-1]:
            h = F.relu(layer(h), inplace=True)
        # The layer that sees the input again: W [h, x, c] + b, split as in ConditionedLinear.
        h = F.relu(self.first_half[-1](h) + self.reentry(x, condition), inplace=True)
        for layer in self.second_half:
            h = F.relu(layer(h), inplace=True)
        return h
