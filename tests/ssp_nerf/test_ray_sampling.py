"""Eq. 5: shares of the classes, and pixels drawn from them."""

import pytest
import torch

from ssp_nerf.kernels.class_sums import sum_by_class
from ssp_nerf.kernels.pixel_choice import (
    class_areas,
    class_places,
    pixels_of_classes,
    rays_per_class,
)
from ssp_nerf.parsing_map import CLASSES
from ssp_nerf.ray_sampling import DynamicRaySampler

K = len(CLASSES)


def losses(**named: float) -> torch.Tensor:
    return torch.tensor([named.get(name, 0.0) for name in CLASSES], dtype=torch.float64)


def record(sampler: DynamicRaySampler, losses: list[float], classes: list[int]) -> None:
    """Losses of single rays, into the running epoch."""
    given = torch.tensor([[losses]]), torch.tensor([classes])
    sampler.record(*sum_by_class(*given).T)


ALL = torch.ones(K, dtype=torch.bool)
CPU = torch.device("cpu")


def one_frame(mean_loss, present, rays: int, floor: float) -> torch.Tensor:
    return rays_per_class(mean_loss, present[None], rays, floor)[0]


def test_rays_are_in_proportion_to_the_mean_loss():
    counts = one_frame(torch.arange(1.0, 12.0), ALL, rays=6600, floor=0.0)
    assert counts.tolist() == [100 * i for i in range(1, 12)]


@pytest.mark.parametrize("rays", [11, 64, 1023, 1024])
def test_the_numbers_add_up_exactly(rays):
    generator = torch.Generator().manual_seed(rays)
    for _ in range(50):
        mean_loss = torch.rand(K, generator=generator, dtype=torch.float64) ** 4
        present = torch.rand(K, generator=generator) < 0.6
        present[0] = True
        counts = one_frame(mean_loss, present, rays, floor=0.02)
        assert counts.sum() == rays
        assert (counts[~present] == 0).all()
        assert (counts[present] >= max(1, int(rays * 0.02))).all()


def test_the_numbers_are_the_exact_shares_rounded():
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        mean_loss = 0.5 + torch.rand(K, generator=generator, dtype=torch.float64)
        counts = one_frame(mean_loss, ALL, rays=1000, floor=0.0)
        assert ((counts - 1000 * mean_loss / mean_loss.sum()).abs() < 1).all()


def test_absent_classes_give_their_share_to_the_others_in_proportion():
    mean_loss = losses(lip=3.0, teeth=5.0, cheek=1.0)
    present = losses(lip=1, cheek=1) > 0
    counts = one_frame(mean_loss, present, rays=400, floor=0.0)
    assert counts[CLASSES.index("lip")] == 300
    assert counts[CLASSES.index("cheek")] == 100


def test_the_floor_lifts_small_classes_and_keeps_the_order_of_the_rest():
    mean_loss = losses(background=0.001, hair=2.0, lip=6.0)
    present = mean_loss > 0
    counts = one_frame(mean_loss, present, rays=1000, floor=0.1)
    assert counts[CLASSES.index("background")] == 100
    # The remaining 900 are shared 2 : 6.
    assert counts[CLASSES.index("hair")] == 225
    assert counts[CLASSES.index("lip")] == 675


def test_no_loss_anywhere_means_equal_shares():
    assert one_frame(torch.zeros(K), ALL, rays=22, floor=0.01).tolist() == [2] * K


def test_each_frame_of_a_batch_gets_the_numbers_that_it_would_get_alone():
    generator = torch.Generator().manual_seed(0)
    mean_loss = torch.rand(K, generator=generator, dtype=torch.float64) ** 4
    present = torch.rand(20, K, generator=generator) < 0.5
    present[:, 0] = True
    together = rays_per_class(mean_loss, present, 100, 0.03)
    alone = [one_frame(mean_loss, frame, rays=100, floor=0.03) for frame in present]
    assert torch.equal(together, torch.stack(alone))
    parsing = torch.stack([frame.nonzero()[:, 0].repeat(K)[:K] for frame in present])
    within = torch.rand(20, 100, dtype=torch.float64, generator=generator)
    drawn = parsing.gather(1, pixels_of_classes(class_places(parsing.byte()), together, within))
    assert torch.equal(torch.stack([row.bincount(minlength=K) for row in drawn]), together)


def test_areas_are_the_pixels_of_each_class():
    parsing = torch.tensor([[0, 7, 7, 10], [3, 3, 3, 3]], dtype=torch.uint8)
    expected = torch.stack([row.long().bincount(minlength=K) for row in parsing])
    assert torch.equal(class_areas(class_places(parsing)), expected)


def test_pixels_come_from_their_class_and_cover_it_evenly():
    parsing = torch.tensor([0, 7, 7, 0, 3, 7, 0, 3], dtype=torch.uint8)
    counts = torch.zeros(K, dtype=torch.int64)
    counts[7], counts[3] = 3000, 10
    within = torch.rand(1, 3010, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pixels = pixels_of_classes(class_places(parsing[None]), counts[None], within)[0]
    assert parsing[pixels].long().bincount(minlength=K).tolist() == counts.tolist()
    visits = pixels.bincount(minlength=8)[[1, 2, 5]]
    assert (visits - 1000).abs().max() < 120  # 4 standard deviations


def test_an_epoch_of_losses_steers_the_next():
    sampler = DynamicRaySampler(rays=100, floor=0.0, dynamic=True, device=CPU)
    parsing = torch.tensor([[0] * 60 + [7] * 40], dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    first = sampler.choose(parsing, generator)  # before any loss is known: uniform over the image
    assert 40 <= (parsing[0, first[0]] == 0).sum() <= 80
    record(sampler, [1.0, 3.0, 6.0], [0, 0, 7])
    sampler.end_epoch()
    chosen = parsing[0, sampler.choose(parsing, generator)[0]]
    assert (chosen == 0).sum() == 25  # mean losses 2 and 6
    assert (chosen == 7).sum() == 75


def test_without_dynamic_sampling_the_losses_change_nothing():
    sampler = DynamicRaySampler(rays=1000, floor=0.0, dynamic=False, device=CPU)
    parsing = torch.tensor([[0] * 99 + [7]], dtype=torch.uint8)
    record(sampler, [0.0, 9.0], [0, 7])
    sampler.end_epoch()
    chosen = parsing[0, sampler.choose(parsing, torch.Generator().manual_seed(0))[0]]
    assert (chosen == 7).sum() < 40


def test_a_class_that_an_epoch_missed_keeps_its_last_mean():
    sampler = DynamicRaySampler(rays=10, floor=0.0, dynamic=True, device=CPU)
    record(sampler, [1.0, 5.0], [0, 7])
    sampler.end_epoch()
    record(sampler, [2.0], [0])
    sampler.end_epoch()
    assert sampler.mean_loss[0] == 2.0
    assert sampler.mean_loss[7] == 5.0
