"""The lookup kernel against its twin in float64: values, and gradients of volume and points."""

import pytest
import torch
from torch import Tensor

from ssp_nerf import kernels
from ssp_nerf.kernels.lookup import lookup, plain_lookup

pytest.importorskip("triton")

SHAPES = ((9, 12, 7, 2), (5, 6, 4, 3), (3, 3, 2, 16), (2, 2, 2, 5))
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def volume() -> list[Tensor]:
    return [noise(*shape, seed=i).requires_grad_() for i, shape in enumerate(SHAPES)]


def along_rays(rays: int = 5, samples: int = 50) -> Tensor:
    """Points (rays * samples, 3) that enter the grid and leave it; no whole number of blocks."""
    centre = torch.tensor([9.0, 12.0, 7.0], device=DEVICE)
    start = centre + 60 * torch.nn.functional.normalize(noise(rays, 3, seed=8), dim=-1)
    end = 2 * centre - start + 6 * noise(rays, 3, seed=9)
    t = torch.linspace(0, 1, samples, device=DEVICE)[:, None]
    return (start[:, None] * (1 - t) + end[:, None] * t).flatten(0, 1)


def scattered(count: int = 150) -> Tensor:
    """Points whose neighbours in the list lie in other cells: every run has one point."""
    return 10 * noise(count, 3, seed=10) + 8


def with_kernel(grids: list[Tensor], points: Tensor) -> Tensor:
    with kernels.using("triton"):
        return lookup(grids, points)


def in_float64(grids: list[Tensor], points: Tensor) -> Tensor:
    return plain_lookup([grid.double() for grid in grids], points.double())


@pytest.mark.parametrize("make_points", [along_rays, scattered])
def test_equals_its_twin_in_float64(make_points):
    grids, points = volume(), make_points().requires_grad_()
    ours, theirs = with_kernel(grids, points), in_float64(grids, points)
    near = theirs.abs().sum(-1) > 0
    assert 0.1 < near.float().mean() < 0.95
    assert torch.allclose(ours.double(), theirs, atol=1e-5)

    upstream = noise(*ours.shape, seed=11)
    variables = [points, *grids]
    for a, b in zip(
        torch.autograd.grad(ours, variables, upstream),
        torch.autograd.grad(theirs, variables, upstream.double()),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-4 * float(b.abs().max()))


def test_a_point_on_a_site_has_its_code():
    grids = volume()
    grid = grids[1]  # site i at voxel 4 i
    sites = torch.cartesian_prod(*[torch.arange(size, device=DEVICE) for size in grid.shape[:3]])
    found = with_kernel(grids, 4 * sites + 0.5)[:, 2:5]
    assert torch.equal(found, grid.flatten(0, 2))


def test_codes_fade_out_within_a_site_beyond_the_border():
    grids = volume()
    last = torch.tensor(grids[0].shape[:3], device=DEVICE) - 1
    # Along x, from the last site to the one that would follow it, 2 voxels on.
    way = torch.tensor([0.0, 0.25, 0.5, 1.0, 1.5], device=DEVICE)
    site = last + torch.stack([way, 0 * way, 0 * way], dim=-1)
    found = with_kernel(grids, 2 * site + 0.5)[:, :2]
    expected = (1 - way).clamp_min(0)[:, None] * grids[0][-1, -1, -1]
    assert torch.allclose(found, expected, atol=1e-6)


def test_points_without_a_place_have_no_code_and_no_gradient():
    grids = volume()
    far = [[1e30, 0, 0], [0, -1e30, 0], [float("inf"), 1, 1], [float("nan"), 1, 1], [-40, 1, 1]]
    points = torch.tensor(far, device=DEVICE).requires_grad_()
    f = with_kernel(grids, points)
    assert (f == 0).all()
    gradients = torch.autograd.grad(f, [points, *grids], torch.ones_like(f))
    assert all((gradient == 0).all() for gradient in gradients)


def test_points_need_no_gradient():
    grids, points = volume(), along_rays()
    upstream = noise(len(points), sum(s[-1] for s in SHAPES), seed=12)
    with_points = points.clone().requires_grad_()
    some = torch.autograd.grad(with_kernel(grids, points), grids, upstream)
    all_of_them = torch.autograd.grad(with_kernel(grids, with_points), grids, upstream)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(some, all_of_them, strict=True))


def test_autocast_decides_the_type_of_the_codes():
    grids, points = volume(), along_rays()
    exact = with_kernel(grids, points)
    assert exact.dtype == torch.float32
    with torch.autocast(DEVICE, torch.bfloat16):
        rounded = with_kernel(grids, points)
        assert plain_lookup(grids, points).dtype == rounded.dtype == torch.bfloat16
    # Not equal: the interpreter cuts digits off where a GPU rounds.
    assert torch.allclose(rounded.float(), exact, rtol=2**-7)
