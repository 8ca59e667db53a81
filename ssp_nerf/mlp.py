"""The MLP under both implicit functions (paper, section 4.2: 8 layers, ReLU)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConditionedLinear(nn.Module):
    """W [x, c] + b with the product over c done once for all that share it.

    Equal to one linear layer over the concatenation; x has a row for every sample, c one for every
    frame or ray, and copying c to the samples is what would cost.
    """

    def __init__(self, inputs: int, condition: int, outputs: int):
        super().__init__()
        self.inputs = nn.Linear(inputs, outputs)
        self.condition = nn.Linear(condition, outputs, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (..., inputs), condition (..., C) that broadcasts against it -> (..., outputs)."""
        return self.inputs(x) + self.condition(condition)


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
        shape, condition = x.shape[:-1], condition[:, None]
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))  # once for the two entries
        x = x.flatten(1, -2)
        h = F.relu(self.entry(x, condition), inplace=True)
        # One row for each sample from here on: a layer's output is then no view of anything, and
        # what autograd does with the ReLU in place of it costs no copies.
        h = h.flatten(0, 1)
        for layer in self.first_half[:-1]:
            h = F.relu(layer(h), inplace=True)
        # The layer that sees the input again: W [h, x, c] + b, split as in ConditionedLinear.
        h = self.first_half[-1](h).view(*x.shape[:-1], -1) + self.reentry(x, condition)
        h = F.relu(h, inplace=True).flatten(0, 1)
        for layer in self.second_half:
            h = F.relu(layer(h), inplace=True)
        return h.view(*shape, -1)
