"""A picture shows what geometry says: where, in front of what, and with which share of a pixel."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from preprocess import face_topology as mesh
from preprocess.demo_subject.backdrop import backdrop
from preprocess.demo_subject.looks import LOOKS
from preprocess.demo_subject.paint import linear
from preprocess.demo_subject.person import HAIR, TEETH, Person
from preprocess.demo_subject.picture import (
    LIMBUS,
    View,
    ball,
    bilinear,
    edges,
    interpolate,
    majority,
    to_srgb,
    unit,
)
from ssp_nerf import parsing_map as classes
from ssp_nerf.cameras import project
from tests.preprocess.demo_subject.subjects import (
    SEED,
    SIZE,
    drawn,
    painter_of,
    person,
    points,
    scene,
)

DISTANCE = 9.0
FOCAL = 90.0  # of the pictures of plates: 10 pixels a decimetre at the distance
ROOM = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def test_srgb_and_linear_light_are_inverse() -> None:
    levels = np.arange(256)
    np.testing.assert_array_equal(to_srgb(linear(levels)), levels)
    np.testing.assert_array_equal(to_srgb(np.array([-1.0, 2.0])), [0, 255])


def test_majority_is_the_lowest_of_the_most_frequent() -> None:
    labels = np.stack(np.meshgrid(*[np.arange(5, dtype=np.uint8)] * 4), -1).reshape(-1, 4)
    np.testing.assert_array_equal(majority(labels), [np.bincount(four).argmax() for four in labels])


def test_points_of_the_ball_are_even() -> None:
    points = ball(np.random.default_rng(0), 2000)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1)
    np.testing.assert_allclose(points.mean(0), 0, atol=0.01)
    np.testing.assert_allclose(points.T @ points / 2000, np.eye(3) / 3, atol=0.01)


def test_interpolation_is_exact_for_linear_functions() -> None:
    random = np.random.default_rng(0)
    vertices, slope = random.normal(size=(9, 3)), random.normal(size=(3, 2))
    corners, weights = random.integers(0, 9, (50, 3)), random.dirichlet(np.ones(3), 50)
    np.testing.assert_allclose(
        interpolate(vertices @ slope, corners, weights),
        interpolate(vertices, corners, weights) @ slope,
    )
    np.testing.assert_allclose(np.linalg.norm(unit(vertices), axis=1), 1)


def test_rays_and_projection_agree() -> None:
    """`ssp_nerf.cameras.project` takes each sample's ray back to the sample."""
    size, focal = 10, 23.0
    for samples in (1, 2):
        rays = View(size, focal).directions(samples)
        pixels = project(rays.reshape(-1, 3) * 7.0, np.eye(3, 4), focal, size, size)
        within = (np.arange(samples) + 0.5) / samples
        rows, columns = np.mgrid[:size, :size]
        expected = [np.stack([columns + x, rows + y], axis=-1) for y in within for x in within]
        np.testing.assert_allclose(
            pixels.reshape(size, size, samples**2, 2), np.stack(expected, 2), atol=1e-5
        )


def test_edges_are_where_something_else_begins() -> None:
    label, depth = np.full((8, 12), classes.CHEEK, np.uint8), np.full((8, 12), 9.0, np.float32)
    assert not edges(label, depth).any()
    label[:, 4:] = classes.HAIR
    depth[5:] = 9.2
    label[0, 11] = classes.EYE
    expected = np.zeros((8, 12), bool)
    expected[:, 3:5] = expected[4:6] = True
    expected[:2, 10:] = True
    np.testing.assert_array_equal(edges(label, depth), expected)
    assert edges(np.full((4, 4), classes.EYE, np.uint8), np.zeros((4, 4), np.float32)).all()


def test_between_texels_colours_are_linear() -> None:
    row, column = np.mgrid[:7, :9].astype(np.float32)
    picture = np.stack([2 * row - column, row + 3 * column], axis=-1)
    places = np.random.default_rng(0).uniform((0, 0), (8, 6), (50, 2)).astype(np.float32)
    x, y = places.T
    expected = np.stack([2 * y - x, y + 3 * x], axis=-1)
    np.testing.assert_allclose(bilinear(picture, places), expected, atol=1e-4)
    corner = np.array([[8.0, 6.0]], np.float32)
    np.testing.assert_array_equal(bilinear(picture, corner)[0], picture[6, 8])


def plates(*placed: tuple[tuple[float, float, float, float], float, int]) -> Person:
    """Upright rectangles (left, bottom, right, top) at depths, of materials, decimetres."""
    somebody = person("anna")
    count = len(somebody.vertices)
    corners, triangles, material = [], [], []
    for index, ((left, bottom, right, top), depth, kind) in enumerate(placed):
        corners += [(x, y, -depth) for x, y in ((left, bottom), (right, bottom))]
        corners += [(x, y, -depth) for x, y in ((right, top), (left, top))]
        first = count + 4 * index
        triangles += [(first, first + 1, first + 2), (first, first + 2, first + 3)]
        material += [kind, kind]
    return replace(
        somebody,
        vertices=np.concatenate([somebody.vertices, corners]),
        triangles=np.array(triangles),
        material=np.array(material, np.uint8),
        texture=np.zeros((len(triangles), 3, 2), np.float32),
        hair_shade=np.ones(count + len(corners)),
        head_share=np.ones(count + len(corners)),
    )


def draw_plates(
    *placed: tuple[tuple[float, float, float, float], float, int],
) -> tuple[np.ndarray, np.ndarray]:
    somebody = plates(*placed)
    painter = painter_of(somebody, View(64, FOCAL), ROOM)
    return painter.draw(somebody.vertices, np.array([0.0, 0.0, -DISTANCE]))


def test_a_plate_covers_the_pixels_of_its_projection_and_no_others() -> None:
    # At 9 dm a decimetre is 10 pixels; y points up, pixel rows go down.
    image, label = draw_plates(((-1.2, -0.5, 2.0, 1.7), DISTANCE, HAIR))
    expected = np.zeros((64, 64), bool)
    expected[32 - 17 : 32 + 5, 32 - 12 : 32 + 20] = True
    np.testing.assert_array_equal(label == classes.HAIR, expected)
    np.testing.assert_array_equal(label == classes.BACKGROUND, ~expected)
    np.testing.assert_array_equal(image[~expected], ROOM[~expected])


def test_half_a_pixel_is_half_of_its_light() -> None:
    whole, _ = draw_plates(((-1.0, -1.0, 1.0, 1.0), DISTANCE, HAIR))
    image, label = draw_plates(((-1.0, -1.0, 0.95, 1.0), DISTANCE, HAIR))
    rows, edge = slice(23, 41), 41
    mean = (linear(whole[rows, edge]) + linear(ROOM[rows, edge])) / 2
    np.testing.assert_allclose(image[rows, edge].astype(int), to_srgb(mean).astype(int), atol=3)
    assert (label[rows, edge] == classes.BACKGROUND).all(), "of two equals the lower class"


@pytest.mark.parametrize("order", [1, -1])
def test_the_nearer_hides_the_farther(order: int) -> None:
    near = ((-0.6, -0.6, 0.6, 0.6), DISTANCE * 0.75, TEETH)  # 8 pixels to each side
    far = ((-2.0, -2.0, 2.0, 2.0), DISTANCE, HAIR)
    _, label = draw_plates(*(near, far)[::order])
    hidden = np.zeros((64, 64), bool)
    hidden[24:40, 24:40] = True
    np.testing.assert_array_equal(label == classes.TEETH, hidden)
    assert (label == classes.HAIR).sum() == 40**2 - 16**2


def test_what_stands_in_the_light_throws_a_shadow() -> None:
    wall = ((-2.0, -2.0, 2.0, 2.0), DISTANCE, TEETH)
    lit, _ = draw_plates(wall)
    # The light comes from the upper left; the board is out of the picture.
    shadowed, _ = draw_plates(wall, ((-9.0, 2.0, 2.0, 7.0), DISTANCE - 3.0, HAIR))
    inside = (slice(30, 50), slice(14, 50))
    share = linear(shadowed)[inside] / linear(lit)[inside]
    assert share.max() <= 1
    assert share.min() < 0.6


@pytest.mark.parametrize("name", LOOKS)
def test_the_room_is_untouched_where_nobody_is(name: str) -> None:
    image, label = drawn(name, SIZE, 0)
    far = ~binary_dilation(label != classes.BACKGROUND, np.ones((3, 3)))
    assert far.mean() > 0.3
    np.testing.assert_array_equal(image[far], backdrop(SIZE, SEED)[far])


def test_twice_the_size_is_the_same_picture() -> None:
    small, small_label = drawn("anna", SIZE, 0)
    large, large_label = drawn("anna", 2 * SIZE, 0)
    person_only = np.isin(small_label, classes.HEAD_CLASSES)
    shrunk = to_srgb(cv2.resize(linear(large), (SIZE, SIZE), interpolation=cv2.INTER_AREA))
    apart = np.abs(shrunk.astype(int) - small)[person_only]
    assert apart.mean() < 4 and np.median(apart) <= 2
    for kind in (classes.CHEEK, classes.NOSE, classes.TORSO, classes.HAIR, classes.BACKGROUND):
        share = (large_label == kind).mean() / (small_label == kind).mean()
        # A nose has 93 pixels here, of which each is a hundredth.
        assert share == pytest.approx(1, abs=0.06 if kind == classes.NOSE else 0.04)


def test_all_classes_are_seen() -> None:
    seen = {int(kind) for name in LOOKS for kind in np.unique(drawn(name, SIZE, 10)[1])}
    assert seen == set(range(len(classes.CLASSES)))
    for name in LOOKS:
        assert (drawn(name, SIZE, 10)[1] == classes.EAR).sum() > 10


def test_the_eyes_are_drawn_where_they_are_projected() -> None:
    clip = scene("anna", 2 * SIZE)
    _, label = drawn("anna", 2 * SIZE, 0)
    y, x = np.nonzero(label == classes.EYE)
    pixels = np.stack([x, y], -1) + 0.5
    for iris, ring in ((468, mesh.RIGHT_EYE), (473, mesh.LEFT_EYE)):
        centre = clip.points()[0, list(ring), :2].mean(0)
        own = pixels[np.linalg.norm(pixels - centre, axis=1) < 12]
        assert len(own) > 20
        np.testing.assert_allclose(own.mean(0), centre, atol=1.5)
        assert np.linalg.norm(own - clip.points()[0, iris, :2], axis=1).min() < 0.8


def test_irises_are_painted_up_to_their_true_rim() -> None:
    """A close-up of an eye with an iris that only shines red."""
    red = replace(person("anna").look, paint=replace(person("anna").look.paint, iris=(255, 0, 0)))
    somebody = replace(person("anna"), look=red)
    size, focal = 128, 128 * DISTANCE / 0.3
    vertices = somebody.expression({"eyeWideLeft": 1.0})
    face = points("anna", eyeWideLeft=1.0)
    shift = -face[473] - (0, 0, DISTANCE)
    painter = painter_of(somebody, View(size, focal), np.zeros((size, size, 3), np.uint8))
    image, _ = painter.draw(vertices + shift, np.array([0.0, 0.0, -DISTANCE]))
    rim = project(face[474:478] + shift, np.eye(3, 4), focal, size, size)
    row = image[size // 2 - 2 : size // 2 + 2].astype(float).mean(0)
    iris = np.flatnonzero(row[:, 1] < 0.6 * row[:, 0])  # all but the pupil and its gleam
    np.testing.assert_allclose(
        [iris.min(), iris.max() + 1], np.sort(rim[[0, 2], 0]), atol=1.5, err_msg="0.1 mm is half"
    )
    assert np.ptp(rim[[0, 2], 0]) == pytest.approx(2 * LIMBUS * focal / DISTANCE, rel=0.02)


def test_a_seed_makes_a_room_whatever_its_size() -> None:
    small, large = backdrop(192, 3), backdrop(384, 3)
    shrunk = cv2.resize(large, (192, 192), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - small).mean() < 3
    np.testing.assert_array_equal(small, backdrop(192, 3))
    assert (small != backdrop(192, 4)).mean() > 0.5
