"""Volume rendering against closed forms."""

import math

import pytest
import torch

from ssp_nerf.volume import (
    accumulate,
    intervals,
    render_weights,
    sample_pdf,
    stratified_depths,
)


def uniform(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_slab_of_constant_density_absorbs_exponentially():
    sigma, near, far, samples = 0.7, 2.0, 5.0, 50
    edges = torch.linspace(near, far, samples + 1, dtype=torch.float64)
    delta = intervals(edges[:-1], edges[-1:], torch.ones(1, dtype=torch.float64))
    weights, behind = render_weights(torch.full_like(delta, sigma), delta)
    assert behind.item() == pytest.approx(math.exp(-sigma * (far - near)), rel=1e-12)
    in_front = torch.exp(-sigma * (edges - near))
    assert torch.allclose(weights, in_front[:-1] - in_front[1:], rtol=1e-10)


def test_expected_depth_of_a_slab_converges_to_its_integral():
    sigma, near, far, samples = 1.3, 1.0, 4.0, 20_000
    edges = torch.linspace(near, far, samples + 1, dtype=torch.float64)
    delta = intervals(edges[:-1], edges[-1:], torch.ones(1, dtype=torch.float64))
    weights, behind = render_weights(torch.full_like(delta, sigma), delta)
    depth = accumulate(weights, edges[:-1, None]) + behind * far
    length = far - near
    exact = near + (1 - math.exp(-sigma * length)) / sigma
    assert depth.item() == pytest.approx(exact, abs=2e-4)


def test_weights_and_remaining_light_sum_to_one():
    density = torch.rand(7, 33, dtype=torch.float64) * 10
    weights, behind = render_weights(density, torch.rand(7, 33, dtype=torch.float64))
    assert torch.allclose(weights.sum(-1, keepdim=True) + behind, torch.ones(7, 1).double())
    assert (weights >= 0).all()


def test_an_opaque_sample_hides_what_is_behind_it():
    density = torch.tensor([0.0, 1e9, 3.0])
    weights, behind = render_weights(density, torch.ones(3))
    assert weights.tolist() == [0.0, 1.0, 0.0]
    assert behind.item() == 0.0


def test_intervals_measure_length_along_the_ray_not_depth():
    delta = intervals(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([5.0]), torch.tensor([1.5]))
    assert delta.tolist() == [1.5, 3.0, 1.5]


def test_stratified_depths_keep_to_their_bins():
    depths = stratified_depths(torch.linspace(2, 4, 9), uniform(200, 8))
    bins = ((depths - 2) / 2 * 8).floor()
    assert torch.equal(bins, torch.arange(8.0).expand(200, 8))
    centres = stratified_depths(torch.linspace(2, 4, 5), None)
    assert torch.allclose(centres, torch.tensor([2.25, 2.75, 3.25, 3.75]))


def test_samples_follow_a_known_density():
    edges = torch.tensor([[0.0, 1.0, 3.0, 4.0]]).expand(1, 4)
    weights = torch.tensor([[1.0, 2.0, 5.0]])
    depths = sample_pdf(edges, weights, 80_000, uniform(1, 80_000))[0]
    share = [((depths >= a) & (depths < b)).double().mean() for a, b in ((0, 1), (1, 3), (3, 4))]
    assert share == pytest.approx([1 / 8, 2 / 8, 5 / 8], abs=1e-3)
    # Uniform within a bin: the mean of the wide one is its middle.
    middle = depths[(depths >= 1) & (depths < 3)].mean()
    assert middle == pytest.approx(2.0, abs=5e-3)


def test_quantiles_without_randomness_invert_the_integral_and_ascend():
    edges = torch.tensor([[0.0, 1.0, 2.0]])
    depths = sample_pdf(edges, torch.tensor([[3.0, 1.0]]), 4, None)[0]
    # The quantiles are 1/8, 3/8, 5/8, 7/8; three quarters of the mass lie below depth 1.
    assert torch.allclose(depths, torch.tensor([1 / 6, 1 / 2, 5 / 6, 1.5]), atol=1e-4)
    random = sample_pdf(
        torch.linspace(0, 1, 17).expand(50, 17),
        torch.rand(50, 16),
        64,
        uniform(50, 64),
    )
    assert (random.diff(dim=-1) >= 0).all()


def test_a_ray_that_met_nothing_is_sampled_uniformly():
    edges = torch.linspace(0, 1, 11)[None]
    depths = sample_pdf(edges, torch.zeros(1, 10), 10, None)
    assert torch.allclose(depths[0], torch.arange(10) / 10 + 0.05, atol=1e-5)
