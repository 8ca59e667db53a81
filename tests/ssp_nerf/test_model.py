"""What the paper says of its functions, as facts of the code."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ssp_nerf.audio import neighbouring_windows
from ssp_nerf.bundle import BUNDLE_VERSION
from ssp_nerf.config import ModelConfig, TrainingConfig
from ssp_nerf.dataset import PortraitDataset
from ssp_nerf.encoding import PositionalEncoding
from ssp_nerf.losses import photometric_loss, semantic_loss
from ssp_nerf.mlp import ConditionedMLP, layer
from ssp_nerf.model import Condition, Jitter, Level, Scene, SSPNeRF, parameter_count, pose_vector
from ssp_nerf.parsing_map import BACKGROUND, CLASSES
from ssp_nerf.rays import Rays, rays_through_pixels
from ssp_nerf.trainer import Trainer
from tests.ssp_nerf import synthetic_clip

SMALL = ModelConfig(
    width=16,
    depth=4,
    x_levels=4,
    coarse_samples=6,
    fine_samples=6,
    audio_code=8,
    vertex_code=4,
    code_channels=(2, 2, 3, 3),
    voxel=0.2,
)
CHANNELS = 5


def face(count: int = 1800) -> np.ndarray:
    generator = np.random.default_rng(0)
    x, y = generator.uniform(-0.7, 0.7, (2, count))
    return np.stack([x, y, 0.4 - 0.5 * x**2], axis=1).astype(np.float32)


def make(config: ModelConfig = SMALL) -> SSPNeRF:
    """A model whose every weight has been moved off its initial value."""
    torch.manual_seed(0)
    scene = Scene(face(), near=10.0, far=14.0, radius=4.0, audio_channels=CHANNELS)
    model = SSPNeRF(config, scene)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.standardise_by(cameras(20), torch.randn(20, 16, CHANNELS))
    return model


def cameras(count: int) -> torch.Tensor:
    c2w = torch.eye(4)[:3].repeat(count, 1, 1)
    angle = torch.linspace(0, 0.2, count)
    c2w[:, 0, 0], c2w[:, 0, 2] = angle.cos(), angle.sin()
    c2w[:, 2, 0], c2w[:, 2, 2] = -angle.sin(), angle.cos()
    c2w[:, :, 3] = torch.stack([12 * angle.sin(), 0.3 * angle, 12 * angle.cos()], dim=-1)
    return c2w


def condition(model: SSPNeRF, t=(0.0, 0.5), seed: int = 0) -> Condition:
    windows = torch.randn(2, 8, 16, CHANNELS, generator=torch.Generator().manual_seed(seed))
    return model.condition(torch.tensor(t), cameras(20)[[0, 10]], windows)


def some_rays(count: int = 7) -> Rays:
    pixels = torch.arange(2 * count).view(2, count) * 5
    return rays_through_pixels(pixels, cameras(20)[[0, 10]], 30.0, 10, 10)


def jitter(seed: int, rays: int = 7) -> Jitter:
    generator = torch.Generator().manual_seed(seed)
    return Jitter(*(torch.rand(2, rays, 6, generator=generator) for _ in range(2)))


@pytest.fixture(scope="module")
def model() -> SSPNeRF:
    return make()


def points() -> torch.Tensor:
    return torch.rand(2, 7, 6, 3, generator=torch.Generator().manual_seed(4)) - 0.5


def test_displacement_is_zero_at_the_canonical_frame_and_only_there(model):
    for level in (model.coarse, model.fine):
        displacement = displace(model, level, points(), condition(model))
        assert (displacement[0] == 0).all()
        assert (displacement[1] != 0).all()


def displace(model: SSPNeRF, level: Level, x: torch.Tensor, c: Condition) -> torch.Tensor:
    return model.overall(level, x, torch.zeros_like(x[:, :, 0]), c)[1]


def test_canonical_pose_is_that_of_the_first_frame(model):
    assert torch.equal(model.canonical_pose, pose_vector(cameras(20)[0]))


def test_deformation_does_not_change_with_the_audio(model):
    one, other = condition(model, seed=1), condition(model, seed=2)
    assert not torch.equal(one.a, other.a)
    assert torch.equal(
        displace(model, model.fine, points(), one), displace(model, model.fine, points(), other)
    )


def test_deformation_by_audio_is_the_ablation_that_does():
    model = make(dataclasses.replace(SMALL, deformation="audio"))
    one, other = condition(model, seed=1), condition(model, seed=2)
    moved = displace(model, model.fine, points(), one) - displace(
        model, model.fine, points(), other
    )
    assert (moved[1] != 0).any()
    # ... and there the semantic field does not hear it.
    assert model.fine.field.mlp.condition.shape[2] == 0


def test_deforming_all_points_alike_is_moving_the_rays():
    """Eq. 8 and 9: field and structured code are asked at x' = x + dx, along the same intervals."""
    model, background = make(), torch.zeros(2, 7, 3)
    rays, c = some_rays(), condition(model, t=(0.5, 0.9))
    v = torch.linspace(10.0, 13.9, 40).expand(2, 7, 40)
    far = torch.full((2, 7, 1), model.scene.far)

    def displaced_by(bias: tuple[float, float, float]) -> torch.Tensor:
        last = model.fine.deformation.displacement
        with torch.no_grad():
            last.weight.zero_()
            last.bias.copy_(torch.tensor(bias))
        return displace(model, model.fine, rays.at(v), c)[:, :1, 0]  # (2, 1, 3), all points alike

    moved = displaced_by((0.11, -0.07, 0.05))
    deformed, _ = model.render_level(model.fine, rays, v, far, c, background)
    assert (displaced_by((0.0, 0.0, 0.0)) == 0).all()
    neither, _ = model.render_level(model.fine, rays, v, far, c, background)
    shifted_rays = Rays(rays.origins + moved, rays.directions)
    shifted, _ = model.render_level(model.fine, shifted_rays, v, far, c, background)
    for name in ("colour", "logits", "accumulation"):
        assert torch.allclose(getattr(deformed, name), getattr(shifted, name), atol=1e-4), name
        assert not torch.allclose(getattr(deformed, name), getattr(neither, name), atol=1e-3), name
    assert torch.allclose(deformed.displacement, deformed.accumulation[..., None] * moved)


def test_logits_and_density_do_not_change_with_the_view_direction(model):
    c = condition(model)
    f = model.structured_codes.query(c.volume, points())
    directions = torch.randn(2, 2, 7, 3, generator=torch.Generator().manual_seed(0))
    directions = directions / directions.norm(dim=-1, keepdim=True)
    one, other = (model.fine.field(points(), d, c.a, f) for d in directions)
    assert torch.equal(one.logits, other.logits)
    assert torch.equal(one.density, other.density)
    assert not torch.equal(one.colour, other.colour)


def test_logits_change_with_the_audio_and_the_structured_code(model):
    c = condition(model)
    f = model.structured_codes.query(c.volume, points())
    d = some_rays().view
    base = model.fine.field(points(), d, c.a, f).logits
    assert not torch.equal(base, model.fine.field(points(), d, c.a + 1, f).logits)
    assert not torch.equal(base, model.fine.field(points(), d, c.a, f + 1).logits)


def test_colour_depth_and_logits_are_accumulated_by_the_same_weights(model):
    rays, c = some_rays(), condition(model)
    background = torch.rand(2, 7, 3)
    far = torch.full((2, 7, 1), model.scene.far)
    v = torch.linspace(10, 13.9, 9).expand(2, 7, 9)
    output, weights = model.render_level(model.fine, rays, v, far, c, background)

    x = rays.at(v)
    dx = displace(model, model.fine, x, c)
    f = model.structured_codes.query(c.volume, x + dx)
    point = model.fine.field(x + dx, rays.view, c.a, f)
    behind = 1 - weights.sum(-1, keepdim=True)
    sure = torch.zeros(len(CLASSES))
    sure[BACKGROUND] = 10.0

    def expected(values, last):
        return (weights[..., None] * values).sum(-2) + behind * last

    assert torch.allclose(output.colour, expected(point.colour, background), atol=1e-5)
    assert torch.allclose(output.logits, expected(point.logits, sure), atol=1e-4)
    assert torch.allclose(output.depth, expected(v[..., None], far)[..., 0], atol=1e-4)
    assert torch.allclose(output.accumulation, weights.sum(-1), atol=1e-5)


def test_an_empty_field_shows_the_background_and_names_it(model):
    empty = make()
    with torch.no_grad():
        for level in (empty.coarse, empty.fine):
            level.field.density_and_logits.bias[0] = -200.0
            level.field.density_and_logits.weight[0] = 0.0
    background = torch.rand(2, 7, 3)
    output = empty(some_rays(), condition(empty), background)
    for level in output:
        assert torch.allclose(level.colour, background, atol=1e-6)
        assert (level.logits.softmax(-1)[..., BACKGROUND] > 0.999).all()
        assert torch.allclose(level.depth, torch.tensor(empty.scene.far))


def test_rendering_is_repeatable_and_training_samples_at_random(model):
    arguments = (some_rays(), condition(model), torch.rand(2, 7, 3))
    assert torch.equal(model(*arguments).fine.colour, model(*arguments).fine.colour)
    one, same, other = (model(*arguments, jitter(s)).fine.colour for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_frames_of_a_batch_do_not_see_each_other(model):
    rays, c, background = some_rays(), condition(model), torch.rand(2, 7, 3)
    together = model(rays, c, background).fine
    alone = model(
        Rays(rays.origins[1:], rays.directions[1:]),
        Condition(c.t[1:], c.p_h[1:], c.a[1:], c.volume),
        background[1:],
    ).fine
    assert torch.allclose(together.colour[1:], alone.colour, atol=1e-6)
    assert torch.allclose(together.logits[1:], alone.logits, atol=1e-4)


def test_every_parameter_receives_a_gradient(model):
    rays, c = some_rays(40), condition(model, t=(0.3, 0.6))
    output = model(rays, c, torch.rand(2, 40, 3), jitter(0, 40))
    classes = torch.randint(0, len(CLASSES), (2, 40))
    loss = photometric_loss(output, torch.rand(2, 40, 3)) + semantic_loss(output, classes)
    model.zero_grad()
    loss.mean().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_losses_of_known_errors():
    """Eq. 11: squared distance in colour and cross entropy, coarse plus fine."""
    model = make()
    output = model(some_rays(), condition(model), torch.rand(2, 7, 3))
    shifted = output.fine._replace(colour=torch.full((2, 7, 3), 0.5), logits=torch.zeros(2, 7, 11))
    output = output._replace(coarse=shifted, fine=shifted)
    photometric = photometric_loss(output, torch.full((2, 7, 3), 0.6))
    assert torch.allclose(photometric, torch.tensor(2 * 3 * 0.01), atol=1e-6)
    classes = torch.randint(0, 11, (2, 7), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(semantic_loss(output, classes), torch.tensor(2 * math.log(11)))


def test_semantic_loss_is_that_of_the_softmax_of_the_expected_logits():
    """Eq. 11 after eq. 10, each level on its own; the truth is one class, p_k = 0 or 1."""
    model = make()
    output = model(some_rays(), condition(model), torch.rand(2, 7, 3))
    classes = torch.randint(0, 11, (2, 7), generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(2, 7)
    for level in output:
        p_hat = level.logits.exp() / level.logits.exp().sum(-1, keepdim=True)
        expected -= p_hat.log().gather(-1, classes[..., None]).squeeze(-1)
    assert torch.allclose(semantic_loss(output, classes), expected, atol=1e-4)


def trainer(tmp_path: Path, **settings) -> Trainer:
    """At its first step, on the synthetic clip of nine training frames."""
    dataset = PortraitDataset(
        synthetic_clip.write_dataset(tmp_path / "dataset.h5"), torch.device("cpu")
    )
    return Trainer(dataset, SMALL, TrainingConfig(rays=64, **settings))


@pytest.mark.parametrize("semantic_branch", [True, False])
def test_a_step_minimises_eq_12_and_records_the_sum_of_both_losses(tmp_path, semantic_branch):
    """Eq. 5's L_i is "the sum of semantic loss and RGB loss": lambda weighs the objective only."""
    one = trainer(tmp_path, semantic_branch=semantic_branch)
    result = one.step()
    assert (result.semantic > 0) == semantic_branch
    assert result.loss == pytest.approx(result.photometric + 0.04 * result.semantic, rel=1e-5)
    sampler = one.sampler.state()
    mean = sampler["loss_sum"].sum() / sampler["rays_seen"].sum()
    assert mean.item() == pytest.approx(result.photometric + result.semantic, rel=1e-5)


def test_an_epoch_is_one_pass_over_the_training_frames(tmp_path, monkeypatch):
    """Eq. 5 takes the losses of the previous one; in the first there is none."""
    one, frames, steered = trainer(tmp_path), [], []
    images, choose = one.dataset.images, one.sampler.choose
    monkeypatch.setattr(
        one.dataset, "images", lambda chosen: (frames.extend(chosen.tolist()), images(chosen))[1]
    )
    monkeypatch.setattr(
        one.sampler,
        "choose",
        lambda *given: (steered.append(not one.sampler.uniform), choose(*given))[1],
    )
    for _ in range(27):
        one.step()
    for epoch in (frames[:9], frames[9:18], frames[18:]):
        assert sorted(epoch) == list(range(9))
    assert frames[:9] != frames[9:18]
    assert steered == 9 * [False] + 18 * [True]


def test_learning_rate_falls_to_a_tenth(tmp_path):
    one = trainer(tmp_path, decay_steps=1000)
    for step, rate in ((0, 5e-4), (500, 5e-4 / math.sqrt(10)), (1000, 5e-5)):
        one.step_number = step
        assert one.learning_rate == pytest.approx(rate)


def test_ablations_remove_what_they_name():
    names = [n for n, _ in make().named_parameters()]
    assert any("deformation" in n for n in names) and any("structured_codes" in n for n in names)
    without = make(dataclasses.replace(SMALL, deformation="none", structured_codes=False))
    left = [n for n, _ in without.named_parameters()]
    assert not any("deformation" in n or "structured_codes" in n for n in left)
    output = without(some_rays(), condition(without), torch.rand(2, 7, 3))
    assert (output.fine.displacement == 0).all()


def test_positional_encoding_is_the_papers_formula():
    q = torch.tensor([0.3, -0.7])
    code = PositionalEncoding(3)(q)
    expected = [f(2**i * math.pi * v) for f in (math.sin, math.cos) for i in range(3) for v in q]
    assert code.tolist() == pytest.approx(expected, abs=1e-5)


def test_condition_and_skip_are_those_of_the_concatenation():
    """The papers' layers: W [x, c] + b first, W [h, x, c] + b half way, ReLU behind each."""
    mlp = ConditionedMLP(4, 3, 5, 4)
    x, c = torch.randn(2, 7, 6, 4), torch.randn(2, 3)
    torch.nn.init.normal_(mlp.bias.data)
    joined = torch.cat([x, c[:, None, None].expand(2, 7, 6, 3)], dim=-1)
    h = torch.relu(joined @ torch.cat([mlp.inputs[0], mlp.condition[0]], dim=1).T + mlp.bias[0])
    h = torch.relu(h @ mlp.hidden[0].T + mlp.bias[1])
    half_way = torch.cat([mlp.hidden[1], mlp.inputs[1], mlp.condition[1]], dim=1)
    h = torch.relu(torch.cat([h, joined], dim=-1) @ half_way.T + mlp.bias[2])
    h = torch.relu(h @ mlp.hidden[2].T + mlp.bias[3])
    assert torch.allclose(mlp(x, mlp.frame_bias(c)), h, atol=1e-4)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("groups", [1, 3])
def test_a_layer_and_its_gradients_are_those_of_plain_operations(groups, relu):
    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    bias, x, weight, y, other = (
        random(groups, 5), random(3, 7, 4), random(5, 4), random(3, 7, 2), random(5, 2)
    )  # fmt: skip
    given = (bias, x, weight, y, other)
    ours = layer(bias, x, weight, y, other, relu=relu)
    plain = x @ weight.T + y @ other.T + bias[:, None]
    plain = plain.relu() if relu else plain
    assert torch.allclose(ours, plain, atol=1e-12)
    upstream = torch.randn_like(ours)
    for one, two in zip(
        torch.autograd.grad(ours, given, upstream),
        torch.autograd.grad(plain, given, upstream),
        strict=True,
    ):
        assert torch.allclose(one, two, atol=1e-12)


def test_pose_vector_is_axis_times_sine_and_origin():
    vector = pose_vector(cameras(20)[19])
    assert torch.allclose(vector[:3], torch.tensor([0, math.sin(0.2), 0]), atol=1e-6)
    assert torch.allclose(vector[3:], cameras(20)[19, :, 3])


def test_audio_attention_is_a_mean_over_neighbours(model):
    encoder = model.audio_encoder
    window = torch.randn(1, 1, 16, CHANNELS)
    smoothed = encoder(window.expand(1, 8, 16, CHANNELS))
    assert torch.allclose(smoothed, encoder.encode(window[0]), atol=1e-5)


def test_neighbouring_windows_end_where_the_speech_ends():
    windows = torch.arange(10.0)[:, None, None].expand(10, 16, 1)
    around = neighbouring_windows(windows, torch.tensor([0, 5, 9]))[:, :, 0, 0]
    assert around.tolist() == [
        [0, 0, 0, 0, 0, 1, 2, 3],
        [1, 2, 3, 4, 5, 6, 7, 8],
        [5, 6, 7, 8, 9, 9, 9, 9],
    ]


def test_functions_have_the_papers_inputs_and_layers():
    """Eq. 6 and 7, section 4.2: what each function sees, in eight hidden layers of 128."""
    scene = Scene(face(), near=10.0, far=14.0, radius=4.0, audio_channels=29)
    model = SSPNeRF(ModelConfig(), scene)
    x, d, t, pose, a, f = 2 * 10 * 3, 2 * 4 * 3, 2 * 4, 6, 64, 88
    for level in (model.coarse, model.fine):
        deform, semantic = level.deformation.mlp, level.field.mlp
        assert deform.inputs.shape == (2, 128, x)  # first and half way
        assert deform.condition.shape == (2, 128, t + pose + pose)  # no audio
        assert semantic.inputs.shape == (2, 128, x + f)
        assert semantic.condition.shape == (2, 128, a)
        assert level.field.appearance.in_features == 128  # and d, split off: once for a ray
        assert level.field.view.in_features == d
        for mlp in (deform, semantic):
            assert mlp.bias.shape == (8, 128)
            assert mlp.hidden.shape == (7, 128, 128)


def test_both_functions_have_a_coarse_and_a_fine_model(model):
    """ "Together with their associated fine models": no weight is in both."""
    coarse, fine = (set(map(id, level.parameters())) for level in (model.coarse, model.fine))
    assert len(coarse) == len(fine) > 0
    assert not coarse & fine


def test_another_forward_needs_another_bundle_version():
    """Weights of today, drawn by the code of tomorrow, must be refused or look the same: where
    this fails on purpose, raise `BUNDLE_VERSION` and put in the new figures."""
    scene = Scene(face(), near=10.0, far=14.0, radius=4.0, audio_channels=CHANNELS)
    model = SSPNeRF(SMALL, scene)
    with torch.no_grad():
        for parameter in model.parameters():
            number = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_((0.3 * torch.cos(1 + 12.9898 * number)).view(parameter.shape))
    model.standardise_by(cameras(20), torch.linspace(-1, 1, 20 * 16 * CHANNELS).view(20, 16, -1))
    windows = torch.linspace(-1, 1, 2 * 8 * 16 * CHANNELS).view(2, 8, 16, CHANNELS)
    c = model.condition(torch.tensor([0.2, 0.5]), cameras(20)[[4, 10]], windows)
    drawn = model(some_rays(), c, torch.full((2, 7, 3), 0.5)).fine
    means = [drawn.colour.mean().item(), drawn.depth.mean().item()]
    deviations = [drawn.logits.std().item(), drawn.displacement.std().item()]
    assert BUNDLE_VERSION == 4
    assert means + deviations == pytest.approx([0.448139, 12.31574, 1.253025, 0.352722], rel=1e-3)


def test_parameter_count_of_the_papers_sizes():
    """The paper says 1.10 M (table 2) and not of what; docs/method.md says where ours differ."""
    scene = Scene(face(), near=10.0, far=14.0, radius=4.0, audio_channels=32)
    model = SSPNeRF(ModelConfig(), scene)
    assert parameter_count(model.coarse) == parameter_count(model.fine) == 318_098
    assert 0.9e6 < parameter_count(model) < 1.2e6
    assert sum(ModelConfig().code_channels) == 88
