"""Fast frames beside exact ones, on portraits whose density and colour are known."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssp_nerf import fast_renderer
from ssp_nerf.fast_renderer import FastRenderer
from ssp_nerf.field_output import FieldOutput
from ssp_nerf.frame_renderer import ExactRenderer, FrameImage
from ssp_nerf.kernels import sparse_rays
from ssp_nerf.metrics.psnr import psnr
from ssp_nerf.model import Scene, SSPNeRF
from ssp_nerf.occupancy import LEAST_DENSITY
from ssp_nerf.parsing_map import BACKGROUND, CHEEK, CLASSES
from tests.ssp_nerf import synthetic_clip as clip
from tests.ssp_nerf.small_training import MODEL

POSES = torch.arange(3)
NEAR, FAR = 8.0, 12.0


@dataclass
class Still:
    """Three poses before a background of noise."""

    c2w: Tensor
    time: Tensor
    background: Tensor
    focal: float = clip.FOCAL
    width: int = clip.WIDTH
    height: int = clip.HEIGHT
    training_frames: Tensor = POSES


class Known(nn.Module):
    """A field that is given by density (...), and colour (..., 3), of points (..., 3)."""

    def __init__(self, density: Callable[[Tensor], Tensor], colour: Callable[[Tensor], Tensor]):
        super().__init__()
        self.density, self.colour = density, colour

    def forward(self, x: Tensor, d: Tensor, a: Tensor, f: Tensor | None) -> FieldOutput:
        logits = torch.zeros(*x.shape[:-1], len(CLASSES))
        logits[..., CHEEK] = 5.0
        return FieldOutput.of(self.density(x)[..., None], logits, self.colour(x))


class Wave(nn.Module):
    """A displacement of up to 2 cm a direction."""

    def forward(self, x: Tensor, *condition: Tensor | None) -> Tensor:
        return 0.2 * torch.sin(x[..., [1, 2, 0]])


def ball(x: Tensor) -> Tensor:
    """A ball of 1 dm, opaque within a centimetre, nothing outside."""
    return (400 * (1 - x.norm(dim=-1))).clamp(0, 40)


def fog(x: Tensor) -> Tensor:
    return torch.full_like(x[..., 0], 0.3)


def shades(x: Tensor) -> Tensor:
    return (0.5 + 0.1 * x).clamp(0, 1)


def grey(x: Tensor) -> Tensor:
    return torch.full_like(x, 0.5)


def renderers(
    density: Callable[[Tensor], Tensor], colour: Callable[[Tensor], Tensor], chunk: int = 512
) -> tuple[ExactRenderer, FastRenderer]:
    torch.manual_seed(0)
    scene = Scene(clip.vertices(), near=NEAR, far=FAR, radius=5.0, audio_channels=4)
    config = {**vars(MODEL), "coarse_samples": 24, "fine_samples": 48}
    model = SSPNeRF(type(MODEL)(**config), scene)
    for level in (model.coarse, model.fine):
        level.field, level.deformation = Known(density, colour), Wave()
    still = Still(
        torch.from_numpy(clip.poses()[:3]),
        torch.linspace(0, 1, 3),
        torch.rand(clip.HEIGHT * clip.WIDTH, 3),
    )
    exact = ExactRenderer(model, still, torch.randn(5, 16, 4), chunk)
    return exact, FastRenderer(exact, POSES)


def computes_every_sample(monkeypatch):
    for limit in ("LEAST_TRANSMITTANCE", "SAMPLE_TOLERANCE"):
        monkeypatch.setattr(sparse_rays, limit, -1.0)
    monkeypatch.setattr(fast_renderer, "RAY_TOLERANCE", -1.0)


def assert_same(fast: FrameImage, exact: FrameImage) -> None:
    assert torch.allclose(fast.colour, exact.colour, atol=2e-6)
    assert torch.equal(fast.parsing, exact.parsing)
    assert torch.allclose(fast.displacement, exact.displacement, atol=2e-6)


@pytest.fixture(scope="module")
def solid() -> tuple[ExactRenderer, FastRenderer]:
    return renderers(ball, shades)


def test_fast_frames_are_near_exact_ones_with_a_fraction_of_the_samples(solid):
    exact, fast = solid
    for frame in range(3):
        truth, drawn = exact.draw(frame, frame), fast.draw(frame, frame)
        assert 0.1 < (truth.parsing == CHEEK).float().mean() < 0.5
        assert psnr(drawn.picture(), truth.picture()) > 45
        assert (drawn.parsing == truth.parsing).float().mean() > 0.995
        assert fast.work.rays < 0.5
        assert max(fast.work.coarse_samples, fast.work.fine_samples) < 0.2


def test_what_is_empty_is_left_out_without_any_difference(solid, monkeypatch):
    computes_every_sample(monkeypatch)
    exact, fast = solid
    for frame in range(3):
        assert_same(fast.draw(frame, frame), exact.draw(frame, frame))
        assert fast.work.rays < 0.6
        assert max(fast.work.coarse_samples, fast.work.fine_samples) < 0.4


def test_an_empty_portrait_is_its_background():
    exact, fast = renderers(lambda x: 0 * x[..., 0], grey)
    drawn = fast.draw(1, 1)
    assert torch.equal(drawn.colour.view(-1, 3), exact.clip.background)
    assert (drawn.parsing == BACKGROUND).all() and not drawn.displacement.any()
    assert fast.work == (0, 0, 0)


def test_between_samples_is_what_is_linear_between_them(monkeypatch):
    """Fog of one density whose colour changes linearly needs one sample of four, to the digit."""
    computes_every_sample(monkeypatch)
    monkeypatch.setattr(sparse_rays, "SAMPLE_TOLERANCE", float("inf"))
    exact, fast = renderers(fog, shades)
    for level in (exact.model.coarse, exact.model.fine):
        level.deformation = None
    drawn, truth = fast.draw(2, 2), exact.draw(2, 2)
    assert torch.allclose(drawn.colour, truth.colour, atol=2e-6)
    assert fast.work.rays == 1
    assert fast.work.fine_samples == pytest.approx(1 / 4, abs=0.03)  # the last three are computed


def test_between_rays_is_what_is_the_same_around_them(monkeypatch):
    """Grey fog before a background of noise needs one ray of four, and the picture's sides."""
    computes_every_sample(monkeypatch)
    monkeypatch.setattr(fast_renderer, "RAY_TOLERANCE", 0.01)
    exact, fast = renderers(fog, grey)
    drawn, truth = fast.draw(2, 2), exact.draw(2, 2)
    assert psnr(drawn.picture(), truth.picture()) > 65  # a ray's length changes beside it
    row, column = np.mgrid[: clip.HEIGHT, : clip.WIDTH]
    sides = (row % (clip.HEIGHT - 1) == 0) | (column % (clip.WIDTH - 1) == 0)  # none is beyond
    even = (row % 2 == 0) & (column % 2 == 0)
    assert fast.work.rays == pytest.approx((sides | even).mean())


def test_chunks_do_not_change_the_picture(solid):
    drawn = solid[1].draw(1, 2)
    _, small = renderers(ball, shades, chunk=37)
    assert torch.allclose(small.draw(1, 2).colour, drawn.colour, atol=2e-6)


def test_no_dense_point_is_called_empty(solid):
    exact, fast = solid
    generator = torch.Generator().manual_seed(1)
    for level, grid in (
        (exact.model.coarse, fast.occupancy.coarse),
        (exact.model.fine, fast.occupancy.fine),
    ):
        x = 4 * torch.rand(20_000, 3, generator=generator) - 2
        dense = ball(x) > LEAST_DENSITY
        assert grid.at(x)[dense].all()
        assert grid.at(x).float().mean() < 0.3  # and most of the rest is
        assert grid.at(x + 1000).all()  # nobody looked there
        for frame in range(3):
            pixels = torch.randint(clip.HEIGHT * clip.WIDTH, (2000,), generator=generator)
            v = NEAR + (FAR - NEAR) * torch.rand(2000, 8, generator=generator)
            x = exact.rays(pixels, frame).at(v[None])
            ask = exact.model.at_frames(level, exact.condition(frame, frame))
            x = x + ask.displacement(x)
            occupied = fast.occupancy.frame(level, ask, exact.clip.c2w[frame])
            found = occupied.at(pixels, v)
            assert found[ball(x[0]) > LEAST_DENSITY].all()
            assert found.float().mean() < 0.4
            assert occupied.pixels()[pixels[found.any(1)]].all()


def test_the_grid_hears_what_is_said():
    """What is dense while one speech frame is said is occupied."""
    exact, _ = renderers(ball, shades)

    class Mouth(Known):
        def forward(self, x, d, a, f):
            said = (a == exact.audio_codes[-1]).all()
            self.density = ball if said else lambda x: 0 * x[..., 0]
            return super().forward(x, d, a, f)

    exact.model.fine.field = Mouth(ball, shades)
    fast = FastRenderer(exact, POSES)
    assert fast.occupancy.fine.at(torch.zeros(1, 3)).all()
    assert not np.allclose(fast.draw(0, 4).colour, fast.draw(0, 0).colour)


@pytest.mark.parametrize("samples", [2, 7, 24, 25, 192])
def test_every_sample_is_computed_or_has_its_neighbours(samples):
    for step in (2, 1):
        numbers = np.arange(samples)
        left, middle, right = (numbers[part] for part in sparse_rays.neighbours(step, samples))
        assert (middle - left == step).all() and (right - middle == step).all()
        assert not (left % (2 * step)).any() and not (right % (2 * step)).any()
        without = set(numbers[step :: 2 * step]) - set(middle)
        assert all(number + step >= samples for number in without)


def test_softplus_inverse():
    density = torch.tensor([1e-8, 1e-3, 0.3, 20.0, 300.0])
    assert torch.allclose(
        torch.nn.functional.softplus(sparse_rays.softplus_inverse(density)), density, rtol=1e-5
    )
