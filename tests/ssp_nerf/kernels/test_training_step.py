"""A training step by the kernels is one by their twins."""

import dataclasses

import torch

from ssp_nerf import kernels
from ssp_nerf.config import ModelConfig, TrainingConfig
from ssp_nerf.dataset import PortraitDataset
from ssp_nerf.trainer import Trainer
from tests.ssp_nerf.kernels.devices import DEVICE

SMALL = ModelConfig(
    width=32, depth=4, x_levels=4, coarse_samples=6, fine_samples=7, audio_code=8, vertex_code=4,
    code_channels=(2, 2, 3, 3), voxel=0.2,
)  # fmt: skip


def test_pixels_losses_and_gradients_are_those_of_the_twins(dataset):
    training = TrainingConfig(rays=22, precision="fp32", kernels="plain", gradient_tolerance=0.0)
    trainer = Trainer(PortraitDataset(dataset, DEVICE), SMALL, training)
    while trainer.sampler.uniform:  # then pixels are chosen by the losses of their classes
        trainer.step()
    trainer._load(trainer.order[:1])
    stream = trainer.ray_generator.get_state()
    found = []
    for choice in ("plain", "triton"):
        trainer.ray_generator.set_state(stream)
        trainer.config = dataclasses.replace(training, kernels=choice)
        with kernels.using(choice):
            batch = trainer._compute_gradients()
        found.append((batch, [gradient.clone() for gradient in trainer._gradients()]))
    (plain, plain_gradients), (ours, our_gradients) = found
    assert torch.equal(ours.pixels, plain.pixels)
    torch.testing.assert_close(ours.sums, plain.sums, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.norm, plain.norm, rtol=1e-3, atol=0)
    for a, b in zip(our_gradients, plain_gradients, strict=True):
        assert (a - b).norm() <= 1e-3 * plain.norm
