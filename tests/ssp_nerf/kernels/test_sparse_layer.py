"""The sparse layer's kernels against their twin in float64: values and gradients."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ssp_nerf import kernels
from ssp_nerf.kernels.sparse_layer import plain_sparse_layer, sparse_layer
from ssp_nerf.sparse import (
    Neighbours,
    convolve,
    strided_neighbours,
    strided_sites,
    submanifold_neighbours,
)
from ssp_nerf.structured_codes import StructuredCodes

pytest.importorskip("triton")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SHAPE = (11, 14, 9)
EPSILON = 1e-3


def table(kind: str, fill: float = 0.2) -> Neighbours:
    cells = np.argwhere(np.random.default_rng(0).random(SHAPE) < fill)
    if kind == "submanifold":
        return submanifold_neighbours(cells, SHAPE)
    return strided_neighbours(strided_sites(cells, SHAPE)[0], cells, SHAPE)


def tensors(neighbours: Neighbours, channels: int, width: int) -> list[Tensor]:
    """Features, weight, scale, shift and an upstream gradient."""
    generator = torch.Generator().manual_seed(1)
    count = len(neighbours.output_sites)
    shapes = [(count, channels), (width, 3, 3, 3, channels), (width,), (width,)]
    shapes.append((len(neighbours.input_sites), width))
    return [torch.randn(shape, generator=generator).to(DEVICE) for shape in shapes]


def on_device(neighbours: Neighbours) -> list[Tensor]:
    return [torch.as_tensor(sites, dtype=torch.int32, device=DEVICE) for sites in neighbours]


@pytest.mark.parametrize("kind", ["submanifold", "strided"])
@pytest.mark.parametrize(("channels", "width"), [(3, 5), (16, 8), (32, 32)])
def test_equals_its_twin_in_float64(kind, channels, width):
    neighbours = table(kind)
    sites = on_device(neighbours)
    *variables, upstream = tensors(neighbours, channels, width)
    features, *parameters = [v.requires_grad_() for v in variables]
    with kernels.using("triton"):
        ours = sparse_layer(features, *sites, *parameters, EPSILON)
    exact = [v.detach().double().requires_grad_() for v in variables]
    theirs = plain_sparse_layer(exact[0], *sites, *exact[1:], EPSILON)
    assert 0.2 < (theirs > 0).double().mean() < 0.8
    assert torch.allclose(ours.double(), theirs, atol=1e-4)
    for a, b in zip(
        torch.autograd.grad(ours, variables, upstream),
        torch.autograd.grad(theirs, exact, upstream.double()),
        strict=True,
    ):
        assert torch.allclose(a.double(), b, atol=1e-4 * float(b.abs().max()))


def test_more_sites_than_a_program_sums_at_once(monkeypatch):
    """The parts of the weight's gradient, and the blocks of the statistics, make one sum."""
    from ssp_nerf.kernels import sparse_layer_triton

    neighbours = table("submanifold")
    sites = on_device(neighbours)
    *variables, upstream = tensors(neighbours, 4, 4)
    variables[0] += 30  # a mean far from zero
    for variable in variables:
        variable.requires_grad_()

    def results() -> list[Tensor]:
        with kernels.using("triton"):
            activations = sparse_layer(variables[0], *sites, *variables[1:], EPSILON)
        return [activations.detach(), *torch.autograd.grad(activations, variables, upstream)]

    whole = results()
    monkeypatch.setattr(sparse_layer_triton, "SITES_PER_PART", 128)
    monkeypatch.setattr(sparse_layer_triton, "NORMALISED_SITES", 64)
    assert len(neighbours.input_sites) > 2 * 128
    for a, b in zip(results(), whole, strict=True):
        assert torch.allclose(a, b, atol=1e-4 * float(b.abs().max()))


@pytest.mark.parametrize("kind", ["submanifold", "strided"])
def test_the_transposed_table_turns_outputs_back_into_inputs(kind):
    """<y, convolve(x)> = <transposed convolution of y, x>, the weight's channels swapped."""
    neighbours = table(kind)
    inputs, outputs = on_device(neighbours)
    x, weight, _, _, y = [v.double() for v in tensors(neighbours, 3, 5)]
    there = (y * convolve(x, inputs, weight)).sum()
    back = (x * convolve(y, outputs, weight.permute(4, 1, 2, 3, 0))).sum()
    assert torch.allclose(there, back)


def test_the_code_volume_equals_that_of_the_twins_in_float64():
    """All 17 layers, one after the other: values, and gradients of every parameter."""
    generator = np.random.default_rng(0)
    x, y = generator.uniform(-0.4, 0.4, (2, 60))
    vertices = np.stack([x, y, 0.4 - 0.5 * x**2], axis=1).astype(np.float32)
    torch.manual_seed(0)
    codes = StructuredCodes(vertices, voxel=0.06, code=4, channels=(2, 3, 4, 5)).to(DEVICE)
    with kernels.using("triton"):
        ours = codes()
    upstream = [torch.randn(level.shape).to(DEVICE) for level in ours]
    ours_gradients = torch.autograd.grad(ours, list(codes.parameters()), upstream)
    with kernels.using("plain"):
        theirs = codes.double()()
    gradients = torch.autograd.grad(
        theirs, list(codes.parameters()), [u.double() for u in upstream]
    )
    for a, b in zip([*ours, *ours_gradients], [*theirs, *gradients], strict=True):
        assert a.dtype == torch.float32
        assert torch.allclose(a.double(), b, atol=1e-4 * float(b.abs().max()))
