"""People have what people have: lids that shut, a mouth that opens, hair where it grows."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from preprocess import makehuman
from preprocess.demo_subject import paint
from preprocess.demo_subject.hair import Haircut, hair_shell, smooth_around
from preprocess.demo_subject.looks import LOOKS
from preprocess.demo_subject.person import (
    EYE,
    HAIR,
    HANGING_HAIR_SHARE,
    SKIN,
    TEETH,
    head_share,
)
from preprocess.demo_subject.rays import RayCaster
from preprocess.face_template import IRIS_DIAMETER, LEFT_IRIS_SIDES, RIGHT_IRIS_SIDES
from preprocess.focal import FOCAL_USUAL
from preprocess.head_frame import MIRROR_PAIRS
from preprocess.makehuman_points import anchors, face_points
from ssp_nerf import parsing_map as classes
from tests.preprocess.demo_subject.subjects import person, points
from tests.preprocess.test_makehuman import twins

everybody = pytest.mark.parametrize("name", LOOKS)
UPPER_LIP, LOWER_LIP = 13, 14
IRISES = [468, 473]


def seen_from_front(name: str, places: np.ndarray, **units: float) -> np.ndarray:
    """(R,) material that is seen in front of places (R, 3) of a face."""
    somebody = person(name)
    caster = RayCaster(somebody.expression(units), somebody.triangles)
    back = np.broadcast_to([0.0, 0.0, -1.0], places.shape)
    triangle = caster.hits(places + (0, 0, 5), back)[0]
    assert (triangle >= 0).all()
    return somebody.material[triangle]


def around_eyes(name: str) -> np.ndarray:
    """(R, 3) a grid over both eyeballs."""
    steps = np.linspace(-0.15, 0.15, 31)
    grid = np.stack([*np.meshgrid(steps, steps), np.zeros((31, 31))], axis=-1).reshape(-1, 3)
    somebody = person(name)
    return np.concatenate([somebody.vertices[eye].mean(0) + grid for eye in somebody.eyes])


@everybody
def test_open_eyes_show_the_eye_and_shut_ones_only_lids(name: str) -> None:
    places = around_eyes(name)
    shown = [
        np.bincount(
            seen_from_front(name, places, eyeBlinkLeft=shut, eyeBlinkRight=shut), minlength=5
        )
        for shut in (0.0, 0.5, 1.0)
    ]
    assert shown[0][EYE] > 150 and shown[0][HAIR] == 0
    assert shown[0][EYE] > 1.5 * shown[1][EYE] > 0
    assert shown[2][SKIN] == len(places)
    assert set(seen_from_front(name, points(name)[IRISES])) == {EYE}


@everybody
def test_one_eye_shuts_without_the_other(name: str) -> None:
    seen = seen_from_front(name, around_eyes(name), eyeBlinkLeft=1.0).reshape(2, -1)
    right, left = (seen == EYE).any(1)
    assert right and not left


@everybody
def test_the_mouth_opens_with_the_jaw_and_closes_against_it(name: str) -> None:
    def gap(**units: float) -> float:
        """Decimetres between the lips, from the skin of the upper to that of the lower one."""
        face = points(name, **units)
        return face[UPPER_LIP, 1] - face[LOWER_LIP, 1]

    assert 0.3 < gap(jawOpen=1.0) - gap() < 0.5, "40 mm is a wide open mouth"
    assert gap(jawOpen=0.5) - gap() == pytest.approx((gap(jawOpen=1.0) - gap()) / 2)
    assert gap(jawOpen=0.5, mouthClose=0.5) == pytest.approx(gap(), abs=0.005)


@everybody
def test_lips_that_are_shut_have_no_gap(name: str) -> None:
    face = points(name)
    assert abs(face[UPPER_LIP, 1] - face[LOWER_LIP, 1]) < 0.025, "lips touch behind their rims"


@everybody
def test_the_upper_teeth_show_under_the_lip_of_an_open_mouth(name: str) -> None:
    face = points(name, jawOpen=0.4)
    inside = face[UPPER_LIP] + 0.1 * (face[LOWER_LIP] - face[UPPER_LIP])
    assert seen_from_front(name, inside[None], jawOpen=0.4)[0] == TEETH


@everybody
def test_irises_are_as_wide_as_the_look_says(name: str) -> None:
    face, iris = points(name), person(name).look.iris
    for a, b in (RIGHT_IRIS_SIDES, LEFT_IRIS_SIDES):
        assert np.linalg.norm(face[a] - face[b]) == pytest.approx(iris, rel=0.02)
    assert iris == pytest.approx(0.117, abs=0.005), "11.7 mm, 0.5 more or less, in adults"


def test_nobody_is_what_the_stages_take_for_granted() -> None:
    for look in LOOKS.values():
        assert abs(look.focal / 450 / FOCAL_USUAL - 1) > 0.04
        assert abs(look.iris / IRIS_DIAMETER - 1) > 0.01


@everybody
def test_heads_have_human_proportions(name: str) -> None:
    face = points(name)
    assert 0.52 < np.linalg.norm(face[468] - face[473]) < 0.75, "between the pupils (Dodgson 2004)"
    assert 1.2 < face[10, 1] - face[152, 1] < 1.8
    assert 1.2 < face[454, 0] - face[234, 0] < 1.6


def test_neutral_expression_is_the_face_itself() -> None:
    somebody = person("anna")
    np.testing.assert_array_equal(somebody.expression({}), somebody.vertices)
    np.testing.assert_array_equal(somebody.expression({"jawOpen": 0.0}), somebody.vertices)


def test_the_face_is_all_head_and_the_shoulders_are_none() -> None:
    share, base = head_share(), makehuman.base_mesh().vertices
    assert share.min() >= 0 and share.max() <= 1 + 1e-9
    corners, weights = anchors()
    np.testing.assert_allclose((weights * share[corners]).sum(1), 1, atol=0.04)
    body = makehuman.centre("body")
    np.testing.assert_array_equal(share[body][base[body, 1] < 5], 0)
    np.testing.assert_allclose(share[body], share[body][twins("body")], atol=0.01)


@everybody
def test_hair_is_on_the_crown_and_follows_the_head(name: str) -> None:
    somebody = person(name)
    hair = np.unique(somebody.triangles[somebody.material == HAIR])
    base = len(makehuman.base_mesh().vertices)
    assert hair.min() >= base
    share = somebody.head_share[base:]
    assert share.min() >= HANGING_HAIR_SHARE - 1e-9 and share.max() == 1
    above = somebody.vertices[base:, 1] > somebody.joint("l-eye")[1]
    np.testing.assert_array_equal(share[above], 1)

    caster = RayCaster(somebody.vertices, somebody.triangles)
    crown = somebody.joint("head") * (0, 1, 1) + (0.05, 5, 0.2)
    (top,) = caster.hits(crown, np.array([[0.0, -1.0, 0.0]]))[0]
    assert somebody.material[top] == HAIR


def ball() -> RayCaster:
    """A finely divided ball of radius 1 around the origin, its poles in no special place."""
    around, up = np.meshgrid(np.linspace(0, 2 * np.pi, 361), np.linspace(-1, 1, 181) * np.pi / 2)
    vertices = np.stack(
        [np.cos(up) * np.sin(around), np.sin(up), np.cos(up) * np.cos(around)], axis=-1
    )
    index = np.arange(around.size).reshape(around.shape)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    triangles = np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3)
    turn = Rotation.from_rotvec((0.7, 0.2, 0.4)).as_matrix()
    return RayCaster(vertices.reshape(-1, 3) @ turn.T, triangles)


def test_hair_on_a_ball_stands_off_by_its_thickness_above_its_line_only() -> None:
    cut = Haircut(line=(20.0,) * 7, thickness=0.2, edge=9)
    vertices, triangles, shade = hair_shell(ball(), np.zeros(3), cut, np.random.default_rng(0))
    radius = np.linalg.norm(vertices, axis=1)
    elevation = np.degrees(np.arcsin(vertices[:, 1] / radius))
    strands = np.log(shade) / 0.28
    grown = elevation > 20 + 9 - strands
    np.testing.assert_allclose(
        radius[grown], 1 + 0.2 * (1 + 0.12 * strands[grown]), atol=1e-3, err_msg="full thickness"
    )
    bare = elevation < 20 - strands - 0.01
    assert radius[bare & (elevation > -80)].max() < 1, "under the skin"
    assert bare[triangles].all(1).mean() < 0.2, "and hardly any of it is kept"
    assert grown.any() and bare.any()


def test_smoothing_around_the_head_has_no_seam() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(40, 61))
    values[:, -1] = values[:, 0]  # the same direction, once at each end

    def turned(grid: np.ndarray) -> np.ndarray:
        rolled = np.roll(grid[:, :-1], 17, axis=1)
        return np.concatenate([rolled, rolled[:, :1]], axis=1)

    np.testing.assert_allclose(
        turned(smooth_around(values)), smooth_around(turned(values)), atol=1e-9
    )
    np.testing.assert_allclose(smooth_around(np.full((40, 61), 3.0)), 3, atol=1e-9)


def class_at_vertices(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Class of each vertex of the body and its place in the base mesh."""
    base = makehuman.base_mesh()
    vertex, corner = base.groups["body"].reshape(-1, 2).T
    column, row = (base.texture[corner] * (1, -1) + (0, 1)).T * paint.TEXTURE
    label = np.zeros(len(base.vertices), np.uint8)
    inside = (row.astype(int).clip(0, 2047), column.astype(int).clip(0, 2047))
    label[vertex] = person(name).skin_class[inside]
    body = makehuman.centre("body")
    return label[body], base.vertices[body]


def test_texels_lie_on_the_places_of_their_vertices() -> None:
    base = makehuman.base_mesh()
    vertex, corner = base.groups["body"].reshape(-1, 2).T
    near = base.vertices[vertex, 1] > 6.2
    column, row = (base.texture[corner[near]] * (1, -1) + (0, 1)).T * paint.TEXTURE
    place = paint.places()[row.astype(int).clip(0, 2047), column.astype(int).clip(0, 2047)]
    apart = np.linalg.norm(place - base.vertices[vertex[near]], axis=1)
    # A texel's middle is within half a texel; seams have the other side next to them.
    assert np.median(apart) < 0.004
    assert (apart < 0.02).mean() > 0.95


@everybody
def test_the_paint_is_symmetric_and_each_class_is_where_it_belongs(name: str) -> None:
    label, place = class_at_vertices(name)
    chest_up = place[:, 1] > 5
    assert (label == label[twins("body")])[chest_up].mean() > 0.985
    middle = {
        kind: place[label == kind].mean(0)
        for kind in (
            classes.EYEBROW, classes.NOSE, classes.LIP, classes.EAR, classes.NECK, classes.TORSO
        )
    }  # fmt: skip
    heights = [
        middle[kind][1]
        for kind in (classes.EYEBROW, classes.NOSE, classes.LIP, classes.NECK, classes.TORSO)
    ]
    assert heights == sorted(heights, reverse=True)
    assert middle[classes.NOSE][2] > middle[classes.EYEBROW][2] > middle[classes.EAR][2]
    assert np.abs(place[label == classes.EAR, 0]).min() > 0.5
    assert np.abs(place[np.isin(label, (classes.NOSE, classes.LIP)), 0]).max() < 0.4


def test_linear_light_is_that_of_the_standard() -> None:
    # IEC 61966-2-1: the two pieces meet, the ends are black and white, and grey 188 is half.
    np.testing.assert_allclose(paint.linear((0, 255)), [0, 1], atol=1e-6)
    assert paint.linear(188) == pytest.approx(0.5, abs=0.005)
    below, above = paint.linear(0.0404499 * 255), paint.linear(0.0404501 * 255)
    assert below == pytest.approx(above, abs=1e-5)
    assert (np.diff(paint.linear(np.arange(256))) > 0).all()


def test_mixing_paint_is_opacity() -> None:
    under, over = np.full((1, 3, 3), 0.2), np.full(3, 0.8)
    paint.mix(under, over, np.array([[0.0, 0.5, 1.0]]))
    np.testing.assert_allclose(under[0, :, 0], [0.2, 0.5, 0.8])


def test_points_move_with_their_places() -> None:
    random = np.random.default_rng(0)
    linear, shift = random.normal(size=(3, 3)), random.normal(size=3)
    vertices = person("anna").vertices
    np.testing.assert_allclose(
        face_points(vertices @ linear.T + shift),
        face_points(vertices) @ linear.T + shift,
        atol=1e-9,
    )


def test_points_of_the_two_halves_are_nearly_mirror_images() -> None:
    """The detector does not know that the mesh is symmetric."""
    corners, weights = anchors()
    place = np.einsum("pk,pkd->pd", weights, makehuman.base_mesh().vertices[corners])
    right, left = place[MIRROR_PAIRS[:, 0]], place[MIRROR_PAIRS[:, 1]]
    assert np.abs(right * (-1, 1, 1) - left).max() < 0.15
    middle = [10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2, 0, 13, 14, 17, 152]
    assert np.abs(place[middle, 0]).max() < 0.02
