"""The fitted face, frame by frame: where it is, what the camera sees of it, and its shading."""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from preprocess.qc.drawing import FRACTION_BITS, Colour, fixed
from ssp_nerf.cameras import project, to_camera
from ssp_nerf.schema import TRACK

NEIGHBOURS = 3  # vertices that carry a point: the corners of a triangle
LIGHT = np.array([-0.45, 0.45, 0.77])
"""Towards the light, camera axes: over the camera's left shoulder, as portraits are lit."""
SHADES = 256
AMBIENT = 0.3  # share of the light that comes from everywhere


@dataclass(frozen=True)
class FittedFace:
    """What `fit_face_model` found, and where it places the face in each frame.

    Attributes:
        model: name of the face model.
        c2w: (N, 3, 4).
        focal: pixels.
        width, height: pixels.
        vertices: (V, 3) mean expression, head frame, decimetres.
        triangles: (F, 3) counter-clockwise from outside.
        points: (468, 3) FaceMesh's points on the mean expression.
        expression: (N, E).
        basis: (E, V, 3).
        point_basis: (E, 468, 3) what a unit of each expression adds to the points.
        error: (N,) reprojection error, pixels.
    """

    model: str
    c2w: np.ndarray
    focal: float
    width: int
    height: int
    vertices: np.ndarray
    triangles: np.ndarray
    points: np.ndarray
    expression: np.ndarray
    basis: np.ndarray
    point_basis: np.ndarray
    error: np.ndarray

    @classmethod
    def read(cls, track: Path) -> "FittedFace":
        """Of a file of the TRACK layout."""
        arrays, about = TRACK.read(track)
        carried = carriers(arrays["face_points"], arrays["vertices"])
        return cls(
            str(about["model"]),
            arrays["c2w"],
            float(about["focal"]),
            int(about["width"]),
            int(about["height"]),
            arrays["vertices"],
            arrays["faces"],
            arrays["face_points"],
            arrays["expression"],
            arrays["basis"],
            (arrays["basis"][:, carried[0]] * carried[1][..., None]).sum(2),
            arrays["reprojection_error"],
        )

    def vertices_at(self, frame: int) -> np.ndarray:
        """(V, 3) with the frame's expression, head frame, decimetres."""
        return self.vertices + np.tensordot(self.expression[frame], self.basis, axes=1)

    def points_at(self, frame: int) -> np.ndarray:
        """(468, 3) FaceMesh's points with the frame's expression."""
        return self.points + np.tensordot(self.expression[frame], self.point_basis, axes=1)

    def camera(self, places: np.ndarray, frame: int) -> np.ndarray:
        """(V, 3) places in the head frame -> camera axes."""
        return to_camera(places, self.c2w[frame])

    def pixels(self, places: np.ndarray, frame: int) -> np.ndarray:
        """Where (V, 3) places in the head frame are seen: (V, 2)."""
        return project(places, self.c2w[frame], self.focal, self.width, self.height)


def carriers(points: np.ndarray, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vertices that move a point of the surface along, and their shares.

    The nearest three, by the inverse of their distances; a point on a vertex moves as it does.

    Args:
        points: (P, 3); vertices: (V, 3).

    Returns:
        (P, 3) indices and (P, 3) shares that add up to 1.
    """
    from scipy.spatial import cKDTree

    distance, nearest = cKDTree(vertices).query(points, k=min(NEIGHBOURS, len(vertices)))
    closeness = 1 / np.maximum(distance, 1e-9)
    return nearest, closeness / closeness.sum(1, keepdims=True)


def facing(triangles: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(F,) bool: triangles whose outside is seen; (F, 3), (V, 2) pixels with y down.

    One that turns counter-clockwise from outside turns so in the picture, where its area comes out
    negative as y points down.
    """
    a, b, c = (pixels[triangles[:, corner]] for corner in range(3))
    first, second = b - a, c - a
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] < 0


def shade(canvas: np.ndarray, face: "Seen", colour: Colour) -> None:
    """Paint the triangles that face the camera, far ones first, lit by `LIGHT`.

    A triangle is as light as its three corners on average, so that small ones look round.
    """
    light = np.clip(face.normals @ (LIGHT / np.linalg.norm(LIGHT)), 0, 1)
    levels = (light[face.triangles].mean(1) * (SHADES - 1)).round().astype(int)
    shades = AMBIENT + (1 - AMBIENT) * np.linspace(0, 1, SHADES)
    colours = (shades[:, None] * np.array(colour)).round().tolist()
    # The camera looks along -z.
    order = np.argsort(face.camera[face.triangles, 2].mean(1), kind="stable")
    places = fixed(face.pixels)[face.triangles[order]]
    for corners, level in zip(places, levels[order].tolist(), strict=True):
        cv2.fillConvexPoly(canvas, corners, colours[level], cv2.LINE_8, FRACTION_BITS)


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V, 3) unit vectors out of the surface: means over the triangles around, by their areas."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    normal = np.cross(b - a, c - a)
    total = np.stack(
        [
            np.bincount(triangles.ravel(), normal[:, axis].repeat(3), len(vertices))
            for axis in range(3)
        ],
        1,
    )
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class Seen:
    """Vertices as a camera sees them, and the triangles that face it.

    Attributes:
        camera: (V, 3) camera axes, decimetres.
        normals: (V, 3) out of the surface, camera axes.
        pixels: (V, 2) in the picture that is drawn on.
        triangles: (T, 3).
    """

    camera: np.ndarray
    normals: np.ndarray
    pixels: np.ndarray
    triangles: np.ndarray

    @classmethod
    def of(cls, camera: np.ndarray, pixels: np.ndarray, triangles: np.ndarray) -> "Seen":
        """What is seen of all `triangles` (F, 3)."""
        normals = vertex_normals(camera, triangles)
        return cls(camera, normals, pixels, triangles[facing(triangles, pixels)])

    def only(self, chosen: np.ndarray) -> "Seen":
        """Those triangles whose corners are all among the (V,) bool `chosen` vertices."""
        return replace(self, triangles=self.triangles[chosen[self.triangles].all(1)])


def seen_turned(
    vertices: np.ndarray, triangles: np.ndarray, yaw: float, width: int, height: int, scale: float
) -> Seen:
    """The face turned by `yaw` degrees about its y axis, from far away.

    Args:
        scale: pixels of a decimetre; the middle of the head frame is that of the picture.
    """
    angle = np.radians(yaw)
    cos, sin = np.cos(angle), np.sin(angle)
    turned = vertices @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    pixels = np.array([width, height]) / 2 + scale * turned[:, :2] * (1, -1)
    return Seen.of(turned, pixels, triangles)
