"""Compositing by the kernels, against its twin in float64 and in the limits."""

import pytest
import torch

from ssp_nerf import kernels
from ssp_nerf.field_output import COLOUR, DENSITY, LOGITS
from ssp_nerf.kernels.compositing import LevelOutput, composite, plain_composite
from tests.ssp_nerf.kernels.devices import DEVICE

SMOOTH = ("colour", "logits", "depth", "accumulation")  # what has a gradient


def inputs(samples: int, density: float = 1.0, seed: int = 0) -> dict:
    """2 x 3 rays with random samples from depth 8 to 12."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(2, 3, *shape, generator=generator)

    values = uniform(samples, 16) * torch.tensor([density] + 15 * [1.0])
    given = {
        "values": values,
        "dx": uniform(samples, 3) - 0.5,
        "v": 8 + 4 * uniform(samples).sort(-1).values,
        "far": 12.25,
        "step_length": 1 + uniform(1),
        "background": uniform(3),
        "background_logits": torch.linspace(-2, 3, 11),
    }
    return {k: x.to(DEVICE) if isinstance(x, torch.Tensor) else x for k, x in given.items()}


def in_float64(given: dict) -> dict:
    return {k: x.double() if isinstance(x, torch.Tensor) else x for k, x in given.items()}


def by_kernel(**given) -> tuple[LevelOutput, torch.Tensor]:
    with kernels.using("triton"):
        return composite(**given)


@pytest.mark.parametrize("samples", [1, 2, 24, 64, 192])
@pytest.mark.parametrize("density", [0.01, 1.0, 30.0])
def test_values_and_gradients_are_those_of_the_twin_in_float64(samples, density):
    given = inputs(samples, density)
    exact = in_float64(given)
    given["values"].requires_grad_()
    exact["values"].requires_grad_()
    (found, weights), (truth, true_weights) = by_kernel(**given), plain_composite(**exact)
    torch.testing.assert_close(weights.double(), true_weights, rtol=1e-5, atol=1e-6)
    for name, a, b in zip(LevelOutput._fields, found, truth, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=2e-6, msg=name)
    generator = torch.Generator().manual_seed(1)
    upstream = {
        n: torch.randn(getattr(truth, n).shape, generator=generator).to(DEVICE) for n in SMOOTH
    }
    for names in (SMOOTH, *((n,) for n in SMOOTH)):  # together, and each without the others
        (d_found,), (d_truth,) = (
            torch.autograd.grad(
                [getattr(output, n) for n in names],
                x["values"],
                [upstream[n].to(getattr(output, n).dtype) for n in names],
                retain_graph=True,
            )
            for output, x in ((found, given), (truth, exact))
        )
        # An opaque ray has next to no gradient of its depth; rounding is that of the parts.
        error = (d_found.double() - d_truth).norm() / d_truth.norm().clamp_min(1e-2)
        assert error < 5e-5, (names, float(error))


def test_weights_and_displacement_have_no_gradient():
    given = inputs(8)
    given["values"].requires_grad_()
    for choice in ("plain", "triton"):
        with kernels.using(choice):
            output, weights = composite(**given)
        assert output.colour.requires_grad
        assert not weights.requires_grad and not output.displacement.requires_grad


def test_an_opaque_first_sample_is_all_that_is_seen():
    given = inputs(24)
    given["values"][:, :, 0, DENSITY] = 1e9
    given["values"].requires_grad_()
    output, weights = by_kernel(**given)
    assert (weights[..., 0] == 1).all() and (weights[..., 1:] == 0).all()
    assert torch.equal(output.colour, given["values"][:, :, 0, COLOUR])
    assert torch.equal(output.logits, given["values"][:, :, 0, LOGITS])
    assert torch.equal(output.depth, given["v"][..., 0])
    assert (output.accumulation == 1).all()
    assert torch.equal(output.displacement, given["dx"][:, :, 0])
    (gradient,) = torch.autograd.grad(output.colour.sum(), given["values"])
    assert (gradient[..., COLOUR] == (torch.arange(24, device=DEVICE) == 0)[:, None]).all()
    assert gradient[:, :, 1:].abs().max() == 0


def test_an_empty_ray_shows_the_background():
    given = inputs(24, density=0.0)
    output, weights = by_kernel(**given)
    assert (weights == 0).all() and (output.accumulation == 0).all()
    assert torch.equal(output.colour, given["background"])
    assert torch.equal(output.logits, given["background_logits"].expand(2, 3, 11))
    assert (output.depth == given["far"]).all()
    assert (output.displacement == 0).all()


def test_far_may_differ_from_ray_to_ray():
    given = inputs(24)
    one_by_one, _ = by_kernel(**given | {"far": torch.full((2, 3, 1), 12.25, device=DEVICE)})
    together, _ = by_kernel(**given)
    assert all(torch.equal(a, b) for a, b in zip(one_by_one, together, strict=True))
    far = torch.linspace(12, 13, 6, device=DEVICE).view(2, 3, 1)
    exact = in_float64(given | {"far": far})
    found, truth = by_kernel(**given | {"far": far})[0], plain_composite(**exact)[0]
    torch.testing.assert_close(found.depth.double(), truth.depth, rtol=1e-5, atol=1e-6)


def test_no_displacement_is_one_of_zero():
    given = inputs(24)
    still = by_kernel(**given | {"dx": None})[0]
    moved = by_kernel(**given)[0]
    assert (still.displacement == 0).all() and (moved.displacement != 0).any()
    assert torch.equal(still.colour, moved.colour)
