"""The skin that moves with the skull, as a surface whose pictures tell the pose of the head."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from preprocess import face_topology as mesh
from preprocess.face_template import OUTER_EYE_CORNERS, subdivide

LOWEST = 0.5
"""Of the way from the base of the nose up to the outer corners of the eyes: skin below it moves
with the mouth."""
DEVIATION, LENGTH = 0.03, 0.2
"""How far, decimetres, the shape from landmarks is wrong, and over what length together."""
WAYS = 80
"""Ways in which the skin may lie elsewhere, for each axis: the smoothest. With half as many its
depth, and so the size of turns, is off by up to a fifth; twice as many change nothing."""


@dataclass(frozen=True)
class Surface:
    """M points on forehead, temples, cheekbones and bridge of the nose, head frame, decimetres.

    Attributes:
        points: (M, 3).
        normals: (M, 3) outward.
        basis: (K, M, 3) ways in which they may lie elsewhere, each one standard deviation.
    """

    points: np.ndarray
    normals: np.ndarray
    basis: np.ndarray


def skull_surface(face: np.ndarray) -> Surface:
    """The mesh of FaceMesh on a face, filled up to a point for every four pixels or so.

    Args:
        face: (468, 3) this person's points.
    """
    corners, faces = rigid_mesh(face)
    points = corners @ face
    rigid = np.isin(np.arange(len(corners)), faces) & (points[:, 1] > lowest(face))
    normals = vertex_normals(points, faces)
    return Surface(points[rigid], normals[rigid], beside(points[rigid]))


def rigid_mesh(face: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Barycentric weights (M, 468) of the points of a finer mesh without lids and brows, above the
    base of the nose, and its triangles (F, 3).

    Args:
        face: (468, 3) head frame.
    """
    soft = {*mesh.RIGHT_EYE, *mesh.LEFT_EYE, *mesh.RIGHT_EYEBROW, *mesh.LEFT_EYEBROW}
    triangles = mesh.triangles().tolist()
    around = {v for triangle in triangles if soft & set(triangle) for v in triangle}
    faces = np.array(
        [
            triangle
            for triangle in triangles
            if not set(triangle) <= around and face[triangle, 1].min() > face[mesh.NOSE_BASE, 1]
        ]
    )
    corners = np.eye(len(face))
    for _ in range(2):
        corners, faces = subdivide(corners, faces)
    return corners, faces


def lowest(face: np.ndarray) -> float:
    """Height above which the skin of a face (468, 3) is over the skull."""
    base, eyes = face[mesh.NOSE_BASE, 1], face[list(OUTER_EYE_CORNERS), 1].mean()
    return float(base + LOWEST * (eyes - base))


def beside(points: np.ndarray) -> np.ndarray:
    """(3 WAYS, M, 3) smooth offsets of points (M, 3): the main components of a Gaussian process
    with standard deviation `DEVIATION` and length `LENGTH`."""
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    first = max(0, len(points) - WAYS)
    values, ways = eigh(
        DEVIATION**2 * np.exp(-0.5 * (distance / LENGTH) ** 2),
        subset_by_index=(first, len(points) - 1),
    )
    scaled = ways * np.sqrt(np.maximum(values, 0))
    return np.einsum("mk,ij->ikmj", scaled, np.eye(3)).reshape(-1, *points.shape)


def vertex_normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(M, 3) unit normals of a mesh, the mean of those of the triangles around weighted by area."""
    a, b, c = np.moveaxis(points[faces], 1, 0)
    normals = np.zeros_like(points)
    np.add.at(normals, faces, np.cross(b - a, c - a)[:, None])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / np.maximum(lengths, np.finfo(float).tiny)
