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

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        rows = network_arithmetic(x).reshape(1, -1, x.shape[-1])
        return layer(self.bias[None], rows, self.weight).view(*x.shape[:-1], -1)


class ConditionedMLP(nn.Module):
    """`depth` hidden layers with ReLU; the input enters again half way (NeRF's skip connection).

    What is the same for all samples of a frame enters as a bias of these two layers: equal to the
    product with a concatenation, but done once a frame.

    Args:
        inputs: features of a sample.
        condition: features of a frame, shared by its samples.
        width: units of each hidden layer.
        depth: hidden layers.
    """

    def __init__(self, inputs: int, condition: int, width: int, depth: int):
        super().__init__()
        self.inputs = nn.Parameter(torch.empty(2, width, inputs))
        self.condition = nn.Parameter(torch.empty(2, width, condition))
        self.hidden = nn.Parameter(torch.empty(depth - 1, width, width))
        self.bias = nn.Parameter(torch.zeros(depth, width))
        joint, half_way = inputs + condition, depth // 2
        _initialise(joint, self.inputs[0], self.condition[0])
        _initialise(width, self.hidden)
        _initialise(width + joint, self.hidden[half_way - 1], self.inputs[1], self.condition[1])

    def frame_bias(self, condition: Tensor) -> Tensor:
        """What the condition (B, C) of each frame adds to two layers, the first and the one half
        way: (2, B, width), fp32."""
        with torch.autocast(condition.device.type, enabled=False):
            c = condition.to(self.condition.dtype).expand(2, -1, -1)
            return c.bmm(self.condition.transpose(1, 2))

    def forward(self, x: Tensor, frame_bias: Tensor) -> Tensor:
        """x (B, R, S, inputs) -> hidden features (B, R, S, width); `frame_bias` is the method's."""
        rows = x.flatten(1, 2)
        first, again = self.inputs.unbind()
        bias = self.bias.unbind()  # its gradient is put together once, an index' for each layer
        half_way = len(bias) // 2
        h = layer(bias[0] + frame_bias[0], rows, first, relu=True)
        for number, weight in enumerate(self.hidden.unbind(), start=1):
            if number == half_way:  # sees the input again: W [h, x, c] + b
                h = layer(bias[number] + frame_bias[1], h, weight, rows, again, relu=True)
            else:
                h = layer(bias[number][None], h, weight, relu=True)
        return h.view(*x.shape[:-1], -1)


def _initialise(fan_in: int, *weights: Tensor) -> None:
    """Weights that keep the scale of what `fan_in` features bring them (He et al. 2015).

    PyTorch's own start loses more than half of it in each layer with ReLU.
    """
    for weight in weights:
        nn.init.normal_(weight.data, std=math.sqrt(2 / fan_in))


def network_arithmetic(x: Tensor) -> Tensor:
    """x as autocast would have a matrix product take it."""
    if torch.is_autocast_enabled(x.device.type):
        return x.to(torch.get_autocast_dtype(x.device.type))
    return x
