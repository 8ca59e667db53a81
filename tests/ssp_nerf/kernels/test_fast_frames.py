"""Frames drawn by the kernels are those drawn by their twins, exactly and fast."""

import numpy as np
import torch

from ssp_nerf import kernels
from ssp_nerf.config import ModelConfig
from ssp_nerf.fast_renderer import FastRenderer
from ssp_nerf.frame_renderer import ExactRenderer
from ssp_nerf.metrics.psnr import psnr
from ssp_nerf.model import Scene, SSPNeRF
from ssp_nerf.occupancy import PortraitOccupancy
from tests.ssp_nerf import synthetic_clip as clip
from tests.ssp_nerf.kernels.devices import DEVICE
from tests.ssp_nerf.test_fast_renderer import Still

MODEL = ModelConfig(
    width=32, depth=2, x_levels=2, direction_levels=2, coarse_samples=8, fine_samples=8,
    audio_code=4, vertex_code=2, code_channels=(1, 1, 2, 2), voxel=0.3,
)  # fmt: skip
WIDTH, HEIGHT = 12, 10
NEAR_ENOUGH = 60 if DEVICE.type == "cpu" else 40  # dB; fp32 in the interpreter, bf16 on a GPU


def portrait(config: ModelConfig = MODEL) -> tuple[SSPNeRF, Still, torch.Tensor]:
    """Weights as they are drawn, but that points are moved and density is uneven."""
    torch.manual_seed(0)
    model = SSPNeRF(config, Scene(clip.vertices(), 9.0, 10.0, 3.0, audio_channels=4)).to(DEVICE)
    for level in (model.coarse, model.fine):
        if level.deformation is not None:
            torch.nn.init.normal_(level.deformation.displacement.weight, std=0.02)
        torch.nn.init.normal_(level.field.density_and_logits.weight[:1], std=0.3)
    c2w = torch.from_numpy(clip.poses()[:3]).to(DEVICE)
    background = torch.rand(HEIGHT * WIDTH, 3, device=DEVICE)
    time = torch.linspace(0, 1, 3, device=DEVICE)
    still = Still(c2w, time, background, clip.FOCAL, WIDTH, HEIGHT)
    return model, still, torch.randn(5, 16, 4, device=DEVICE)


def test_frames_by_the_kernels(monkeypatch):
    # A canonical grid takes the interpreter minutes, and is not the question here.
    monkeypatch.setattr(
        PortraitOccupancy, "_dense", lambda self, level, lower, cells: cells[:, 0] > 9
    )
    drawn: dict[str, list[np.ndarray]] = {}
    for choice in ("plain", "triton"):
        model, still, windows = portrait()
        exact = ExactRenderer(model, still, windows, 64, kernels=choice)
        fast = FastRenderer(exact, torch.arange(3))
        exact.rays_per_chunk = 20  # several chunks of a pass
        drawn[choice] = [r.draw(1, 2).picture() for r in (exact, fast)]
        assert 0 < fast.work.fine_samples < 1
    for ours, twins in zip(drawn["triton"], drawn["plain"], strict=True):
        assert np.ptp(ours) > 50
        assert psnr(ours, twins) > NEAR_ENOUGH


def test_frames_that_are_asked_often_answer_as_the_model_does():
    model, still, windows = portrait()
    exact = ExactRenderer(model, still, windows, 64, kernels="plain")
    condition = exact.condition(1, 2)
    x, d = torch.rand(1, 37, 1, 3, device=DEVICE), torch.rand(1, 37, 3, device=DEVICE)
    for choice in ("plain", "triton"):
        with torch.inference_mode(), kernels.using(choice):
            ask = model.at_frames(model.fine, condition)
            point, dx = model.overall(model.fine, x, d, condition)
            assert dx.abs().max() > 0.01
            found, moved = ask(x, d)
            assert torch.equal(found.values, point.values) and torch.equal(moved, dx)
            assert torch.equal(ask.displacement(x), dx)
