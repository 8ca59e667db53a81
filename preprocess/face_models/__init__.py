"""Morphable face models behind one interface.

A face is `vertices + identity coefficients . identity + expression coefficients . expression`
(Blanz and Vetter, 1999); the paper's {R, tau} and mean-expression face come from fitting one.
"""

from dataclasses import dataclass, replace

import numpy as np

from preprocess.head_frame import frontal_axes


@dataclass(frozen=True)
class FaceModel:
    """A linear model of heads, decimetres, in the head frame of its mean face: x right, y up, z out
    of the face, origin at the mean of FaceMesh's points.

    Attributes:
        name: of the backend.
        vertices: (V, 3) mean head without expression.
        faces: (F, 3) int32 triangles, counter-clockwise from outside.
        identity: (I, V, 3) what one standard deviation of each component adds.
        expression: (E, V, 3) the same for expressions.
        corners, weights: (468, 3) vertices and their shares: where FaceMesh's points lie.
        deviation: how far, decimetres, a person's points lie beside the model's: what the model
            cannot say, and what the detector means by a point.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    corners: np.ndarray
    weights: np.ndarray
    deviation: float

    def points(self, fields: np.ndarray) -> np.ndarray:
        """FaceMesh's points (..., 468, 3) of vertices, or of offsets of them, (..., V, 3)."""
        return np.einsum("pk,...pkd->...pd", self.weights, fields[..., self.corners, :])

    def in_head_frame(self) -> "FaceModel":
        """The same model, turned and shifted into the head frame of its mean face."""
        points = self.points(self.vertices)
        axes = frontal_axes(points)
        return replace(
            self,
            vertices=(self.vertices - points.mean(0)) @ axes.T,
            identity=self.identity @ axes.T,
            expression=self.expression @ axes.T,
        )
