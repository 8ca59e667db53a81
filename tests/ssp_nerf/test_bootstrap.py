"""Block bootstrap: the textbook interval of independent frames, a wider one of dependent ones."""

import numpy as np
import pytest

from ssp_nerf.bootstrap import LEAST_BLOCKS, Bootstrap


def mean_of(values):
    return lambda rows: float(values[rows].mean())


def test_of_independent_frames_it_is_the_normal_interval():
    values = np.random.default_rng(0).normal(10, 2, 400)
    low, high = Bootstrap(2000, block=1).interval(mean_of(values), 400)
    reach = 1.96 * values.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.03)


def test_blocks_know_that_frames_are_alike():
    # Every value is held for ten frames: as many independent ones as a tenth of the frames.
    values = np.repeat(np.random.default_rng(0).normal(0, 1, 60), 10)

    def width(block):
        low, high = Bootstrap(1000, block).interval(mean_of(values), 600)
        return high - low

    expected = 2 * 1.96 * values.std() / np.sqrt(60)
    assert width(1) < 0.4 * expected
    assert width(40) == pytest.approx(expected, rel=0.25)


def test_blocks_are_consecutive_frames_and_wrap_round():
    draws = Bootstrap(50, block=7).draws(30)
    assert draws.shape == (50, 30)
    assert set(np.unique(draws)) <= set(range(30))
    within = np.arange(30) % 7 != 6
    steps = np.diff(draws, axis=1)[:, within[:-1]] % 30
    assert (steps == 1).all()


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(1).normal(size=100)
    found = [Bootstrap(200, 5, seed=seed).interval(mean_of(values), 100) for seed in (3, 3, 4)]
    assert found[0] == found[1] != found[2]


def test_no_interval_where_nothing_can_be_said():
    values = np.arange(100.0)
    assert Bootstrap(0).interval(mean_of(values), 100) is None
    assert Bootstrap(100, 12).interval(mean_of(values), LEAST_BLOCKS * 12 - 1) is None
    assert Bootstrap(100, 5).interval(lambda rows: float("nan"), 100) is None
