"""Losses by the kernels, against their twin in float64 and in closed form."""

import math

import pytest
import torch

from ssp_nerf import kernels
from ssp_nerf.kernels.compositing import LevelOutput
from ssp_nerf.kernels.ray_losses import RayLosses, plain_ray_losses, ray_losses
from ssp_nerf.model import RenderOutput
from tests.ssp_nerf.kernels.devices import DEVICE


def random_level(rays: int, generator: torch.Generator) -> LevelOutput:
    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(2, rays, *shape, generator=generator).to(DEVICE)

    return LevelOutput(
        normal(3).requires_grad_(), (5 * normal(11)).requires_grad_(), normal(), normal(), normal(3)
    )


def in_float64(output: RenderOutput) -> RenderOutput:
    levels = (
        LevelOutput(*(x.detach().double().requires_grad_(x.requires_grad) for x in level))
        for level in output
    )
    return RenderOutput(*levels)


def inputs(rays: int) -> tuple[RenderOutput, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rays)
    output = RenderOutput(random_level(rays, generator), random_level(rays, generator))
    colour = torch.rand(2, rays, 3, generator=generator)
    parsing = torch.randint(0, 11, (2, rays), generator=generator)
    return output, colour.to(DEVICE), parsing.to(DEVICE)


def by_kernel(*given) -> RayLosses:
    with kernels.using("triton"):
        return ray_losses(*given)


@pytest.mark.parametrize("rays", [1, 32, 77])  # less than a program, whole ones, and in between
def test_values_and_gradients_are_those_of_the_twin_in_float64(rays):
    output, colour, parsing = inputs(rays)
    exact = in_float64(output)
    found, truth = (
        by_kernel(output, colour, parsing),
        plain_ray_losses(exact, colour.double(), parsing),
    )
    for a, b in zip(found, truth, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-5)
    upstream = torch.randn(2, 2, rays, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    gradients = [
        torch.autograd.grad(
            [losses.photometric, losses.semantic],
            [x for level in rendered for x in (level.colour, level.logits)],
            [u.to(losses.photometric.dtype) for u in upstream],
        )
        for losses, rendered in ((found, output), (truth, exact))
    ]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-5)


def test_one_loss_alone_may_be_asked_for_its_gradient():
    output, colour, parsing = inputs(5)
    by_kernel(output, colour, parsing).photometric.sum().backward()
    for level in output:
        torch.testing.assert_close(level.colour.grad, 2 * (level.colour.detach() - colour))
        assert not level.logits.grad.any()


def test_the_reported_error_has_no_gradient():
    output, colour, parsing = inputs(5)
    for choice in ("plain", "triton"):
        with kernels.using(choice):
            losses = ray_losses(output, colour, parsing)
        assert losses.photometric.requires_grad and not losses.squared_error.requires_grad


def test_large_logits_give_finite_losses_and_equal_ones_the_logarithm_of_their_number():
    output, colour, parsing = inputs(5)
    sure = torch.nn.functional.one_hot(parsing, 11) * 1e4
    even = torch.zeros(2, 5, 11, device=DEVICE)

    def semantic(coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        levels = (output.coarse._replace(logits=coarse), output.fine._replace(logits=fine))
        return by_kernel(RenderOutput(*levels), colour, parsing).semantic

    assert (semantic(sure, sure) == 0).all()
    wrong = torch.full((2, 5), 1e4 + math.log(10), device=DEVICE)  # ten others share the rest
    torch.testing.assert_close(semantic(-sure, sure), wrong)
    torch.testing.assert_close(
        semantic(even, even), torch.full((2, 5), 2 * math.log(11), device=DEVICE)
    )
