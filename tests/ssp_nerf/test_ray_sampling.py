"""Eq. 5: shares of the classes, and pixels drawn from them."""

import pytest
import torch

from ssp_nerf.parsing_map import CLASSES
from ssp_nerf.ray_sampling import DynamicRaySampler, pixels_of_classes, rays_per_class

K = len(CLASSES)


def losses(**named: float) -> torch.Tensor:
    return torch.tensor([named.get(name, 0.0) for name in CLASSES], dtype=torch.float64)


ALL = torch.ones(K, dtype=torch.bool)


def test_rays_are_in_proportion_to_the_mean_loss():
    counts = rays_per_class(torch.arange(1.0, 12.0), ALL, rays=6600, floor=0.0)
    assert counts.tolist() == [100 * i for i in range(1, 12)]


@pytest.mark.parametrize("rays", [11, 64, 1023, 1024])
def test_the_numbers_add_up_exactly(rays):
    generator = torch.Generator().manual_seed(rays)
    for _ in range(50):
        mean_loss = torch.rand(K, generator=generator, dtype=torch.float64) ** 4
        present = torch.rand(K, generator=generator) < 0.6
        present[0] = True
        counts = rays_per_class(mean_loss, present, rays, floor=0.02)
        assert counts.sum() == rays
        assert (counts[~present] == 0).all()
        assert (counts[present] >= max(1, int(rays * 0.02))).all()


def test_the_numbers_are_the_exact_shares_rounded():
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        mean_loss = 0.5 + torch.rand(K, generator=generator, dtype=torch.float64)
        counts = rays_per_class(mean_loss, ALL, rays=1000, floor=0.0)
        assert ((counts - 1000 * mean_loss / mean_loss.sum()).abs() < 1).all()


def test_absent_classes_give_their_share_to_the_others_in_proportion():
    mean_loss = losses(lip=3.0, teeth=5.0, cheek=1.0)
    present = losses(lip=1, cheek=1) > 0
    counts = rays_per_class(mean_loss, present, rays=400, floor=0.0)
    assert counts[CLASSES.index("lip")] == 300
    assert counts[CLASSES.index("cheek")] == 100


def test_the_floor_lifts_small_classes_and_keeps_the_order_of_the_rest():
    mean_loss = losses(background=0.001, hair=2.0, lip=6.0)
    present = mean_loss > 0
    counts = rays_per_class(mean_loss, present, rays=1000, floor=0.1)
    assert counts[CLASSES.index("background")] == 100
    # The remaining 900 are shared 2 : 6.
    assert counts[CLASSES.index("hair")] == 225
    assert counts[CLASSES.index("lip")] == 675


def test_no_loss_anywhere_means_equal_shares():
    assert rays_per_class(torch.zeros(K), ALL, rays=22, floor=0.01).tolist() == [2] * K


def test_pixels_come_from_their_class_and_cover_it_evenly():
    parsing = torch.tensor([0, 7, 7, 0, 3, 7, 0, 3], dtype=torch.uint8)
    counts = torch.zeros(K, dtype=torch.int64)
    counts[7], counts[3] = 3000, 10
    pixels = pixels_of_classes(parsing, counts, torch.Generator().manual_seed(0))
    assert parsing[pixels].long().bincount(minlength=K).tolist() == counts.tolist()
    visits = pixels.bincount(minlength=8)[[1, 2, 5]]
    assert (visits - 1000).abs().max() < 120  # 4 standard deviations


def test_an_epoch_of_losses_steers_the_next():
    sampler = DynamicRaySampler(rays=100, floor=0.0, dynamic=True)
    parsing = torch.tensor([[0] * 60 + [7] * 40], dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    first = sampler.choose(parsing, generator)  # before any loss is known: uniform over the image
    assert 40 <= (parsing[0, first[0]] == 0).sum() <= 80
    classes = torch.tensor([[0, 0, 7]])
    sampler.record(classes, torch.tensor([[1.0, 3.0, 6.0]]))
    sampler.end_epoch()
    chosen = parsing[0, sampler.choose(parsing, generator)[0]]
    assert (chosen == 0).sum() == 25  # mean losses 2 and 6
    assert (chosen == 7).sum() == 75


def test_without_dynamic_sampling_the_losses_change_nothing():
    sampler = DynamicRaySampler(rays=1000, floor=0.0, dynamic=False)
    parsing = torch.tensor([[0] * 99 + [7]], dtype=torch.uint8)
    sampler.record(torch.tensor([[0, 7]]), torch.tensor([[0.0, 9.0]]))
    sampler.end_epoch()
    chosen = parsing[0, sampler.choose(parsing, torch.Generator().manual_seed(0))[0]]
    assert (chosen == 7).sum() < 40


def test_a_class_that_an_epoch_missed_keeps_its_last_mean():
    sampler = DynamicRaySampler(rays=10, floor=0.0, dynamic=True)
    sampler.record(torch.tensor([0, 7]), torch.tensor([1.0, 5.0]))
    sampler.end_epoch()
    sampler.record(torch.tensor([0]), torch.tensor([2.0]))
    sampler.end_epoch()
    assert sampler.mean_loss[0] == 2.0
    assert sampler.mean_loss[7] == 5.0
