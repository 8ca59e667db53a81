"""Rays meet triangles where geometry says they do."""

import numpy as np
import pytest

from preprocess.demo_subject.rays import RayCaster

CUBE = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
CUBE_SIDES = np.array(
    [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
)
CUBE_TRIANGLES = np.concatenate([CUBE_SIDES[:, [0, 1, 2]], CUBE_SIDES[:, [0, 2, 3]]])


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def directions(random: np.random.Generator, count: int) -> np.ndarray:
    vectors = random.normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def first_hits(
    triangles: np.ndarray, origins: np.ndarray, along: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The slow way: each ray against the plane of each triangle (F, 3, 3)."""
    found, distance = np.full(len(along), -1), np.full(len(along), np.inf)
    for index, (a, b, c) in enumerate(triangles):
        # a + u (b - a) + v (c - a) = origin + t along
        system = np.stack(
            [np.broadcast_to(b - a, along.shape), np.broadcast_to(c - a, along.shape), -along], -1
        )
        u, v, t = np.linalg.solve(system, (origins - a)[..., None])[..., 0].T
        nearer = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0) & (t < distance)
        found[nearer], distance[nearer] = index, t[nearer]
    return found, distance


def test_the_first_of_many_triangles_is_met_where_algebra_says(
    random: np.random.Generator,
) -> None:
    corners = random.normal(size=(60, 3))
    triangles = np.arange(60).reshape(20, 3)
    origins, along = 4 * directions(random, 2000), directions(random, 2000)
    along[:1000] = -origins[:1000] / 4 + 0.1 * along[:1000]
    triangle, weights, distance = RayCaster(corners, triangles).hits(origins, along)
    expected, at = first_hits(corners[triangles], origins, along)
    assert 300 < (expected >= 0).sum() < 1700
    assert (triangle == expected).mean() > 0.998, "all but some that graze an edge"
    hit = (triangle == expected) & (triangle >= 0)
    np.testing.assert_allclose(distance[hit], at[hit], rtol=1e-3)
    place = np.einsum("rk,rkd->rd", weights[hit], corners[triangles[triangle[hit]]])
    np.testing.assert_allclose(place, origins[hit] + distance[hit, None] * along[hit], atol=1e-3)


def test_distance_is_in_lengths_of_the_direction() -> None:
    caster = RayCaster(CUBE, CUBE_TRIANGLES)
    along = np.array([[0.0, 0.0, -1.0], [0.0, 0.0, -0.5], [0.0, 0.0, 1.0]])
    triangle, _, distance = caster.hits(np.array([0.3, 0.1, 5.0]), along)
    np.testing.assert_array_equal(triangle >= 0, [True, True, False])
    np.testing.assert_allclose(distance[:2], [4, 8], rtol=1e-6)


def test_the_farthest_surface_of_nested_cubes_is_the_outer_one(
    random: np.random.Generator,
) -> None:
    sizes = (1.0, 1.5, 2.0)
    nested = np.concatenate([size * CUBE for size in sizes])
    triangles = np.concatenate([CUBE_TRIANGLES + 8 * i for i in range(len(sizes))])
    along = directions(random, 500)
    reached = RayCaster(nested, triangles).farthest(np.zeros(3), along)
    np.testing.assert_allclose(reached, 2 / np.abs(along).max(1), atol=1e-3)


def test_without_a_surface_nothing_is_far() -> None:
    caster = RayCaster(CUBE, CUBE_TRIANGLES)
    up = np.array([[0.0, 1.0, 0.0]])
    np.testing.assert_array_equal(caster.farthest(np.array([0.0, 3.0, 0.0]), up), [0])


def test_blocked_is_what_hits_something(random: np.random.Generator) -> None:
    caster = RayCaster(CUBE, CUBE_TRIANGLES)
    origins, along = 3 * directions(random, 1000), directions(random, 1000)
    along[:600] = -origins[:600] / 3
    blocked = caster.blocked(origins, along)
    assert 600 <= blocked.sum() < 900
    np.testing.assert_array_equal(blocked, caster.hits(origins, along)[0] >= 0)


def test_a_surface_does_not_block_what_leaves_it() -> None:
    caster = RayCaster(CUBE, CUBE_TRIANGLES)
    place, up = np.array([[0.2, 1.0, 0.3]]), np.array([[0.0, 1.0, 0.0]])
    assert not caster.blocked(place, up).any()
    assert caster.blocked(place, -up).all(), "the other side of the cube"
