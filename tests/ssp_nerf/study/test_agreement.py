"""Fleiss' kappa beside its published example, pairs counted one by one, and its limits."""

from itertools import combinations

import numpy as np
import pytest

from ssp_nerf.study.agreement import fleiss_kappa

# 14 raters put 10 subjects into 5 categories: the worked example of the article "Fleiss' kappa" in
# Wikipedia, which gives P = 0.378, P_e = 0.213 and kappa = 0.210.
EXAMPLE = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)


def by_pairs(counts: np.ndarray) -> float:
    """The same from raters: the share of pairs that agree, counted one by one."""
    agreeing, shares = [], []
    for row in counts:
        raters = np.repeat(np.arange(len(row)), row)
        if len(raters):
            shares.append([np.mean(raters == category) for category in range(len(row))])
        if len(raters) > 1:
            agreeing.append(np.mean([a == b for a, b in combinations(raters, 2)]))
    chance = sum(np.mean(shares, axis=0) ** 2)
    return (np.mean(agreeing) - chance) / (1 - chance)


def test_the_published_example():
    assert fleiss_kappa(EXAMPLE) == pytest.approx(0.210, abs=5e-4)


def test_it_is_what_pairs_counted_one_by_one_say():
    assert fleiss_kappa(EXAMPLE) == pytest.approx(by_pairs(EXAMPLE))


def test_items_with_unequally_many_raters_down_to_one_and_none():
    counts = np.random.default_rng(0).integers(0, 4, (12, 5))
    counts[3] = 0
    counts[4] = [0, 1, 0, 0, 0]
    assert fleiss_kappa(counts) == pytest.approx(by_pairs(counts))


def test_perfect_agreement_is_one_and_chance_is_nothing():
    assert fleiss_kappa(np.eye(5, dtype=int) * 7) == pytest.approx(1)
    rng = np.random.default_rng(1)
    counts = rng.multinomial(20, [0.1, 0.2, 0.4, 0.2, 0.1], size=4000)
    assert fleiss_kappa(counts) == pytest.approx(0, abs=0.01)


def test_two_raters_who_never_agree_on_two_categories():
    assert fleiss_kappa(np.ones((6, 2))) == pytest.approx(-1)


def test_the_order_of_categories_and_items_does_not_matter():
    rng = np.random.default_rng(2)
    shuffled = EXAMPLE[rng.permutation(10)][:, rng.permutation(5)]
    assert fleiss_kappa(shuffled) == pytest.approx(fleiss_kappa(EXAMPLE))


@pytest.mark.parametrize("counts", [np.eye(5), np.zeros((3, 5)), [[0, 4, 0], [0, 4, 0]]])
def test_it_is_not_defined_without_pairs_or_with_one_category(counts):
    assert fleiss_kappa(np.array(counts)) is None
