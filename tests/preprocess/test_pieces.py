"""Pieces join to the whole, and every row has seen what it was promised."""

import numpy as np
import pytest

from preprocess.pieces import in_pieces


@pytest.mark.parametrize("count", [1, 9, 10, 11, 20, 33])
@pytest.mark.parametrize("context", [0, 4, 25])
def test_every_row_comes_once_and_has_seen_its_surroundings(count: int, context: int) -> None:
    def run(first: int, last: int) -> np.ndarray:
        """Rows that say their number, and between which rows they were computed."""
        numbers = np.arange(first, last)
        return np.stack([numbers, np.full_like(numbers, first), np.full_like(numbers, last)], 1)

    number, first, last = in_pieces(run, count, 10, context).T
    np.testing.assert_array_equal(number, np.arange(count))
    assert (first <= np.maximum(0, number - context)).all()
    assert (last >= np.minimum(count, number + 1 + context)).all()
    assert (last - first).max() <= 10 + 2 * context
