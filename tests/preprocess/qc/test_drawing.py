"""Where things are drawn, to a fraction of a pixel."""

import numpy as np
import pytest

from preprocess.qc.drawing import View, arrow, dots, lines, outline, tint


def centroid(canvas: np.ndarray) -> np.ndarray:
    """(2,) x, y from the top left corner, of what is not black."""
    weight = canvas.astype(float).sum(2)
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]] + 0.5
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("place", [(20.5, 30.5), (20.0, 30.0), (24.25, 31.75)])
def test_a_dot_is_where_it_should_be(place) -> None:
    canvas = np.zeros((64, 64, 3), np.uint8)
    dots(canvas, np.array([place]), 4.0, (255, 255, 255))
    np.testing.assert_allclose(centroid(canvas), place, atol=0.15)


def test_a_line_runs_between_its_ends() -> None:
    canvas = np.zeros((64, 64, 3), np.uint8)
    lines(canvas, [np.array([[10.0, 20.0], [40.0, 30.0]])], (255, 255, 255))
    np.testing.assert_allclose(centroid(canvas), [25, 25], atol=0.3)


def test_a_view_moves_a_picture_as_it_moves_points() -> None:
    image = np.zeros((50, 60, 3), np.uint8)
    image[20, 33] = 255  # its middle is at (33.5, 20.5)
    for view in (View.whole(60, 50, 200), View.around(np.array([31.0, 22.0]), 20, 160, 120)):
        found = centroid(view.picture(image))
        np.testing.assert_allclose(found, view.points(np.array([33.5, 20.5])), atol=0.1)


def test_a_view_round_a_place_has_it_in_the_middle() -> None:
    view = View.around(np.array([31.0, 22.0]), 20, 160, 120)
    np.testing.assert_allclose(view.points(np.array([31.0, 22.0])), [80, 60])
    np.testing.assert_allclose(view.points(np.array([21.0, 22.0])), [0, 60])


def test_half_the_opacity_is_half_the_colour_even_where_lines_cross() -> None:
    full, half = np.zeros((2, 32, 32, 3), np.uint8)
    cross = [np.array([[0.5, 16.5], [31.5, 16.5]]), np.array([[16.5, 0.5], [16.5, 31.5]])]
    lines(full, cross, (200, 100, 50))
    lines(half, cross, (200, 100, 50), opacity=0.5)
    np.testing.assert_allclose(full[16, 16], [200, 100, 50], atol=3)
    np.testing.assert_allclose(half, full / 2, atol=1)


def test_an_arrow_ends_at_its_point() -> None:
    canvas = np.zeros((80, 80, 3), np.uint8)
    arrow(canvas, np.array([10.0, 40.0]), np.array([60.0, 40.0]), (0, 0, 255), "")
    columns = np.flatnonzero((canvas[..., 2] > 128).any(0))
    assert columns.max() == pytest.approx(59, abs=1)


def test_a_tint_leaves_other_pixels_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    mask = np.zeros((9, 9), bool)
    mask[2:5, 3:8] = True
    tinted = image.copy()
    tint(tinted, mask, (10, 20, 30), 0.25)
    np.testing.assert_array_equal(tinted[~mask], image[~mask])
    np.testing.assert_allclose(
        tinted[mask], 0.75 * image[mask] + 0.25 * np.array([10, 20, 30]), atol=1
    )


def test_an_outline_is_where_neighbours_differ() -> None:
    labels = np.zeros((6, 6), np.uint8)
    labels[2:4, 2:4] = 3
    edge = outline(labels)
    assert edge[2, 1] and edge[1, 2] and edge[2, 3] and edge[3, 2]
    assert not edge[0].any() and not outline(np.ones((4, 4))).any()
