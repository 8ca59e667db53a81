"""Fleiss' kappa: how far raters agree beyond chance.

J. L. Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 76
(1971); for items that not everybody rated, as K. L. Gwet, Handbook of Inter-Rater Reliability (4th
ed., 2014), has it. It takes the five ratings for mere names: 4 beside 5 disagrees as much as 1
beside 5, so that kappa of opinion scores is low even where people agree on what is better.
"""

import numpy as np


def fleiss_kappa(counts: np.ndarray) -> float | None:
    """Agreement beyond chance, 1 at most.

    kappa = (P - P_e) / (1 - P_e). P is the mean over items of the share of pairs of raters that
    agree, P_e the sum over categories of p_j^2, with p_j the mean over items of the share of
    category j. Items of one rater count in p_j and not in P. Where all items have equally many
    raters this is Fleiss' formula.

    Args:
        counts: (items, categories), how many raters put an item into a category.

    Returns:
        None where it is not defined: no item with two raters, or one category throughout.
    """
    counts = np.asarray(counts, np.float64)
    counts = counts[counts.sum(axis=1) > 0]
    raters = counts.sum(axis=1)
    pairs = raters >= 2
    if not pairs.any():
        return None
    n = raters[pairs]
    agreeing = (counts[pairs] * (counts[pairs] - 1)).sum(axis=1) / (n * (n - 1))
    shares = (counts / raters[:, None]).mean(axis=0)
    by_chance = float((shares**2).sum())
    if np.count_nonzero(shares) < 2:
        return None
    return (float(agreeing.mean()) - by_chance) / (1 - by_chance)
