"""Poses aligned with pictures of a textured face whose motion is known."""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from preprocess.face_fit import HEAD_TO_OPENCV, Fit
from preprocess.photometric_fit import (
    align,
    grey,
    look,
    mean_texture,
    normalise,
    refine_poses,
    rigid_surface,
)
from tests.preprocess.test_face_model import skin

SIZE, FOCAL, DISTANCE = 300, 800.0, 9.0
FRAMES = 12


@cache
def plane() -> np.ndarray:
    """(468, 3) a face pressed flat, so that a homography is its exact picture; decimetres."""
    points = skin() * (1, -1, 1)
    points = (points - points.mean(0)) / np.ptp(points[:, 1]) * 1.9
    return points * (1, 1, 0)


def true_fit() -> Fit:
    """Poses of a head that sways by a few degrees."""
    generator = np.random.default_rng(0)
    turns = Rotation.from_rotvec(np.radians(generator.normal(0, 4, (FRAMES, 3)))).as_matrix()
    shifts = generator.normal(0, 0.03, (FRAMES, 3)) + (0, 0, DISTANCE)
    return Fit(
        FOCAL,
        plane(),
        np.zeros((0, *plane().shape)),
        turns @ HEAD_TO_OPENCV,
        shifts,
        np.zeros((FRAMES, 0)),
        np.ones((len(plane()), 2)),
    )


def film(fit: Fit) -> np.ndarray:
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
    for rotation, shift in zip(fit.rotations, fit.translations, strict=True):
        seen = camera @ np.column_stack([rotation[:, :2], shift]) @ to_head
        picture = cv2.warpPerspective(canvas, seen, (SIZE, SIZE), flags=cv2.INTER_AREA)
        pictures.append(np.dstack([picture] * 3))
    return np.stack(pictures)


def disturbed(fit: Fit, degrees: float = 1.0) -> Fit:
    """The poses as landmarks might give them."""
    noise = np.random.default_rng(2).normal(0, np.radians(degrees), (FRAMES, 3))
    return replace(fit, rotations=Rotation.from_rotvec(noise).as_matrix() @ fit.rotations)


def errors(fit: Fit, truth: Fit) -> np.ndarray:
    """(N,) degrees, less a constant turn of the head frame."""
    off = Rotation.from_matrix(np.swapaxes(truth.rotations, 1, 2) @ fit.rotations)
    return np.degrees((off * off.mean().inv()).magnitude())


@pytest.mark.parametrize("light", [1.0, 0.7])
def test_a_pose_is_found_by_a_known_texture_in_any_light(light: float) -> None:
    truth = true_fit()
    start, surface = disturbed(truth, 0.3), rigid_surface(plane())
    points = surface.corners @ plane()
    pictures = [normalise(grey(picture), 1.0) for picture in film(truth)]
    views = [
        look(picture, points, surface.normals, rotation, shift, FOCAL)
        for picture, rotation, shift in zip(
            pictures, truth.rotations, truth.translations, strict=True
        )
    ]
    texture = mean_texture(
        np.stack([view.values for view in views]), np.stack([view.weights for view in views])
    )
    for i, frame in enumerate(film(truth)):
        picture = normalise(light * grey(frame), 1.0)
        pose, agreement = align(start, i, picture, points, surface.normals, texture, np.zeros(6))
        found = Rotation.from_rotvec(pose[:3]).as_matrix() @ start.rotations[i]
        off = Rotation.from_matrix(truth.rotations[i].T @ found).magnitude()
        assert np.degrees(off) < 0.4 and agreement > 0.9


def test_poses_texture_and_shape_are_found_together() -> None:
    truth = true_fit()
    start = disturbed(truth)
    found, followed = refine_poses(start, film(truth))
    assert followed.all()
    assert errors(start, truth).mean() > 1
    assert errors(found, truth).mean() < 0.3


def test_noise_keeps_the_pose_of_the_landmarks() -> None:
    truth = true_fit()
    start, pictures = disturbed(truth), film(truth)
    pictures[5] = np.random.default_rng(3).integers(0, 256, pictures[5].shape)
    found, followed = refine_poses(start, pictures)
    assert not followed[5] and followed.sum() == FRAMES - 1


def test_plain_pictures_change_nothing() -> None:
    start = disturbed(true_fit())
    found, followed = refine_poses(start, np.full((FRAMES, SIZE, SIZE, 3), 128, np.uint8))
    assert not followed.any()
    np.testing.assert_allclose(found.rotations, start.rotations, atol=1e-9)
    np.testing.assert_allclose(found.translations, start.translations, atol=1e-9)


@pytest.mark.parametrize("axis", range(6))
def test_gradients_are_those_of_finite_differences(axis: int) -> None:
    fit = true_fit()
    picture = normalise(cv2.GaussianBlur(grey(film(fit)[0]), (0, 0), 4), 6.0)
    surface = rigid_surface(fit.shape)
    points, rotation, shift = surface.corners @ fit.shape, fit.rotations[0], fit.translations[0]
    step = np.zeros(6)
    step[axis] = size = (0.03, 0.03, 0.01, 0.01, 0.01, 0.2)[axis]

    def values(sign: float) -> np.ndarray:
        turn = Rotation.from_rotvec(sign * step[:3]).as_matrix()
        place = shift + sign * step[3:]
        return look(picture, points, surface.normals, turn @ rotation, place, FOCAL).values

    there = look(picture, points, surface.normals, rotation, shift, FOCAL).by_pose[:, axis]
    difference = (values(1) - values(-1)) / (2 * size)
    assert np.linalg.norm(there - difference) < 0.2 * np.linalg.norm(difference)
