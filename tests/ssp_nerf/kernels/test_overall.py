"""F_overall by the kernels is that of its twin, and the lots of its way back are fair."""

import dataclasses
import functools

import pytest
import torch

from benchmarks.kernel_cases_overall import cases_overall, scene
from benchmarks.kernels import Case, relative_error, run
from ssp_nerf import kernels
from ssp_nerf.config import ModelConfig
from ssp_nerf.errors import InputError
from ssp_nerf.kernels.overall import Roulette, fused
from ssp_nerf.model import Condition, SSPNeRF
from tests.ssp_nerf.kernels.devices import DEVICE

SMALL = ModelConfig(
    width=32, depth=4, x_levels=4, direction_levels=2, audio_code=8, vertex_code=4,
    code_channels=(2, 3, 4, 4), voxel=0.2,
)  # fmt: skip
EXACT = 2e-5 if DEVICE.type == "cpu" else 3e-2  # fp32 in the interpreter, bf16 on a GPU


def case(config: ModelConfig = SMALL, tolerance: float = 0.0) -> Case:
    (one,) = cases_overall(DEVICE, 6, samples=7, frames=2, config=config, tolerance=tolerance)
    return one


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_values_and_gradients(depth):
    one = case(dataclasses.replace(SMALL, depth=depth))
    ours, truth = run(one, "triton", torch.float32), run(one, "plain", torch.float64)
    assert len(truth) > 20
    for name, exact in truth.items():
        assert ours[name].shape == exact.shape
        assert exact.abs().max() > 0, name
        assert relative_error(ours[name], exact) < EXACT, name


@pytest.mark.parametrize(
    "config",
    [
        dataclasses.replace(SMALL, deformation="none"),
        dataclasses.replace(SMALL, deformation="audio"),
        dataclasses.replace(SMALL, structured_codes=False),
    ],
    ids=["no deformation", "deformation by audio", "no codes"],
)
def test_ablations(config):
    one = case(config)
    ours, truth = run(one, "triton", torch.float32), run(one, "plain", torch.float64)
    for name, exact in truth.items():
        assert relative_error(ours[name], exact) < EXACT, name


@functools.cache
def some_samples() -> tuple[SSPNeRF, torch.Tensor, torch.Tensor, Condition, torch.Tensor]:
    """A model, 8 rays of 16 samples, and gradients of their values, most of which are small."""
    torch.manual_seed(0)
    config = dataclasses.replace(SMALL, depth=2, structured_codes=False)
    model = SSPNeRF(config, scene()).to(DEVICE)
    x = torch.randn(1, 8, 16, 3, device=DEVICE)
    d = torch.nn.functional.normalize(torch.randn(1, 8, 3, device=DEVICE), dim=-1)
    t = torch.full((1,), 0.5, device=DEVICE)
    p_h, a = torch.randn(1, 6, device=DEVICE), torch.randn(1, 8, device=DEVICE)
    return model, x, d, Condition(t, p_h, a, None), torch.randn(1, 8, 16, 16, device=DEVICE) ** 5


def gradient(tolerance: float, seed: int) -> torch.Tensor:
    """Of the field's weights, in one row."""
    model, x, d, condition, upstream = some_samples()
    roulette = Roulette(torch.tensor([seed], device=DEVICE), tolerance)
    bf16 = torch.autocast(DEVICE.type, torch.bfloat16, enabled=DEVICE.type == "cuda")
    with kernels.using("triton"), bf16:
        point, _ = model.overall(model.fine, x, d, condition, roulette)
    gradients = torch.autograd.grad(point.values, list(model.fine.field.parameters()), upstream)
    return torch.cat([g.flatten() for g in gradients])


def test_lots_are_fair():
    """Over many seeds the mean gradient is the exact one; a single one is not."""
    exact = gradient(0.0, 0)
    drawn = torch.stack([gradient(4.0, seed) for seed in range(16)])
    single = (drawn - exact).norm(dim=1).pow(2).mean().sqrt() / exact.norm()
    of_mean = (drawn.mean(0) - exact).norm() / exact.norm()
    assert single > 0.1
    assert of_mean < 2 * single / 16**0.5


def test_who_goes_back():
    """Every sample above the threshold, once, in order and as it is; others for more."""
    from ssp_nerf.kernels import roulette_triton

    generator = torch.Generator().manual_seed(0)
    frames, rows, per_ray = 2, 320, 5
    norms = torch.rand(frames, rows, generator=generator) ** 3
    d_values = torch.zeros(frames, rows, 16)
    d_values[..., 1] = norms  # a logit: nothing stands between it and the network
    x = torch.arange(frames * rows * 3.0).view(frames, rows, 3)
    arguments = [t.to(DEVICE) for t in (d_values, torch.zeros_like(d_values), x, x + 0.5)]
    seed = torch.zeros(1, dtype=torch.int64, device=DEVICE)
    chosen = roulette_triton.select(*arguments, per_ray, tolerance=1.0, seed=seed)
    threshold = norms.mean()
    for frame in range(frames):
        count = int(chosen.counts[frame])
        went = (chosen.x[frame, :count, 0].cpu() / 3).long() - frame * rows
        assert (went.diff() > 0).all()
        assert set((norms[frame] >= threshold).nonzero().flatten().tolist()) <= set(went.tolist())
        expected = torch.maximum(norms[frame, went], threshold)
        assert torch.allclose(chosen.d_raw[frame, :count, 1].cpu(), expected)
        assert torch.equal(chosen.moved[frame, :count].cpu(), x[frame, went] + 0.5)
        assert torch.equal(chosen.ray[frame, :count].cpu().long(), (frame * rows + went) // per_ray)
        assert (chosen.moved[frame, count:] > 1e5).all()
        fair = (norms[frame] / threshold).clamp(max=1).sum()
        assert abs(count - fair) < 4 * fair**0.5


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e20])
def test_a_gradient_that_is_no_number_is_found(bad):
    """It would be lost if no lot beat a threshold that is none. 1e20 is one, its square is not."""
    model, x, d, condition, upstream = some_samples()
    upstream = upstream.clone()
    upstream[0, 3, 5, 1] = bad
    roulette = Roulette(torch.zeros(1, dtype=torch.int64, device=DEVICE), 2.0)
    bf16 = torch.autocast(DEVICE.type, torch.bfloat16, enabled=DEVICE.type == "cuda")
    with kernels.using("triton"), bf16:
        point, _ = model.overall(model.fine, x, d, condition, roulette)
    bias = model.fine.field.density_and_logits.bias
    (gradient,) = torch.autograd.grad(point.values, [bias], upstream)
    expected = upstream[..., 1].sum()
    assert torch.allclose(gradient[1], expected, equal_nan=True)


def test_widths_without_kernels_are_computed_by_the_twin():
    model = SSPNeRF(dataclasses.replace(SMALL, width=48), scene()).to(DEVICE)
    x = torch.zeros(1, device=DEVICE)
    with kernels.using("triton"), pytest.raises(InputError, match="model.width"):
        fused(model.fine, x)
    with kernels.using("auto"):
        assert not fused(model.fine, x)
        if DEVICE.type == "cuda":  # fp32: a product of bf16 factors is not what was asked for
            assert not fused(SSPNeRF(SMALL, scene()).to(DEVICE).fine, x)
