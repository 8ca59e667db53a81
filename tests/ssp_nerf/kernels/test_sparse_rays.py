"""Rays by few of their samples: the kernels find what their twin finds."""

import dataclasses

import pytest
import torch

from ssp_nerf.frame_renderer import ExactRenderer
from ssp_nerf.kernels import sparse_rays
from ssp_nerf.occupancy import FrameOccupancy
from tests.ssp_nerf.kernels.devices import DEVICE
from tests.ssp_nerf.kernels.test_fast_frames import HEIGHT, MODEL, WIDTH, portrait

BLOCK, SLICES = 3, 7  # of the made-up space


def space(near: float, far: float) -> FrameOccupancy:
    """A sixth of the cells is empty, and all cells of the first block."""
    pixel = torch.arange(WIDTH * HEIGHT, device=DEVICE)
    columns = WIDTH // BLOCK
    block = pixel // WIDTH // BLOCK * columns + pixel % WIDTH // BLOCK
    occupied = torch.rand(int(block.max()) + 1, SLICES, device=DEVICE) > 1 / 6
    occupied[0] = False
    return FrameOccupancy(occupied, torch.nn.functional.pad(block.int(), (0, 1)), near, far)


def frame(choice: str, density: float = 1.0, **config) -> tuple[ExactRenderer, sparse_rays.Frame]:
    """Of weights as they are drawn; its empty space is no truth, but the same for both ways."""
    model, still, windows = portrait(dataclasses.replace(MODEL, **config))
    for level in (model.coarse, model.fine):
        level.field.density_and_logits.weight.data[0] *= density
    exact = ExactRenderer(model, still, windows, 64, kernels=choice)
    condition = exact.condition(1, 2)
    with torch.inference_mode(), exact.computing():
        coarse, fine = (model.at_frames(level, condition) for level in (model.coarse, model.fine))
    near, far = model.scene.near, model.scene.far
    depths = (model.strata[:-1] + model.strata[1:]) / 2
    spaces = space(near, far), space(near, far)
    asked = sparse_rays.Frame(coarse, fine, *spaces, depths, near, far, model.config.fine_samples)
    return exact, asked


def draw(choice: str, rays: int | None = None, **config) -> tuple[torch.Tensor, torch.Tensor]:
    exact, asked = frame(choice, **config)
    pixels = torch.arange(0, WIDTH * HEIGHT, 2, device=DEVICE)
    count = None if rays is None else torch.tensor([rays], dtype=torch.int32, device=DEVICE)
    with torch.inference_mode(), exact.computing():
        assert asked.fused == (choice == "triton")
        return sparse_rays.sparse_rays(asked, pixels, exact.rays(pixels, 1), count)


ERROR = 2e-5 if DEVICE.type == "cpu" else 3e-2  # fp32 in the interpreter, bf16 on a GPU


@pytest.mark.parametrize(
    ("tolerance", "config"),
    [
        (0.0, {"fine_samples": 8}),
        (0.01, {"fine_samples": 8}),
        (float("inf"), {"fine_samples": 8, "structured_codes": False}),
        (0.01, {"fine_samples": 5, "deformation": "none"}),
        (0.01, {"fine_samples": 7, "coarse_samples": 9, "density": 300.0}),
        (0.01, {"fine_samples": 1, "coarse_samples": 2}),
    ],
    ids=["all", "some", "without codes", "without deformation", "opaque", "few"],
)
def test_rays_by_the_kernels(monkeypatch, tolerance, config):
    monkeypatch.setattr(sparse_rays, "SAMPLE_TOLERANCE", tolerance)
    monkeypatch.setattr(sparse_rays, "LEAST_TRANSMITTANCE", 0.4)
    (twin, twin_counts), (ours, counts) = (draw(choice, **config) for choice in ("plain", "triton"))
    assert twin[:, sparse_rays.TRANSMITTANCE].min() < 0.95
    assert torch.allclose(ours, twin, atol=ERROR, rtol=ERROR)
    if DEVICE.type == "cpu":
        assert counts.tolist() == twin_counts.tolist()


def test_the_first_rays_alone():
    """Rays beyond the count are neither drawn nor counted."""
    twin, _ = draw("plain", fine_samples=3)
    whole, all_counts = draw("triton", fine_samples=3)
    some, counts = draw("triton", 17, fine_samples=3)
    assert torch.equal(some[:17], whole[:17])
    assert torch.allclose(whole, twin, atol=ERROR, rtol=ERROR)
    assert (counts > 0).all() and (counts < all_counts).all()
    _, none = draw("triton", 0, fine_samples=3)
    assert none.tolist() == [0, 0]


def test_what_is_no_number_is_no_number():
    """A broken portrait shows, and is not taken for empty or opaque."""
    exact, asked = frame("triton")
    pixels = torch.arange(0, WIDTH * HEIGHT, 2, device=DEVICE)
    asked.fine.listed = lambda points, view, values, dx: (  # type: ignore[method-assign]
        values.fill_(float("nan")),
        dx.zero_(),
    )
    with torch.inference_mode(), exact.computing():
        drawn, counts = sparse_rays.sparse_rays(asked, pixels, exact.rays(pixels, 1))
    assert counts[1] > 0
    assert drawn[:, sparse_rays.COLOUR].isnan().any(1).sum() > len(pixels) / 2


def test_tolerance_decides_how_many_samples_are_computed(monkeypatch):
    """So the comparison above sees all ways: none, some and all between two samples are made."""
    pixels = torch.arange(0, WIDTH * HEIGHT, 2, device=DEVICE)
    computed = []
    for tolerance in (0.0, 0.01, float("inf")):
        monkeypatch.setattr(sparse_rays, "SAMPLE_TOLERANCE", tolerance)
        exact, asked = frame("plain")
        with torch.inference_mode(), exact.computing():
            _, counts = sparse_rays.sparse_rays(asked, pixels, exact.rays(pixels, 1))
        computed.append(int(counts[1]))
    assert computed[0] > 1.1 * computed[1] > 1.1 * 1.1 * computed[2]


def test_no_occupied_cell():
    exact, asked = frame("triton")
    empty = FrameOccupancy(
        torch.zeros_like(asked.fine_space.occupied), asked.fine_space.block, *asked.fine_space[2:]
    )
    asked = asked._replace(coarse_space=empty, fine_space=empty)
    pixels = torch.arange(5, device=DEVICE)
    with torch.inference_mode(), exact.computing():
        drawn, counts = sparse_rays.sparse_rays(asked, pixels, exact.rays(pixels, 1))
    assert counts.tolist() == [0, 0]
    assert (drawn[:, sparse_rays.TRANSMITTANCE] == 1).all() and not drawn[:, 1:].any()
