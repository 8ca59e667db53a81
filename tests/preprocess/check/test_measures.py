"""Each measure on material whose truth is known in closed form."""

import cv2
import numpy as np
import pytest
import skimage.data
from scipy.spatial.transform import Rotation

from preprocess import face_topology as mesh
from preprocess.check.alignment import Reference
from preprocess.check.cuts import Changes, find_cuts
from preprocess.check.faces import face_blur, face_light, flicker_of
from preprocess.check.findings import Finding, Level, longest_without, spans, verdict
from preprocess.check.hands import covered
from preprocess.check.length import repeated_share
from preprocess.check.mouth import Lips, check_step, in_step, relative_opening
from preprocess.check.pose import head_angles
from preprocess.check.sound import VOICE_RATE, Sound
from preprocess.head_frame import MIRROR_PAIRS

RNG = np.random.default_rng(7)


# Cuts


def test_a_cut_is_found_among_noise_and_motion() -> None:
    differences = RNG.uniform(0.5, 4, 200)
    differences[[60, 150]] = 25
    assert find_cuts(differences).tolist() == [60, 150]


def test_a_still_film_with_one_jump_has_one_cut_and_noise_none() -> None:
    assert find_cuts(np.r_[np.zeros(50), 6.0, np.zeros(50)]).tolist() == [50]
    assert find_cuts(RNG.uniform(0, 0.4, 300)).tolist() == []


def test_a_flash_is_no_cut() -> None:
    pictures = np.full((40, 60, 80), 90, np.uint8)
    pictures[20] = 250
    changes = Changes()
    for picture in pictures:
        changes.add(picture)
    assert changes.differences[20] == changes.differences[21] == 160
    assert find_cuts(np.array(changes.differences)).tolist() == []
    assert changes.brightness[19:21] == [90, 250]


# Frame rate


def test_repeated_frames_are_counted_where_something_moves() -> None:
    moving = RNG.uniform(1, 2, 101)
    assert repeated_share(moving) == 0
    doubled = moving.copy()
    doubled[2::2] = 0
    assert repeated_share(doubled) == pytest.approx(0.5, abs=0.01)
    assert repeated_share(np.zeros(100)) == 0  # a still picture repeats nothing


# Head


def face_towards_the_camera() -> np.ndarray:
    """(478, 3) points whose head axes are those of the picture."""
    points = RNG.normal(0, 50, (478, 3))
    points[MIRROR_PAIRS[:, 1]] = points[MIRROR_PAIRS[:, 0]] * (-1, 1, 1)
    points[MIRROR_PAIRS] += np.array([[[-60, 0, 0], [60, 0, 0]]])  # right, left of the picture
    points[mesh.FOREHEAD], points[mesh.NOSE_BASE] = (0, -80, 10), (0, 20, 10)
    return points


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 0, 0), (0, -15, 0), (0, 0, 8), (-25, 12, -5)])
def test_the_turn_of_a_head_is_found_exactly(angles: tuple[float, float, float]) -> None:
    yaw, pitch, roll = angles
    turn = Rotation.from_euler("YXZ", [yaw, -pitch, roll], degrees=True).as_matrix()
    flip = np.array([1, -1, -1])  # picture axes: y down, z away
    points = (face_towards_the_camera() * flip) @ turn.T * flip
    assert head_angles(3.5 * points + (200, 100, 7)) == pytest.approx(angles, abs=1e-9)


# Mouth


def test_opening_is_relative_and_turns_leave_it_alone() -> None:
    points = np.zeros((478, 3))
    points[61], points[291] = (-25, 0, 0), (25, 0, 0)
    points[13], points[14] = (0, -5, 0), (0, 5, 0)
    turn = Rotation.from_euler("YX", [30, 10], degrees=True).as_matrix()
    assert relative_opening(points) == pytest.approx(0.2)
    assert relative_opening(3 * points @ turn.T + 100) == pytest.approx(0.2)


def talk(seconds: float, seed: int) -> np.ndarray:
    """Opening of a mouth, 1000 a second: about five movements a second."""
    values = np.random.default_rng(seed).normal(size=round(1000 * seconds))
    smooth = cv2.GaussianBlur(values[None], (0, 0), 35)[0]
    return smooth / smooth.std()


def sound_of(opening: np.ndarray, late: float = 0.0) -> Sound:
    steps = 1000 // VOICE_RATE
    voice = np.roll(opening, round(1000 * late)).reshape(-1, steps).mean(1)
    return Sound(np.full(len(opening) // 40, -20.0), voice, -3.0, 0.0)


def lips_of(opening: np.ndarray, fps: float) -> list[Lips]:
    times = np.arange(0, len(opening) / 1000, 1 / fps)
    values = opening[(1000 * times).astype(int)]
    return [Lips(times, values + 0.3 * RNG.normal(size=len(times)))]


@pytest.mark.parametrize("fps", [25.0, 29.97, 50.0])
@pytest.mark.parametrize("late", [0.0, 0.4, -0.24])
def test_the_lag_of_the_sound_is_found(fps: float, late: float) -> None:
    opening = talk(30, 1)
    step = in_step(lips_of(opening, fps), sound_of(opening, late))
    assert step is not None
    assert step.lags[step.best] == pytest.approx(late, abs=0.021)
    assert step.correlation[step.best] > 0.7 > step.needed
    (finding,) = check_step(step)
    assert finding.level is (Level.GOOD if late == 0 else Level.WILL_NOT_WORK)


def test_somebody_elses_voice_is_told_from_ones_own() -> None:
    for seed in range(2, 12):
        step = in_step(lips_of(talk(60, 1), 25), sound_of(talk(60, seed)))
        assert step is not None
        (finding,) = check_step(step)
        assert finding.level is Level.USABLE and "do not go together" in finding.measured


def test_of_a_few_seconds_nothing_is_said() -> None:
    step = in_step(lips_of(talk(5, 1), 25), sound_of(talk(5, 2)))
    assert step is not None
    (finding,) = check_step(step)
    assert finding.level is Level.GOOD and "too short" in finding.measured
    assert in_step(lips_of(talk(1, 1), 25), sound_of(talk(1, 1))) is None
    assert in_step([], sound_of(talk(30, 1))) is None


# Face


def test_blur_grows_with_blurring_and_not_with_brightness() -> None:
    picture, face = skimage.data.astronaut(), np.array([175.0, 70, 275, 175])
    blurs = [
        face_blur(cv2.GaussianBlur(picture, (0, 0), s) if s else picture, face, 105)
        for s in (0, 0.7, 1, 2, 4)
    ]
    assert np.all(np.diff(blurs) > 0)
    darker = (0.5 * picture).astype(np.uint8)
    assert face_blur(darker, face, 105) == pytest.approx(blurs[0], abs=0.02)


def test_light_is_the_mean_inside_the_face_alone() -> None:
    picture = np.full((100, 100, 3), 10, np.uint8)
    points = np.zeros((478, 3))
    angle = np.linspace(0, 2 * np.pi, len(mesh.FACE_OVAL), endpoint=False)
    points[list(mesh.FACE_OVAL), :2] = 50 + 20 * np.stack([np.sin(angle), -np.cos(angle)], -1)
    cv2.circle(picture, (50, 50), 24, (120, 120, 120), -1)
    assert face_light(picture, points) == pytest.approx(120)
    # A face that reaches beyond the picture counts as far as it is seen.
    assert face_light(picture, points + (45, 0, 0)) < 120


def test_flicker_is_what_goes_up_and_down_from_frame_to_frame() -> None:
    steady = 100 + 20 * np.sin(np.arange(200) / 30)
    assert flicker_of(steady) < 0.2
    assert flicker_of(steady + np.tile([4.0, -4.0], 100)) == pytest.approx(4 * 8 / 9, rel=0.05)
    assert flicker_of(np.r_[np.full(100, 50.0), np.full(100, 150.0)]) < 1e-9  # a cut


# Hands


def test_a_hand_covers_what_lies_under_it() -> None:
    face = np.zeros((478, 3))
    square = np.array([(0, 0), (100, 0), (100, 100), (0, 100)], float)
    side = len(mesh.FACE_OVAL) // 4
    ring = [
        a + (b - a) * i / side
        for a, b in zip(square, np.roll(square, -1, 0), strict=True)
        for i in range(side)
    ]
    face[list(mesh.FACE_OVAL), :2] = ring
    hand = np.full((21, 2), 25.0)  # all in one point but for the palm's corners
    hand[[0, 1, 5, 9, 13, 17]] = [(0, 50), (0, 50), (0, 0), (25, 0), (50, 0), (50, 50)]
    hand[[2, 3, 4]] = hand[1]
    for first, finger in (
        (5, (6, 7, 8)),
        (9, (10, 11, 12)),
        (13, (14, 15, 16)),
        (17, (18, 19, 20)),
    ):
        hand[list(finger)] = hand[first]
    assert covered(face, []) == 0
    assert covered(face, [hand + 500]) == 0
    assert covered(face, [hand]) == pytest.approx(0.25, abs=0.08)  # the palm; knuckles are wider
    assert covered(face, [hand, hand]) == covered(face, [hand])
    assert covered(face, [3 * hand - 20]) > 0.9


# Background


def scene(matrix: np.ndarray | None = None) -> np.ndarray:
    """(270, 360) uint8: a photograph, moved."""
    picture = cv2.resize(skimage.data.camera(), (360, 270), interpolation=cv2.INTER_AREA)
    picture = cv2.GaussianBlur(picture, (0, 0), 1)
    if matrix is None:
        return picture
    return cv2.warpAffine(picture, matrix, (360, 270), borderMode=cv2.BORDER_REFLECT)


EVERYWHERE = np.ones((270, 360), bool)


@pytest.mark.parametrize(
    ("shift", "zoom", "turn"),
    [((0, 0), 1, 0), ((2.5, -1), 1, 0), ((12, 5), 1, 0), ((0, 0), 1.05, 0), ((3, 2), 0.97, 2)],
)
def test_the_motion_of_a_scene_is_found(
    shift: tuple[float, float], zoom: float, turn: float
) -> None:
    matrix = cv2.getRotationMatrix2D((179.5, 134.5), turn, zoom)
    matrix[:, 2] += shift
    grid = np.stack(np.meshgrid([0, 179.5, 359], [0, 134.5, 269]), -1)
    moved = np.sqrt((((grid @ matrix[:, :2].T + matrix[:, 2]) - grid) ** 2).sum(-1).mean())
    noisy = scene(matrix) * 0.9 + 10 + RNG.normal(0, 2, (270, 360))
    found = Reference(scene(), EVERYWHERE).motion(noisy.clip(0, 255).astype(np.uint8), EVERYWHERE)
    assert found[0] == pytest.approx(moved, abs=0.2) and found[1] == pytest.approx(zoom, abs=0.002)


def test_a_person_in_front_does_not_move_the_scene() -> None:
    masked = EVERYWHERE.copy()
    masked[60:, 120:240] = False
    picture = scene(np.array([[1, 0, 1.5], [0, 1, 0.0]]))
    picture[~masked] = RNG.integers(0, 255, (~masked).sum())
    shift, zoom = Reference(scene(), masked).motion(picture, masked)
    assert (shift, zoom) == pytest.approx((1.5, 1), abs=0.1)


def test_another_scene_is_not_found_and_a_plain_wall_tells_nothing() -> None:
    other = cv2.resize(skimage.data.coins(), (360, 270))
    assert np.isnan(Reference(scene(), EVERYWHERE).motion(other, EVERYWHERE)).all()
    ramp = np.tile(np.linspace(50, 200, 360).astype(np.uint8), (270, 1))
    step = np.where(np.arange(360) < 180, 50, 200).astype(np.uint8)
    assert not Reference(ramp, EVERYWHERE).tells
    assert not Reference(np.tile(step, (270, 1)), EVERYWHERE).tells  # could slide along the edge
    assert Reference(scene(), EVERYWHERE).tells


# Verdict


def test_a_video_is_as_good_as_its_worst_finding() -> None:
    good, warning, bad = (Finding(str(level), level, "", "") for level in Level)
    assert str(verdict([good, good])) == "good"
    assert str(verdict([good, warning])) == "usable"
    assert str(verdict([warning, bad, good])) == "will not work"


def test_spans_reach_halfway_to_the_neighbours() -> None:
    times = np.array([0.0, 1, 2, 3, 4])
    marked = np.array([True, False, True, True, False])
    assert spans(times, marked) == [(0.0, 0.5), (1.5, 3.5)]
    assert spans(times, np.ones(5, bool)) == [(0.0, 4.0)]
    assert spans(np.zeros(0), np.zeros(0, bool)) == []


def test_the_longest_stretch_lies_between_the_marked_times() -> None:
    def found(level: Level, *times: tuple[float, float]) -> Finding:
        return Finding("any", level, "", "", times=times)

    cuts, hands = found(Level.USABLE, (10, 10), (50, 50)), found(Level.USABLE, (5, 8), (45, 52))
    assert longest_without([cuts, hands], 60) == (10, 45)
    assert longest_without([cuts, found(Level.GOOD, (20, 30))], 60) == (10, 50)
    assert longest_without([found(Level.USABLE)], 60) is None
    assert longest_without([found(Level.USABLE, (0, 60))], 60) is None
