"""Faces of which everything is known: shape, expressions, poses, focal length."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from preprocess import face_topology as mesh
from preprocess.face_template import LEFT_IRIS_SIDES, RIGHT_IRIS_SIDES
from preprocess.head_frame import frontal_axes
from ssp_nerf.cameras import c2w_from_head_pose_opencv, project, to_camera

IRIS_RADIUS = 0.0585  # decimetres


@dataclass(frozen=True)
class KnownClip:
    """A clip of landmarks as FaceMesh would give them, and what they were made from."""

    points: np.ndarray  # (N, 478, 3) pixels
    shape: np.ndarray  # (468, 3) decimetres
    c2w: np.ndarray  # (N, 3, 4)
    focal: float
    width: int
    height: int


def known_clip(
    skin: np.ndarray,
    frames: int = 150,
    focal: float = 1300.0,
    size: int = 450,
    noise: float = 0.5,
    seed: int = 0,
) -> KnownClip:
    """Project an animated face with a moving head.

    Args:
        skin: (468, 3) mesh points of one real face, x right, y down, z away, any unit; they only
            lend their proportions.
        focal: pixels.
        noise: standard deviation of each coordinate, pixels, independent in all points and frames.
    """
    random = np.random.default_rng(seed)
    shape = face_shape(skin)
    expressions = expression_basis(shape)
    time = np.arange(frames) / 25
    coefficients = np.stack(
        [np.sin(2 * np.pi * 3 * time), np.sin(2 * np.pi * 1.3 * time + 1), np.cos(5 * time)], 1
    )
    faces = shape + np.tensordot(coefficients, expressions, axes=1)
    faces = np.concatenate([faces, irises(faces)], axis=1)

    turns = np.stack(
        [0.15 * np.sin(1.1 * time), 0.25 * np.sin(0.7 * time + 1), 0.08 * np.sin(1.7 * time)], 1
    )
    rotations = np.diag([1.0, -1.0, -1.0]) @ Rotation.from_rotvec(turns).as_matrix()
    distance = focal * np.ptp(shape[:, 1]) / (0.5 * size)  # the face fills half the picture
    shifts = np.stack(
        [
            0.15 * np.sin(0.9 * time),
            0.1 * np.sin(1.3 * time),
            distance + 0.1 * np.sin(0.5 * time),
        ],
        1,
    )
    c2w = c2w_from_head_pose_opencv(rotations, shifts)

    pixels = project(faces, c2w, focal, size, size)
    # FaceMesh's depth: as from far away, on the scale of x, zero at the middle of the head.
    depth = -to_camera(faces, c2w)[..., 2]
    away = (depth - depth.mean(1, keepdims=True)) * focal / depth.mean(1, keepdims=True)
    points = np.concatenate([pixels, away[..., None]], axis=-1)
    points += random.normal(0, noise, points.shape)
    return KnownClip(points, shape, c2w, focal, size, size)


def face_shape(skin: np.ndarray) -> np.ndarray:
    """(468, 3) the face in decimetres, head frame, 1.6 dm from chin to forehead."""
    shape = (skin - skin.mean(0)) * (1, -1, -1)
    shape = shape @ frontal_axes(shape).T
    return shape * 1.6 / np.ptp(shape[:, 1])


def expression_basis(shape: np.ndarray) -> np.ndarray:
    """(3, 468, 3) jaw drop, mouth width and eyebrow raise; decimetres at coefficient 1."""
    basis = np.zeros((3, *shape.shape))
    mouth = shape[list(mesh.LIPS_INNER)].mean(0)
    chin = shape[152]
    below = np.clip((mouth[1] - shape[:, 1]) / (mouth[1] - chin[1]), 0, 1)
    basis[0, :, 1] = -0.08 * below
    near_mouth = np.exp(-(((shape - mouth) / 0.25) ** 2).sum(-1))
    basis[1, :, 0] = 0.15 * near_mouth * (shape[:, 0] - mouth[0])
    basis[1, :, 2] = 0.03 * near_mouth
    basis[2, [*mesh.RIGHT_EYEBROW, *mesh.LEFT_EYEBROW], 1] = 0.05
    return basis


def irises(faces: np.ndarray) -> np.ndarray:
    """(N, 10, 3) centre and four ends of both irises, between the corners of the eyes."""
    points = np.empty((len(faces), 10, 3))
    for first, ring, (a, b) in (
        (0, mesh.RIGHT_EYE, RIGHT_IRIS_SIDES),
        (5, mesh.LEFT_EYE, LEFT_IRIS_SIDES),
    ):
        centre = faces[:, [ring[0], ring[8]]].mean(1)
        points[:, first : first + 5] = centre[:, None]
        points[:, a - mesh.MESH_POINTS, 0] += IRIS_RADIUS
        points[:, b - mesh.MESH_POINTS, 0] -= IRIS_RADIUS
        points[:, a - mesh.MESH_POINTS + 1, 1] += IRIS_RADIUS
        points[:, b - mesh.MESH_POINTS + 1, 1] -= IRIS_RADIUS
    return points
