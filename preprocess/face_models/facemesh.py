"""A face model learned from the clip itself: the mesh that FaceMesh sees, and how it moves."""

from typing import Any

import numpy as np

from preprocess import face_topology as mesh
from preprocess.face_models import FaceModel
from preprocess.face_template import build_template, subdivide
from preprocess.some_frames import evenly

COMPONENTS = 8
"""Expressions: lips, jaw, brows and lids, each with a few ways to move."""
LEARNING_FRAMES = 160
DEVIATION = 0.03
"""Decimetres: FaceMesh guesses depth from one picture."""


def learn(points: Any) -> FaceModel:
    """Build the model of a clip.

    Its identity is the clip's mean shape, and needs no coefficients; its expressions are principal
    components of what is left.

    Args:
        points: (N, 478, 3) FaceMesh points with irises, pixels; an array or an HDF5 dataset.
    """
    shape, residuals = build_template(points[evenly(len(points), LEARNING_FRAMES)].astype(float))
    flat = (residuals - residuals.mean(0)).reshape(len(residuals), -1)
    _, singular, components = np.linalg.svd(flat, full_matrices=False)
    expression = (components * (singular / np.sqrt(len(flat)))[:, None])[:COMPONENTS]
    vertices, faces = subdivide(shape, mesh.triangles())
    expression = np.stack(
        [subdivide(part, mesh.triangles())[0] for part in expression.reshape(-1, *shape.shape)]
    )
    corners = np.repeat(np.arange(mesh.MESH_POINTS)[:, None], 3, axis=1)
    return FaceModel(
        "facemesh",
        vertices,
        faces,
        np.zeros((0, *vertices.shape)),
        expression,
        corners,
        np.tile([1.0, 0.0, 0.0], (mesh.MESH_POINTS, 1)),
        DEVIATION,
    )
