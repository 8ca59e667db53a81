"""Everything moves as it is said to, and poses, landmarks and vertices tell the same story."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from preprocess.demo_subject.looks import LOOKS
from preprocess.demo_subject.motion import (
    GAZE_DEGREES,
    blinks,
    bump,
    motion,
    saccades,
    wander,
)
from preprocess.demo_subject.person import head_share
from preprocess.demo_subject.scene import (
    EYES_AT,
    compose,
    move,
    rigid,
    stage,
)
from preprocess.face_topology import MESH_POINTS
from preprocess.head_frame import frontal_axes
from preprocess.makehuman_points import anchors, face_points
from ssp_nerf.cameras import project, to_camera
from tests.preprocess.demo_subject.subjects import SIZE, person, scene, speech

everybody = pytest.mark.parametrize("name", LOOKS)
TIMES = np.arange(0, 400, 0.04)
WITH_SKULL = (anchors()[1] * head_share()[anchors()[0]]).sum(1) > 0.999
"""Points that only the head moves; the throat has a little say in some under the chin."""


def test_curves_have_the_size_and_the_speed_they_claim() -> None:
    low, high = 0.2, 0.9
    curves = wander(np.random.default_rng(0), TIMES, (low, high), 5)
    np.testing.assert_allclose(curves.std(0), 1, atol=0.05)
    power = np.abs(np.fft.rfft(curves, axis=0)) ** 2
    hertz = np.fft.rfftfreq(len(TIMES), 0.04)
    inside = (hertz > 0.84 * low) & (hertz < 1.17 * high)
    assert power[inside].sum() > 0.98 * power[1:].sum()


def test_a_bump_is_a_hill() -> None:
    after = np.linspace(-1, 1, 2001)
    hill = bump(after, 0.5)
    assert hill.max() == 1 and hill.argmax() == 1000
    np.testing.assert_array_equal(hill[np.abs(after) > 0.5], 0)
    assert hill.sum() * 0.001 == pytest.approx(0.5, rel=1e-3), "the integral of cos²"


def test_lids_shut_fully_and_people_blink_as_often_as_people_do() -> None:
    times = np.arange(0, 400, 0.001)
    closed = blinks(np.random.default_rng(0), times)
    assert closed.min() == 0 and closed.max() == pytest.approx(1, abs=1e-3)
    starts = np.flatnonzero((closed[:-1] == 0) & (closed[1:] > 0))
    per_minute = len(starts) / 400 * 60
    assert 12 < per_minute < 26
    assert (closed > 0).mean() < 0.12


def test_eyes_jump_and_rest() -> None:
    gaze = saccades(np.random.default_rng(0), TIMES)
    resting = (np.diff(gaze, axis=0) == 0).all(1)
    assert 0.9 < resting.mean() < 0.99
    assert gaze[:, 0].std() == pytest.approx(GAZE_DEGREES, rel=0.15)
    assert gaze[:, 1].std() == pytest.approx(GAZE_DEGREES / 2, rel=0.15)


def test_a_longer_clip_begins_like_a_shorter_one() -> None:
    long, short = (motion(times, [0.5, 2.0], 3) for times in (TIMES[:1000], TIMES[:100]))
    for part in ("head", "torso"):
        np.testing.assert_allclose(
            getattr(long, part)[:100].as_matrix(), getattr(short, part).as_matrix(), atol=1e-12
        )
    np.testing.assert_allclose(long.sway[:100], short.sway, atol=1e-12)
    np.testing.assert_array_equal(long.gaze[:100], short.gaze)
    for unit, strength in short.units.items():
        np.testing.assert_allclose(long.units[unit][:100], strength, atol=1e-12)


def test_heads_of_speakers_stay_near_the_front() -> None:
    degrees = np.degrees(motion(TIMES, [], 0).head.magnitude())
    assert (degrees < 20).mean() > 0.95
    assert degrees.max() > 10


def test_rigid_motions_keep_their_pivot_and_compose() -> None:
    random = np.random.default_rng(0)
    turns = Rotation.random(2, random_state=0).as_matrix()
    pivot, shift, points = random.normal(size=(3, 3, 3)) @ np.diag([1, 2, 3])
    motions = rigid(turns, pivot[0], shift[:2])
    for each, by in zip(motions, shift, strict=False):
        np.testing.assert_allclose(move(each, pivot[0]), pivot[0] + by)
    one_by_one = move(motions[1], move(motions[0], points))
    np.testing.assert_allclose(move(compose(motions[1:], motions[:1])[0], points), one_by_one)


def test_a_clip_has_the_whole_frames_of_its_speech() -> None:
    seconds = len(speech().samples) / speech().rate
    count = len(scene("anna", SIZE))
    assert count <= seconds * 25 < count + 1
    assert all(len(strength) == count for strength in scene("anna", SIZE).units.values())


@everybody
def test_the_frame_is_that_of_the_mean_face(name: str) -> None:
    clip = scene(name, SIZE)
    mean = clip.mean_face()
    assert mean.shape == (MESH_POINTS, 3)
    np.testing.assert_allclose(mean.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(frontal_axes(mean), np.eye(3), atol=1e-9)
    # The mean of the faces is the face of the mean.
    faces = [
        face_points(clip.person.expression(clip.expression(i)))[:MESH_POINTS]
        for i in range(len(clip))
    ]
    np.testing.assert_allclose(mean, move(clip.frame, np.mean(faces, 0)), atol=1e-6)


@everybody
def test_poses_take_the_canonical_face_to_its_pixels(name: str) -> None:
    """Two routes: the head in the camera's axes, and the camera in the head's."""
    clip = scene(name, SIZE)
    c2w = clip.c2w()
    rotation = c2w[:, :, :3]
    np.testing.assert_allclose(
        rotation @ np.swapaxes(rotation, 1, 2), np.tile(np.eye(3), (len(clip), 1, 1)), atol=1e-5
    )
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-5)
    canonical = np.stack(
        [move(clip.frame, face_points(clip.face(i))) for i in range(0, len(clip), 6)]
    )
    pixels = project(canonical, c2w[::6], clip.focal, SIZE, SIZE)
    apart = np.abs(pixels - clip.points()[::6, :, :2]).max(axis=(0, 2))
    assert WITH_SKULL.mean() > 0.95
    assert apart[WITH_SKULL].max() < 1e-3
    assert apart.max() < 0.1
    # Depth, on the scale of pixels: linear in the distance, smaller is nearer, zero on average.
    depth = -to_camera(canonical, c2w[::6])[..., 2]
    z = clip.points()[::6, :, 2]
    np.testing.assert_allclose(z[:, :MESH_POINTS].mean(1), 0, atol=1e-3)
    scale = clip.focal / depth[:, :MESH_POINTS].mean(1)
    np.testing.assert_allclose(
        (z - z[:, 4:5])[:, WITH_SKULL],
        (scale[:, None] * (depth - depth[:, 4:5]))[:, WITH_SKULL],
        atol=1e-2,
    )


def test_the_size_scales_pixels_and_nothing_else() -> None:
    small, large = scene("anna", SIZE), scene("anna", 2 * SIZE)
    np.testing.assert_allclose(large.points(), 2 * small.points(), atol=1e-3)
    np.testing.assert_allclose(large.c2w(), small.c2w(), atol=1e-6)


@everybody
def test_the_face_is_in_the_picture_at_its_place(name: str) -> None:
    points = scene(name, SIZE).points()
    assert points[..., :2].min() > 0.1 * SIZE and points[..., :2].max() < 0.85 * SIZE
    eyes = points[:, [468, 473], :2].mean((0, 1))
    np.testing.assert_allclose(eyes, (SIZE / 2, EYES_AT * SIZE), atol=0.06 * SIZE)
    distance = np.linalg.norm(scene(name, SIZE).c2w()[..., 3], axis=-1)
    np.testing.assert_allclose(distance, person(name).look.distance, atol=0.5)


def test_the_head_moves_on_a_quieter_torso() -> None:
    clip = scene("anna", SIZE)
    head, torso = (
        np.degrees(Rotation.from_matrix(part[:, :, :3]).magnitude())
        for part in (clip.head, clip.torso)
    )
    assert head.mean() > 3 * torso.mean()
    neck = person("anna").joint("head")
    for inner, outer in zip(clip.head, clip.torso, strict=True):
        np.testing.assert_allclose(move(inner, neck), move(outer, neck), atol=1e-9)


def test_skin_between_head_and_torso_is_between_their_motions() -> None:
    clip = scene("anna", SIZE)
    share = clip.person.head_share
    rest, moved = clip.face(5), clip.vertices(5)
    np.testing.assert_allclose(moved[share == 0], move(clip.torso[5], rest[share == 0]))
    np.testing.assert_allclose(moved[share == 1], move(clip.head[5], rest[share == 1]))


@everybody
def test_eyes_look_at_the_camera_but_for_their_jumps(name: str) -> None:
    clip = scene(name, SIZE)
    staring = replace(clip, motion=replace(clip.motion, gaze=np.zeros_like(clip.motion.gaze)))
    for index in range(0, len(clip), 9):
        turns = zip(clip.person.eyes, staring.eye_turns(index), clip.eye_turns(index), strict=True)
        for eye, straight, aside in turns:
            middle = move(clip.head[index], clip.person.vertices[eye].mean(0))
            axes = [clip.head[index, :, :3] @ turn[:, 2] for turn in (straight, aside)]
            np.testing.assert_allclose(axes[0], -middle / np.linalg.norm(middle), atol=1e-9)
            angle = np.degrees(np.arccos(np.clip(axes[0] @ axes[1], -1, 1)))
            assert angle == pytest.approx(np.hypot(*clip.motion.gaze[index]), rel=0.1, abs=0.05)


def test_eyes_turn_about_their_middles() -> None:
    clip = scene("anna", SIZE)
    rest, turned = clip.person.expression(clip.expression(3)), clip.face(3)
    for eye in clip.person.eyes:
        np.testing.assert_allclose(turned[eye].mean(0), rest[eye].mean(0), atol=1e-9)
        assert np.abs(turned[eye] - rest[eye]).max() > 1e-3
    others = np.setdiff1d(np.arange(len(rest)), np.concatenate(clip.person.eyes))
    np.testing.assert_array_equal(turned[others], rest[others])


def test_a_seed_decides() -> None:
    again, other = (stage(person("anna"), speech(), seed, SIZE) for seed in (1, 2))
    np.testing.assert_array_equal(again.c2w(), scene("anna", SIZE).c2w())
    assert np.abs(other.c2w() - again.c2w()).max() > 0.05
    np.testing.assert_array_equal(other.units["jawOpen"], again.units["jawOpen"])
