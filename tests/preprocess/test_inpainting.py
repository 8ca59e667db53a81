"""A membrane over the hole: what Laplace's equation says of its height holds for its colours."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import spsolve

from preprocess.inpainting import fill_unseen


def hole(height: int, width: int, rows: slice, columns: slice) -> np.ndarray:
    """(height, width) bool: seen but for a rectangle."""
    seen = np.ones((height, width), bool)
    seen[rows, columns] = False
    return seen


def filled(picture: np.ndarray, seen: np.ndarray) -> np.ndarray:
    result = fill_unseen(np.where(seen[..., None], picture, np.uint8(0)), seen)
    np.testing.assert_array_equal(result[seen], picture[seen])
    return result


@pytest.mark.parametrize("size", [(40, 40), (37, 51), (1, 9), (450, 450)])
def test_a_plain_wall_is_filled_with_its_own_colour(size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), (10, 120, 240), np.uint8)
    seen = hole(*size, slice(size[0] // 5, None), slice(size[1] // 4, 3 * size[1] // 4))
    np.testing.assert_array_equal(filled(picture, seen), picture)


def test_a_slope_of_light_goes_on() -> None:
    y, x = np.mgrid[:81, :100]
    picture = np.stack([2 * x, 20 + 2 * y, 50 + x + y], axis=-1).astype(np.uint8)
    seen = hole(81, 100, slice(20, 60), slice(20, 75))
    assert np.abs(filled(picture, seen).astype(int) - picture).max() <= 1


def test_no_colour_appears_that_the_edge_of_the_hole_does_not_have() -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (80, 70, 3), np.uint8)
    seen = hole(80, 70, slice(30, None), slice(10, 50))
    edge = np.zeros_like(seen)
    edge[29:, 9:51] = True
    edge &= seen
    picture[edge] = 100 + picture[edge] % 20  # beyond it all colours occur
    unseen = filled(picture, seen)[~seen]
    assert unseen.min() >= 100 and unseen.max() < 120


def test_it_is_the_solution_of_laplaces_equation() -> None:
    """By a direct solver: each unseen pixel is the mean of the neighbours it has."""
    random = np.random.default_rng(1)
    coarse = random.integers(60, 200, (5, 6, 3))
    picture = np.kron(coarse, np.ones((16, 16, 1))).astype(np.uint8)
    seen = hole(80, 96, slice(25, None), slice(30, 70))
    numbers = np.arange(seen.size).reshape(seen.shape)
    pairs = np.concatenate(
        [
            np.stack([numbers[1:], numbers[:-1]], -1).reshape(-1, 2),
            np.stack([numbers[:, 1:], numbers[:, :-1]], -1).reshape(-1, 2),
        ]
    )
    a, b = np.concatenate([pairs, pairs[:, ::-1]]).T
    touch = csr_matrix((np.ones(len(a)), (a, b)), (seen.size, seen.size))
    laplace = (diags(np.asarray(touch.sum(1)).ravel()) - touch).tocsr()
    known, unknown = numbers[seen], numbers[~seen]
    flat = picture.reshape(-1, 3).astype(float)
    exact = spsolve(laplace[unknown][:, unknown].tocsc(), -laplace[unknown][:, known] @ flat[known])
    difference = np.abs(filled(picture, seen)[~seen] - exact)
    assert difference.mean() < 1 and difference.max() < 5
