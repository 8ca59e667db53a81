"""The nearest place on a triangle mesh, by which one face model's points are found on another."""

import numpy as np
from scipy.spatial import cKDTree

NEIGHBOURS = 8
"""Nearest vertices whose triangles are looked at; the nearest triangle of a face mesh, whose
triangles are all of a size, has one of them as a corner."""
BLOCK = 1024  # points at once; bounds the memory


def nearest_on_mesh(
    points: np.ndarray, vertices: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Corners (P, 3) and barycentric weights (P, 3) of the places nearest to points (P, 3).

    Args:
        points: (P, 3).
        vertices: (V, 3).
        faces: (F, 3) int.
    """
    used = np.unique(faces)
    tree, around = cKDTree(vertices[used]), faces_around(faces, len(vertices))
    corners = np.empty((len(points), 3), int)
    weights = np.empty((len(points), 3))
    for start in range(0, len(points), BLOCK):
        block = slice(start, start + BLOCK)
        part = points[block]
        _, near = tree.query(part, k=min(NEIGHBOURS, len(used)))
        candidates = faces[around[used[near]].reshape(len(part), -1)]  # (p, C, 3)
        shares = nearest_in_triangles(part[:, None], vertices[candidates])
        places = np.einsum("pck,pckd->pcd", shares, vertices[candidates])
        best = np.linalg.norm(places - part[:, None], axis=-1).argmin(1)
        every = np.arange(len(part))
        corners[block], weights[block] = candidates[every, best], shares[every, best]
    return corners, weights


def faces_around(faces: np.ndarray, vertices: int) -> np.ndarray:
    """(V, most) numbers of the triangles that have a vertex as a corner, the last one repeated."""
    order = np.argsort(faces, axis=None, kind="stable")
    owners = faces.ravel()[order]
    first = np.searchsorted(owners, np.arange(vertices))
    count = np.bincount(owners, minlength=vertices)
    place = np.minimum(np.arange(count.max()), np.maximum(count - 1, 0)[:, None])
    return order[np.minimum(first[:, None] + place, len(order) - 1)] // 3


def nearest_in_triangles(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(..., 3) barycentric weights of the places in triangles (..., 3, 3) nearest to (..., 3).

    Inside a triangle it is the foot of the perpendicular, else the nearest place of the three
    sides.
    """
    a, b, c = (triangles[..., k, :] for k in range(3))
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11 = ((x * y).sum(-1) for x, y in ((ab, ab), (ab, ac), (ac, ac)))
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    area = np.maximum(d00 * d11 - d01 * d01, np.finfo(float).tiny)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    foot = np.stack([1 - v - w, v, w], axis=-1)
    options, distances = (
        [foot],
        [np.where((foot >= 0).all(-1), off(points, triangles, foot), np.inf)],
    )
    for start, end in ((0, 1), (1, 2), (2, 0)):
        side = triangles[..., end, :] - triangles[..., start, :]
        length = np.maximum((side**2).sum(-1), np.finfo(float).tiny)
        along = ((points - triangles[..., start, :]) * side).sum(-1) / length
        option = np.zeros_like(foot)
        option[..., end] = along.clip(0, 1)
        option[..., start] = 1 - option[..., end]
        options.append(option)
        distances.append(off(points, triangles, option))
    best = np.argmin(distances, axis=0)
    return np.take_along_axis(np.stack(options), best[None, ..., None], axis=0)[0]


def off(points: np.ndarray, triangles: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(...) distance of points (..., 3) from the places that shares (..., 3) name in triangles."""
    return np.linalg.norm(np.einsum("...k,...kd->...d", shares, triangles) - points, axis=-1)
