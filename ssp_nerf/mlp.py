"""The MLP under both implicit functions (paper, section 4.2: 8 layers, ReLU)."""

import math

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable


class _Layer(torch.autograd.Function):
    """x_1 W_1^T + x_2 W_2^T + ... + b, with or without ReLU, in few passes over the rows.

    Bias and ReLU ride on the product where the GPU's library can do that, and the bias' gradient is
    a product with ones: a sum over a million rows takes a GPU several times longer.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, relu: bool, bias: Tensor, *terms: Tensor) -> Tensor:
        """bias (G, out) for G groups of rows, or (1, out); x (G, N, in) and W (out, in) in turn."""
        xs, weights = terms[::2], terms[1::2]
        if relu and xs[0].is_cuda and len(xs) == len(bias) == 1:
            rows = xs[0].flatten(0, 1)
            y = torch._addmm_activation(bias[0], rows, weights[0].T).view(*xs[0].shape[:2], -1)
        else:
            y = bias[:, None]
            for x, weight in zip(xs, weights, strict=True):
                y = torch.baddbmm(y, x, weight.T.expand(len(x), -1, -1))
            y = y.relu_() if relu else y
        ctx.relu, ctx.groups = relu, len(bias)  # type: ignore[attr-defined]
        ctx.save_for_backward(*terms, *([y] if relu else []))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):  # type: ignore[override]
        saved = ctx.saved_tensors
        if ctx.relu:
            *saved, y = saved
            gradient = torch.ops.aten.threshold_backward(gradient, y, 0)
        rows = gradient.flatten(0, 1)
        groups = gradient.reshape(ctx.groups, -1, gradient.shape[-1])
        ones = gradient.new_ones(1, 1, groups.shape[1]).expand(ctx.groups, -1, -1)
        gradients: list[Tensor | None] = [torch.bmm(ones, groups)[:, 0]]
        for i, (x, weight) in enumerate(zip(saved[::2], saved[1::2], strict=True)):
            needed = ctx.needs_input_grad[2 + 2 * i]
            gradients += [gradient @ weight if needed else None, rows.T @ x.flatten(0, 1)]
        return None, *gradients


def layer(bias: Tensor, *terms: Tensor, relu: bool = False) -> Tensor:
    """One layer over rows: the sum of x W^T over the terms, plus bias.

    Args:
        bias: (G, out) one for each of G groups of rows (frames), or (1, out).
        terms: x (G, N, in) and W (out, in) in turn; the last ones in the arithmetic of x.
        relu: cut off what is negative.

    Returns:
        (G, N, out) in the arithmetic of x.
    """
    kind = terms[0].dtype
    return _Layer.apply(relu, bias.to(kind), *(term.to(kind) for term in terms))


class Linear(nn.Linear):
    """nn.Linear for very many rows."""

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        rows = network_arithmetic(x).reshape(1, -1, x.shape[-1])
        return layer(self.bias[None], rows, self.weight, relu=relu).view(*x.shape[:-1], -1)


class ConditionedLinear(nn.Module):
    """W [x, c] + b with the product over c done once for all that share it.

    Equal to one linear layer over the concatenation; x has a row for every sample, c one for every
    frame, and copying c to the samples is what would cost.
    """

    def __init__(self, inputs: int, condition: int, outputs: int):
        super().__init__()
        self.inputs = nn.Linear(inputs, outputs)
        self.condition = nn.Linear(condition, outputs, bias=False)

    def bias(self, condition: Tensor) -> Tensor:
        """What condition (B, C) and bias add to the rows of each frame: (B, outputs)."""
        return self.condition(condition) + self.inputs.bias

    def forward(self, x: Tensor, condition: Tensor, relu: bool = False) -> Tensor:
        """x (B, N, inputs), condition (B, C) -> (B, N, outputs)."""
        return layer(self.bias(condition), x, self.inputs.weight, relu=relu)


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
        self.first_half = nn.ModuleList(Linear(width, width) for _ in range(depth // 2 - 1))
        self.half_way = Linear(width, width)
        self.reentry = ConditionedLinear(inputs, condition, width)
        self.second_half = nn.ModuleList(
            Linear(width, width) for _ in range(depth - depth // 2 - 1)
        )
        joint = inputs + condition
        _initialise(joint, self.entry.inputs, self.entry.condition)
        _initialise(width + joint, self.half_way, self.reentry.inputs, self.reentry.condition)
        _initialise(width, *self.first_half, *self.second_half)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, R, S, inputs), condition (B, C) -> hidden features (B, R, S, width)."""
        shape, x = x.shape[:-1], network_arithmetic(x).flatten(1, 2)
        h = self.entry(x, condition, relu=True)
        for hidden in self.first_half:
            h = hidden(h, relu=True)
        # The layer that sees the input again: W [h, x, c] + b.
        bias = self.half_way.bias + self.reentry.bias(condition)
        h = layer(bias, h, self.half_way.weight, x, self.reentry.inputs.weight, relu=True)
        for hidden in self.second_half:
            h = hidden(h, relu=True)
        return h.view(*shape, -1)


def _initialise(fan_in: int, *layers: nn.Module) -> None:
    """Layers that keep the scale of what `fan_in` features bring them (He et al. 2015).

    PyTorch's own start loses more than half of it in each layer with ReLU.
    """
    for linear in layers:
        assert isinstance(linear, nn.Linear)
        nn.init.normal_(linear.weight, std=math.sqrt(2 / fan_in))
        if linear.bias is not None:
            nn.init.zeros_(linear.bias)


def network_arithmetic(x: Tensor) -> Tensor:
    """x as autocast would have a matrix product take it."""
    if torch.is_autocast_enabled(x.device.type):
        return x.to(torch.get_autocast_dtype(x.device.type))
    return x
