"""Lost faces are found where they are, none is invented, and points that slide away are noticed."""

import cv2
import numpy as np
import pytest
import skimage.data

from preprocess.face_points import Face, agree, steady, turn_and_change
from preprocess.face_topology import points_68
from preprocess.face_tracking import follow
from preprocess.landmarks_mediapipe import FaceMesh, MediapipeDetector
from preprocess.second_looks import View, lean, look_again
from ssp_nerf.errors import InputError
from tests import clips

SIZE = 256
WALL = (90, 120, 140)


@pytest.fixture(scope="module")
def detector() -> MediapipeDetector:
    return MediapipeDetector()


@pytest.fixture(scope="module")
def alone() -> FaceMesh:
    """Looks at every picture by itself, once, as mediapipe does."""
    return FaceMesh(follow=False)


@pytest.fixture(scope="module")
def head(alone: FaceMesh) -> tuple[np.ndarray, Face]:
    picture = clips.talking_frame(0, SIZE, SIZE)
    face = alone.face(picture)
    assert face is not None
    return picture, face


def placed(
    head: tuple[np.ndarray, Face], scale: float, x: float, y: float, turn: float = 0.0
) -> tuple[np.ndarray, Face]:
    """The head smaller, shifted and turned, and where its points are then."""
    picture, face = head
    matrix = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), turn, scale)
    matrix[:, 2] += x, y
    points = face.points.copy()
    points[:, :2] = cv2.transform(points[None, :, :2].astype(float), matrix)[0]
    moved = cv2.warpAffine(picture, matrix, (SIZE, SIZE), borderValue=WALL)
    return moved, Face(points, face.confidence)


def error(face: Face, truth: Face) -> float:
    """Mean distance of the points over the radius of the face."""
    return float(np.abs(face.plane - truth.plane).mean()) / truth.radius


HARD = {
    "small": (0.2, 20, 20),
    "half beyond the left edge": (1, -120, 0),
    "half beyond the upper edge": (1, 0, -120),
}


@pytest.mark.parametrize("near", [True, False], ids=["place known", "place unknown"])
@pytest.mark.parametrize("hard", HARD)
def test_a_face_that_a_first_look_misses_is_found(
    hard: str, near: bool, detector: MediapipeDetector, alone: FaceMesh, head
) -> None:
    picture, truth = placed(head, *HARD[hard])
    assert alone.face(picture) is None
    scale, x, y = HARD[hard]
    places = [placed(head, scale, x + 8, y - 6)[1]] if near else []
    face = look_again(detector.look, picture, places)
    assert face is not None
    assert error(face, truth) < 0.15


def test_a_face_upside_down_is_found_where_one_was(
    detector: MediapipeDetector, alone: FaceMesh, head
) -> None:
    picture, truth = placed(head, 1, 0, 0, turn=180)
    seen = alone.face(picture)
    assert seen is None or error(seen, truth) > 1  # it takes the chin for a forehead
    face = look_again(detector.look, picture, [placed(head, 1, 8, -6, turn=170)[1]])
    assert face is not None
    assert error(face, truth) < 0.1


def test_a_face_out_of_reach_of_where_it_was_is_another(detector: MediapipeDetector, head) -> None:
    picture, face = placed(head, 0.4, -60, 0)
    elsewhere = placed(head, 0.4, 60, 0)[1]
    assert look_again(detector.look, picture, [face]) is not None
    assert look_again(detector.look, picture, [elsewhere]) is None


@pytest.mark.parametrize("what", ["wall", "covered face", "clock", "coins", "cat"])
def test_no_face_is_invented(what: str, detector: MediapipeDetector, head) -> None:
    picture, face = head
    places = []
    if what == "wall":
        picture = clips.background(SIZE, SIZE)
    elif what == "covered face":
        centre = round(face.centre.real), round(face.centre.imag)
        picture = cv2.circle(picture.copy(), centre, round(1.6 * face.radius), (120, 110, 100), -1)
        places = [face]
    else:
        image = getattr(skimage.data, {"cat": "chelsea"}.get(what, what))()
        grey = image.ndim == 2
        picture = cv2.resize(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if grey else image, (450, 450))
    assert look_again(detector.look, picture, places) is None


def test_a_view_gives_back_the_pictures_places() -> None:
    """A spot, seen in views turned, scaled and shifted at random, is where it is in the picture."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:200, :240] + 0.5

    def spot_of(picture: np.ndarray) -> Face:
        weight = picture[..., 0].astype(float)
        rows, columns = np.mgrid[: len(weight), : weight.shape[1]] + 0.5
        place = [(weight * columns).sum(), (weight * rows).sum(), 10 * weight.sum()]
        return Face(np.array([place], np.float32) / weight.sum(), 1.0)

    for _ in range(10):
        spot = rng.uniform(80, 120, 2)
        picture = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * 4**2))
        picture = np.repeat(picture[..., None], 3, axis=2).round().astype(np.uint8)
        view = View(complex(*rng.uniform(80, 120, 2)), rng.uniform(150, 500), rng.uniform(-90, 90))
        face = view.find(spot_of, picture)
        assert face is not None
        np.testing.assert_allclose(face.points[0, :2], spot, atol=0.1)
        np.testing.assert_allclose(face.points[0, 2], 10 * view.side / 384, rtol=1e-5)


def test_a_stretched_view_of_a_dark_picture_is_that_of_a_bright_one(head) -> None:
    picture, face = head
    view = View(face.centre, SIZE, stretched=True)
    bright, dark = view.show(picture).astype(int), view.show((0.1 * picture).astype(np.uint8))
    assert dark.max() == 255
    assert np.abs(bright - dark).mean() < 8  # a tenth of the levels is left


def test_similarity_is_the_turn_and_scale_between_two_faces(head) -> None:
    _, face = head
    turned = placed(head, 0.8, 30, -20, turn=25)[1]
    factor, change = turn_and_change(face, turned)
    assert abs(factor) == pytest.approx(0.8, rel=1e-4)
    assert np.degrees(np.angle(factor)) == pytest.approx(-25, abs=0.01)  # y down: clockwise
    assert change < 1e-4
    assert lean(turned) == pytest.approx(lean(face) - 25, abs=0.01)


def test_only_steps_that_a_head_makes_are_steady(head) -> None:
    _, face = head
    assert steady(face, placed(head, 1.02, 2, 2, turn=3)[1])
    assert not steady(face, placed(head, 1.1, 0, 0)[1])
    assert not steady(face, placed(head, 1, 0.6 * face.radius, 0)[1])
    bent = face.points * np.float32([1.5, 1, 1])
    assert not steady(face, Face(bent, 1.0))
    assert agree(face, placed(head, 1, 2, 0)[1])
    assert not agree(face, placed(head, 1, 0.3 * face.radius, 0)[1])


def test_after_a_cut_points_do_not_slide_over_the_picture(alone: FaceMesh) -> None:
    """mediapipe's tracker takes what lies where the face was for a face, and does not say so."""
    before = [clips.talking_frame(t / 25, SIZE, SIZE) for t in range(3)]
    after = [clips.talking_frame(t / 25, SIZE, SIZE, (0.5, 0.65), 0.55) for t in range(3)]
    truth = [alone.face(picture) for picture in after]
    tracker = FaceMesh()
    tracked = [tracker.face(picture) for picture in before + after][3:]
    checked = [face for _, face in follow(before + after, MediapipeDetector())][3:]
    assert error(tracked[0], truth[0]) > 0.25
    assert tracked[0].confidence > 0.5
    assert max(error(*pair) for pair in zip(checked, truth, strict=True)) < 0.05


def test_what_was_steady_is_left_as_it_was() -> None:
    pictures = [clips.talking_frame(t / 25, SIZE, SIZE) for t in range(12)]
    tracker = FaceMesh()
    for picture, face in follow(pictures, MediapipeDetector()):
        np.testing.assert_array_equal(tracker.points(picture), face.points)


def test_either_detectors_points_give_the_68(head) -> None:
    _, face = head
    ibug = points_68(face.points)
    assert ibug.shape == (68, 3)
    np.testing.assert_array_equal(points_68(face.points[:468]), ibug)  # without irises
    np.testing.assert_array_equal(points_68(ibug), ibug)
    with pytest.raises(InputError, match="5 points a face, expected 68"):
        points_68(face.points[:5])
