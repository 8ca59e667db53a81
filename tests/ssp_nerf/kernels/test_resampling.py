"""Resampling by the kernel: the twin's depths, sorted without a sort."""

import pytest
import torch

from ssp_nerf import kernels
from ssp_nerf.kernels.resampling import plain_resample, resample
from tests.ssp_nerf.kernels.devices import DEVICE


def inputs(coarse: int, fine: int, seed: int = 0) -> dict:
    """2 x 5 rays; weights as a surface gives them, one ray empty."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(2, 5, *shape, generator=generator)

    weights = uniform(coarse) ** 8
    weights[0, 0] = 0
    given = {
        "v": 8 + 4 * (torch.arange(coarse) + uniform(coarse)) / coarse,
        "weights": weights / weights.sum(-1, keepdim=True).clamp_min(1),
        "within": uniform(fine),
    }
    return {k: x.to(DEVICE) for k, x in given.items()} | {"far": 12.0, "samples": fine}


def by_kernel(**given) -> torch.Tensor:
    with kernels.using("triton"):
        return resample(**given)


@pytest.mark.parametrize(("coarse", "fine"), [(2, 1), (24, 40), (64, 128), (33, 31)])
@pytest.mark.parametrize("random", [True, False])
def test_depths_are_those_of_the_twin_in_float64(coarse, fine, random):
    given = inputs(coarse, fine)
    if not random:
        given["within"] = None
    exact = {k: x.double() if isinstance(x, torch.Tensor) else x for k, x in given.items()}
    found = by_kernel(**given)
    assert found.shape == (2, 5, coarse + fine)
    assert (found.diff(dim=-1) >= 0).all()
    # Where a bin has next to no weight, a rounded quantile moves far.
    torch.testing.assert_close(found.double(), plain_resample(**exact), rtol=0, atol=2e-3)
    assert (found.double() - plain_resample(**exact)).abs().mean() < 1e-5


def test_every_coarse_depth_stays():
    given = inputs(64, 128)
    found = by_kernel(**given)
    assert (found[..., None, :] == given["v"][..., :, None]).any(-1).all()


def test_equal_depths_are_kept_as_often_as_they_occur():
    v = torch.tensor([8.0, 9.0, 9.0, 9.0, 10.0], device=DEVICE).expand(1, 1, 5)
    # All weight in the two bins of no length: every drawn depth is 9.
    weights = torch.tensor([0.0, 1e6, 1e6, 0.0, 0.0], device=DEVICE).expand(1, 1, 5)
    found = by_kernel(v=v, weights=weights, far=12.0, samples=6, within=None)[0, 0]
    assert found.tolist() == [8.0] + 9 * [9.0] + [10.0]


def test_drawn_depths_ascend_across_bins_even_where_rounding_is_coarse():
    """At depth 1e4 neighbouring floats are 0.001 apart: bins of a few roundings."""
    given = inputs(64, 128)
    given["v"] = 1e4 + given["v"].sub(8).mul(0.01).cumsum(-1)
    found = by_kernel(**given | {"far": 2e4})
    assert (found.diff(dim=-1) >= 0).all()
    assert (found[..., None, :] == given["v"][..., :, None]).any(-1).all()


def test_far_may_differ_from_ray_to_ray():
    given = inputs(24, 40)
    given["weights"][..., :-1] = 0  # all in the last bin
    given["weights"][..., -1] = 1e6
    far = torch.linspace(12, 40, 10, device=DEVICE).view(2, 5, 1)
    found = by_kernel(**given | {"far": far, "within": None})
    last = far[..., 0] - (far[..., 0] - given["v"][..., -1]) * 0.5 / 40
    torch.testing.assert_close(found[..., -1], last)
