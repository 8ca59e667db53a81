"""Which landmarks are joined by a line, for FaceMesh's points and for the 68 of iBUG."""

from dataclasses import dataclass

import numpy as np

from preprocess import face_topology as mesh
from ssp_nerf.landmarks import IBUG_MOUTH, IBUG_POINTS, MESH_MOUTH, MESH_POINTS


@dataclass(frozen=True)
class Contours:
    """Lines over a face's points, by the numbers of the points.

    Attributes:
        features: brows, eyes, nose and lips; a closed line has its first point again at its end.
        outline: jaw, or the whole face's.
        irises: the four ends of each iris, in turn; none without such points.
        surface: (E, 2) all edges between the points; none where they span no mesh.
        eyes, mouth: the points of both.
    """

    features: tuple[tuple[int, ...], ...]
    outline: tuple[int, ...]
    irises: tuple[tuple[int, ...], ...]
    surface: np.ndarray
    eyes: tuple[int, ...]
    mouth: tuple[int, ...]


def contours(points: int) -> Contours:
    """Contours of a face of 68, 468 or 478 points (`ssp_nerf.landmarks` refuses others)."""
    if points == IBUG_POINTS:
        mouth = tuple(range(*IBUG_MOUTH.indices(points)))
        rings = (range(36, 42), range(42, 48), mouth[:12], mouth[12:])
        open_lines = (range(17, 22), range(22, 27), range(27, 31), range(31, 36))
        return Contours(
            (*map(_closed, rings), *map(tuple, open_lines)),
            tuple(range(17)),
            (),
            np.zeros((0, 2), int),
            tuple(range(36, 48)),
            mouth,
        )
    rings_of_mesh = (
        mesh.RIGHT_EYE, mesh.LEFT_EYE, mesh.RIGHT_EYEBROW, mesh.LEFT_EYEBROW,
        mesh.LIPS_OUTER, mesh.LIPS_INNER,
    )  # fmt: skip
    irises = (mesh.RIGHT_IRIS, mesh.LEFT_IRIS) if points > min(MESH_POINTS) else ()
    return Contours(
        tuple(map(_closed, rings_of_mesh)),
        _closed(mesh.FACE_OVAL),
        irises,
        edges(mesh.triangles()),
        (*mesh.RIGHT_EYE, *mesh.LEFT_EYE),
        MESH_MOUTH,
    )


def edges(triangles: np.ndarray) -> np.ndarray:
    """(F, 3) triangles -> (E, 2) their edges, each once."""
    pairs = triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _closed(ring) -> tuple[int, ...]:
    ring = tuple(ring)
    return (*ring, ring[0])
