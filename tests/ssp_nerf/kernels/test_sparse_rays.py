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


def frame(choice: str, fine_samples: int) -> tuple[ExactRenderer, sparse_rays.Frame]:
    """Of weights as they are drawn; its empty space is no truth, but the same for both ways."""
    model, still, windows = portrait(dataclasses.replace(MODEL, fine_samples=fine_samples))
    exact = ExactRenderer(model, still, windows, 64, kernels=choice)
    condition = exact.condition(1, 2)
    with torch.inference_mode(), exact.computing():
        coarse, fine = (model.at_frames(level, condition) for level in (model.coarse, model.fine))
    near, far = model.scene.near, model.scene.far
    depths = (model.strata[:-1] + model.strata[1:]) / 2
    spaces = space(near, far), space(near, far)
    return exact, sparse_rays.Frame(coarse, fine, *spaces, depths, near, far, fine_samples)


@pytest.mark.parametrize(
    ("fine_samples", "tolerance"),
    [(8, 0.0), (8, 0.01), (8, float("inf")), (5, 0.01), (3, 0.01), (2, float("inf"))],
)
def test_rays_by_the_kernels(monkeypatch, fine_samples, tolerance):
    monkeypatch.setattr(sparse_rays, "SAMPLE_TOLERANCE", tolerance)
    monkeypatch.setattr(sparse_rays, "LEAST_TRANSMITTANCE", 0.4)
    pixels = torch.arange(0, WIDTH * HEIGHT, 2, device=DEVICE)
    found = {}
    for choice in ("plain", "triton"):
        exact, asked = frame(choice, fine_samples)
        with torch.inference_mode(), exact.computing():
            assert asked.fine.fused == (choice == "triton")
            found[choice] = sparse_rays.sparse_rays(asked, pixels, exact.rays(pixels, 1))
    (twin, twin_counts), (ours, counts) = found["plain"], found["triton"]
    assert twin[:, sparse_rays.TRANSMITTANCE].min() < 0.9
    assert twin[:, sparse_rays.DISPLACEMENT].abs().max() > 0.001
    error = 2e-5 if DEVICE.type == "cpu" else 3e-2  # fp32 in the interpreter, bf16 on a GPU
    assert torch.allclose(ours, twin, atol=error, rtol=error)
    if DEVICE.type == "cpu":
        assert counts.tolist() == twin_counts.tolist()


def test_tolerance_decides_how_many_samples_are_computed(monkeypatch):
    """So the comparison above sees all ways: none, some and all between two samples are made."""
    pixels = torch.arange(0, WIDTH * HEIGHT, 2, device=DEVICE)
    computed = []
    for tolerance in (0.0, 0.01, float("inf")):
        monkeypatch.setattr(sparse_rays, "SAMPLE_TOLERANCE", tolerance)
        exact, asked = frame("plain", 8)
        with torch.inference_mode(), exact.computing():
            _, counts = sparse_rays.sparse_rays(asked, pixels, exact.rays(pixels, 1))
        computed.append(int(counts[1]))
    assert computed[0] > 1.1 * computed[1] > 1.1 * 1.1 * computed[2]


def test_no_ray_and_no_occupied_cell():
    exact, asked = frame("triton", 8)
    empty = FrameOccupancy(
        torch.zeros_like(asked.fine_space.occupied), asked.fine_space.block, *asked.fine_space[2:]
    )
    asked = asked._replace(coarse_space=empty, fine_space=empty)
    pixels = torch.arange(5, device=DEVICE)
    with torch.inference_mode(), exact.computing():
        drawn, counts = sparse_rays.sparse_rays(asked, pixels, exact.rays(pixels, 1))
    assert counts.tolist() == [0, 0]
    assert (drawn[:, sparse_rays.TRANSMITTANCE] == 1).all() and not drawn[:, 1:].any()
