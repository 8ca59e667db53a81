"""FaceMesh's points on any textured head: it is drawn from several sides and shown to FaceMesh.

So a model that comes without landmarks gets all 468, as the detector itself means them.
"""

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from preprocess.face_models import makehuman
from preprocess.face_models.surface import nearest_on_mesh
from preprocess.face_template import similarities
from preprocess.face_topology import MESH_POINTS
from preprocess.landmarks_mediapipe import FaceMesh

SIZE = 512  # pixels
SPAN = 3.6
"""Decimetres across a picture: a head, with room around it."""
TURNS = (-30.0, -15.0, 0.0, 15.0, 30.0)
"""Degrees to the side. A point is taken from the picture where its place faces the camera most."""
GREY = 128
AMBIENT = 0.4  # share of the light that comes from everywhere; the rest is at the camera
ASTRAY = 0.25
"""Decimetres from where an average head has the point: people differ by less."""
SUBPIXEL_BITS = 4


def find_points(
    vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Corners (468, 3) and barycentric weights (468, 3) of FaceMesh's points, or None where no
    picture shows a face.

    Args:
        vertices: (V, 3) decimetres, x right, y up, z out of the face.
        faces: (F, 3) counter-clockwise from outside.
        colours: (V, 3) uint8 RGB.
    """
    middle = (vertices.min(0) + vertices.max(0)) / 2
    best = np.full(MESH_POINTS, -np.inf)
    corners = np.zeros((MESH_POINTS, 3), int)
    weights = np.zeros((MESH_POINTS, 3))
    for degrees in TURNS:
        turned = (vertices - middle) @ Rotation.from_euler("Y", degrees, degrees=True).as_matrix().T
        pixels = turned[:, :2] * (SIZE / SPAN) * (1, -1) + SIZE / 2
        picture, drawn = draw(pixels, turned[:, 2], faces, colours)
        points = FaceMesh().points(picture)  # a new one: what it saw before would sway it
        if points is None:
            continue
        columns, rows = (points[:MESH_POINTS, :2].clip(0, SIZE - 1)).astype(int).T
        triangle = drawn[rows, columns]
        a, b, c = np.moveaxis(turned[faces[triangle]], 1, 0)
        normals = np.cross(b - a, c - a)
        facing = normals[:, 2] / np.linalg.norm(normals, axis=1)
        facing[triangle < 0] = -np.inf
        better = facing > best
        best[better] = facing[better]
        corners[better] = faces[triangle[better]]
        weights[better] = barycentric(points[:MESH_POINTS, :2][better], pixels[corners[better]])
    if not np.isfinite(best).any():
        return None
    return with_strays_mended(vertices, faces, corners, weights, np.isfinite(best))


def with_strays_mended(
    vertices: np.ndarray,
    faces: np.ndarray,
    corners: np.ndarray,
    weights: np.ndarray,
    found: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Corners and weights with those replaced that just missed the outline, and met the throat
    behind the chin or nothing: they lie where MakeHuman's mean head, moved onto the others, has
    them.

    Args:
        found: (468,) bool, where a picture met the head at all.
    """
    known = makehuman.load()
    usual = known.points(known.vertices)
    places = np.einsum("pk,pkd->pd", weights, vertices[corners])
    inside = found
    for _ in range(2):
        (rotation,), (scale,), (shift,) = similarities(usual[inside], places[None, inside])
        expected = scale * usual @ rotation.T + shift
        inside = found & (np.linalg.norm(places - expected, axis=1) < ASTRAY)
    mended = nearest_on_mesh(expected[~inside], vertices, faces)
    corners[~inside], weights[~inside] = mended
    return corners, weights


def draw(
    pixels: np.ndarray, height: np.ndarray, faces: np.ndarray, colours: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A picture (SIZE, SIZE, 3) uint8 and the triangle seen in each pixel (SIZE, SIZE), -1 where
    none: the painter's way, from the farthest triangle to the nearest.

    Args:
        pixels: (V, 2). height: (V,) towards the camera.
        faces: (F, 3). colours: (V, 3) uint8 RGB.
    """
    picture = np.full((SIZE, SIZE, 3), GREY, np.uint8)
    drawn = np.full((SIZE, SIZE), -1, np.int32)
    # Pixel centres are at +0.5 in our points, at whole numbers in OpenCV's.
    fixed = ((pixels[faces] - 0.5) * (1 << SUBPIXEL_BITS)).round().astype(np.int32)
    a, b, c = np.moveaxis(np.column_stack([pixels * (1, -1), height * SIZE / SPAN])[faces], 1, 0)
    normals = np.cross(b - a, c - a)
    facing = normals[:, 2] / np.maximum(np.linalg.norm(normals, axis=1), np.finfo(float).tiny)
    flat = colours[faces].mean(1) * (AMBIENT + (1 - AMBIENT) * facing.clip(0, 1))[:, None]
    for face in np.argsort(height[faces].mean(1), kind="stable"):
        cv2.fillConvexPoly(picture, fixed[face], flat[face].tolist(), shift=SUBPIXEL_BITS)
        cv2.fillConvexPoly(drawn, fixed[face], (int(face),), shift=SUBPIXEL_BITS)
    return picture, drawn


def barycentric(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(P, 3) weights of points (P, 2) in triangles (P, 3, 2), brought inside where they are a
    little out."""
    a, b, c = np.moveaxis(triangles, 1, 0)
    sides = np.stack([b - a, c - a], axis=-1)
    flat = np.abs(np.linalg.det(sides)) < np.finfo(float).eps
    sides[flat] = np.eye(2)
    shares = np.linalg.solve(sides, (points - a)[..., None])[..., 0]
    weights = np.column_stack([1 - shares.sum(1), shares]).clip(0, None)
    weights[flat] = 1 / 3
    return weights / weights.sum(1, keepdims=True)
