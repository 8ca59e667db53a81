"""Poses aligned with pictures of a textured face whose motion is known."""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from preprocess import face_topology as mesh
from preprocess.photometric_fit import (
    Poses,
    align,
    grey,
    look,
    mean_texture,
    normalise,
    onto,
    refine_poses,
)
from preprocess.skull_surface import DEVIATION, Surface, skull_surface
from tests.preprocess.test_face_model import skin

SIZE, FOCAL, DISTANCE = 300, 800.0, 9.0
FRAMES = 12
HEAD_TO_OPENCV = np.diag([1.0, -1.0, -1.0])  # of a frontal head


@cache
def plane() -> np.ndarray:
    """(468, 3) a face pressed flat, so that a homography is its exact picture; decimetres."""
    points = skin() * (1, -1, 1)
    points = (points - points.mean(0)) / np.ptp(points[:, 1]) * 1.9
    return points * (1, 1, 0)


@cache
def surface() -> Surface:
    return skull_surface(plane())


def true_poses() -> Poses:
    """Of a head that sways by a few degrees."""
    generator = np.random.default_rng(0)
    turns = Rotation.from_rotvec(np.radians(generator.normal(0, 4, (FRAMES, 3)))).as_matrix()
    shifts = generator.normal(0, 0.03, (FRAMES, 3)) + (0, 0, DISTANCE)
    return Poses(FOCAL, turns @ HEAD_TO_OPENCV, shifts)


def film(poses: Poses) -> np.ndarray:
    """(N, H, W, 3) uint8 pictures of a spotted plane z = 0 at the poses."""
    side, per_dm = 600, 200.0
    spots = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 1, (side, side)), (0, 0), 3)
    canvas = np.clip(128 + 40 * spots / spots.std(), 0, 255).astype(np.uint8)
    to_head = np.array(
        [[1 / per_dm, 0, -side / 2 / per_dm], [0, -1 / per_dm, side / 2 / per_dm], [0, 0, 1]]
    )
    middle = SIZE / 2 - 0.5
    camera = np.array([[FOCAL, 0, middle], [0, FOCAL, middle], [0, 0, 1]])
    pictures = []
    for rotation, shift in zip(poses.rotations, poses.translations, strict=True):
        seen = camera @ np.column_stack([rotation[:, :2], shift]) @ to_head
        picture = cv2.warpPerspective(canvas, seen, (SIZE, SIZE), flags=cv2.INTER_AREA)
        pictures.append(np.dstack([picture] * 3))
    return np.stack(pictures)


def disturbed(poses: Poses, degrees: float = 1.0) -> Poses:
    """The poses as landmarks might give them."""
    noise = np.random.default_rng(2).normal(0, np.radians(degrees), (FRAMES, 3))
    return replace(poses, rotations=Rotation.from_rotvec(noise).as_matrix() @ poses.rotations)


def errors(poses: Poses, truth: Poses) -> np.ndarray:
    """(N,) degrees, less a constant turn of the head frame."""
    off = Rotation.from_matrix(np.swapaxes(truth.rotations, 1, 2) @ poses.rotations)
    return np.degrees((off * off.mean().inv()).magnitude())


@pytest.mark.parametrize("light", [1.0, 0.7])
def test_a_pose_is_found_by_a_known_texture_in_any_light(light: float) -> None:
    truth = true_poses()
    start, points = disturbed(truth, 0.3), surface().points
    pictures = [normalise(grey(picture), 1.0) for picture in film(truth)]
    views = [
        look(picture, points, surface().normals, rotation, shift, FOCAL)
        for picture, rotation, shift in zip(
            pictures, truth.rotations, truth.translations, strict=True
        )
    ]
    texture = mean_texture(
        np.stack([view.values for view in views]), np.stack([view.weights for view in views])
    )
    for i, frame in enumerate(film(truth)):
        picture = normalise(light * grey(frame), 1.0)
        pose, agreement = align(start, i, picture, points, surface().normals, texture, np.zeros(6))
        found = Rotation.from_rotvec(pose[:3]).as_matrix() @ start.rotations[i]
        off = Rotation.from_matrix(truth.rotations[i].T @ found).magnitude()
        assert np.degrees(off) < 0.4 and agreement > 0.9


def test_poses_texture_and_shape_are_found_together() -> None:
    truth = true_poses()
    start = disturbed(truth)
    found, followed = refine_poses(start, surface(), film(truth))
    assert followed.all()
    assert errors(start, truth).mean() > 1
    assert errors(found, truth).mean() < 0.3


def test_noise_keeps_the_pose_of_the_landmarks() -> None:
    truth = true_poses()
    start, pictures = disturbed(truth), film(truth)
    pictures[5] = np.random.default_rng(3).integers(0, 256, pictures[5].shape)
    found, followed = refine_poses(start, surface(), pictures)
    assert not followed[5] and followed.sum() == FRAMES - 1


def test_plain_pictures_change_nothing() -> None:
    start = disturbed(true_poses())
    found, followed = refine_poses(
        start, surface(), np.full((FRAMES, SIZE, SIZE, 3), 128, np.uint8)
    )
    assert not followed.any()
    np.testing.assert_allclose(found.rotations, start.rotations, atol=1e-9)
    np.testing.assert_allclose(found.translations, start.translations, atol=1e-9)


@pytest.mark.parametrize("axis", range(6))
def test_gradients_are_those_of_finite_differences(axis: int) -> None:
    poses = true_poses()
    picture = normalise(cv2.GaussianBlur(grey(film(poses)[0]), (0, 0), 4), 6.0)
    points, rotation, shift = surface().points, poses.rotations[0], poses.translations[0]
    step = np.zeros(6)
    step[axis] = size = (0.03, 0.03, 0.01, 0.01, 0.01, 0.2)[axis]

    def values(sign: float) -> np.ndarray:
        turn = Rotation.from_rotvec(sign * step[:3]).as_matrix()
        place = shift + sign * step[3:]
        return look(picture, points, surface().normals, turn @ rotation, place, FOCAL).values

    there = look(picture, points, surface().normals, rotation, shift, FOCAL).by_pose[:, axis]
    difference = (values(1) - values(-1)) / (2 * size)
    assert np.linalg.norm(there - difference) < 0.2 * np.linalg.norm(difference)


def test_poses_of_a_moved_body_show_the_same() -> None:
    poses, points = true_poses(), surface().points
    turn = Rotation.from_rotvec([0.1, -0.2, 0.05]).as_matrix()
    moved = 1.2 * points @ turn.T + (0.1, 0.2, -0.3)

    def pixels(poses: Poses, points: np.ndarray) -> np.ndarray:
        camera = points @ np.swapaxes(poses.rotations, 1, 2) + poses.translations[:, None]
        return FOCAL * camera[..., :2] / camera[..., 2:]

    np.testing.assert_allclose(
        pixels(onto(poses, points, moved), moved), pixels(poses, points), atol=1e-8
    )


def test_the_skull_has_no_eyes_brows_or_mouth() -> None:
    face = skin() * (1, -1, -1)
    face = (face - face.mean(0)) / np.ptp(face[:, 1]) * 1.8
    found = skull_surface(face)
    moving = [*mesh.LIPS_OUTER, mesh.CHIN, *mesh.RIGHT_EYE, *mesh.LEFT_EYEBROW]
    apart = np.linalg.norm(found.points[:, None] - face[moving], axis=-1)
    assert apart.min() > 0.01
    nose, temple = np.linalg.norm(found.points[:, None] - face[[6, 127]], axis=-1).min(0)
    assert nose < 1e-6 and temple < 1e-6
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1)
    assert (found.normals[:, 2] > 0).mean() > 0.9, "out of the face"


def test_the_skin_may_lie_elsewhere_by_the_deviation_that_is_said() -> None:
    """The variances of all ways add up to the process's own, but for the roughest of them."""
    spread = np.sqrt((surface().basis ** 2).sum(0))
    assert spread.max() < DEVIATION * 1.0001
    assert spread.mean() > 0.9 * DEVIATION
