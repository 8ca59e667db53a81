"""Which point is what on mediapipe's FaceMesh: regions, triangles, and the way to 68 points.

The mesh has 468 points; `refine_landmarks` adds the two irises (468 to 472 right, 473 to 477 left).
Right and left are the person's own, as in mediapipe: the right eye is on the left of the picture.
A polygon is a closed ring of point indices in order, without repeating the first.
"""

from collections import Counter, defaultdict
from functools import cache
from itertools import combinations

import numpy as np

from preprocess.solutions import solution
from ssp_nerf.errors import InputError
from ssp_nerf.landmarks import IBUG_POINTS, MESH_MOUTH

MESH_POINTS = 468
POINTS = 478
"""Points with the irises."""

FOREHEAD, NOSE_BASE, CHIN = 10, 2, 152
"""Points of the middle line, at the top, under the nose, at the bottom."""

FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288,
    397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136,
    172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""From the top of the forehead, over the left temple and the chin (152), back over the right."""

LIPS_OUTER = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375,
    291, 409, 270, 269, 267, 0, 37, 39, 40, 185,
)  # fmt: skip
"""From the right corner of the mouth (61) along the lower lip to the left (291), back above."""
LIPS_INNER = (
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324,
    308, 415, 310, 311, 312, 13, 82, 81, 80, 191,
)  # fmt: skip
"""The edge of the mouth opening, in the same order as `LIPS_OUTER`."""

RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
"""From the outer corner along the lower lid to the inner corner, back along the upper lid."""
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
RIGHT_IRIS = (469, 470, 471, 472)
LEFT_IRIS = (474, 475, 476, 477)
RIGHT_EYEBROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
"""From the outer end along the upper edge to the inner end, back along the lower edge."""
LEFT_EYEBROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)

NOSE = (
    168, 193, 188, 114, 217, 126, 209, 49, 129, 64, 98, 97,
    2, 326, 327, 294, 358, 279, 429, 355, 437, 343, 412, 417,
)  # fmt: skip
"""From between the eyes down the right side, round the wings, up the left. mediapipe's own
FACEMESH_NOSE is a few lines, not an outline; this one was read off the labelled mesh."""

MESH_TO_68 = np.array(
    [
        *(127, 234, 93, 132, 58, 136, 150, 176, 152),  # 0-8 jaw, right to chin
        *(400, 379, 365, 288, 361, 323, 454, 356),  # 9-16 chin to left
        *(70, 63, 105, 66, 107),  # 17-21 right eyebrow
        *(336, 296, 334, 293, 300),  # 22-26 left eyebrow
        *(168, 197, 5, 4),  # 27-30 bridge of the nose
        *(98, 97, 2, 326, 327),  # 31-35 base of the nose
        *(33, 160, 158, 133, 153, 144),  # 36-41 right eye
        *(362, 385, 387, 263, 373, 380),  # 42-47 left eye
        *MESH_MOUTH,  # 48-67 lips
    ],
    dtype=np.int32,
)
"""(68,) the mesh points nearest to the iBUG 68: `points[:, MESH_TO_68]`.

The mesh marks the jaw where the skin ends in 3-D, iBUG the visible outline, so 0 to 16 agree only
in a frontal view; the mouth, 48 to 67, agrees in all.
"""


def points_68(points: np.ndarray) -> np.ndarray:
    """The iBUG 68 of whole faces: (..., P, D) -> (..., 68, D), P = 68 (iBUG) or 468/478 (FaceMesh).

    Raises:
        InputError: another number of points.
    """
    count = points.shape[-2]
    if count == IBUG_POINTS:
        return points
    if count in (MESH_POINTS, POINTS):
        return points[..., MESH_TO_68, :]
    raise InputError(
        f"landmarks have {count} points a face, expected {IBUG_POINTS} (iBUG) or {MESH_POINTS} or "
        f"{POINTS} (FaceMesh). Set landmarks.detector to mediapipe or face_alignment."
    )


@cache
def triangles() -> np.ndarray:
    """(852, 3) int32 triangles of the 468 points, read-only, counter-clockwise from the front.

    With x right, y up and z out of the face the normals point out of the face. The eyes and the
    mouth are holes; `LIPS_INNER`, `RIGHT_EYE` and `LEFT_EYE` are their rims.

    mediapipe ships only the directed edges. Every triangle is a cycle of three, but so is the
    outline of the three triangles round a point that has no others; such an outline shows by
    having all its edges in three cycles, where a surface allows two.
    """
    edges = solution("face_mesh_connections").FACEMESH_TESSELATION

    neighbours: dict[int, set[int]] = defaultdict(set)
    for a, b in edges:
        neighbours[a].add(b)
        neighbours[b].add(a)
    cycles = {
        (*sorted((a, b)), c)
        for a, b in edges
        for c in neighbours[a] & neighbours[b]
        if c > max(a, b)
    }
    uses = Counter(edge for cycle in cycles for edge in combinations(cycle, 2))
    faces = {cycle for cycle in cycles if any(uses[edge] <= 2 for edge in combinations(cycle, 2))}
    oriented = np.array(_orient(faces, set(edges)), np.int32)
    oriented.flags.writeable = False
    return oriented


def _orient(
    faces: set[tuple[int, int, int]], directed: set[tuple[int, int]]
) -> list[tuple[int, int, int]]:
    """Turn all faces the same way round, sorted.

    An edge between two faces is in `directed` both ways, one on the rim only one way: that of its
    face. The search starts from such a face and goes over shared edges, which two faces that turn
    the same way run through in opposite directions.
    """
    sides = defaultdict(list)
    for face in faces:
        for edge in combinations(face, 2):
            sides[edge].append(face)

    def turns_as_shipped(face: tuple[int, int, int]) -> bool:
        a, b, c = face
        return {(a, b), (b, c), (c, a)} <= directed

    def turns_both_ways(face: tuple[int, int, int]) -> bool:
        a, b, c = face
        return {(b, a), (c, b), (a, c)} <= directed

    start = min(f for f in faces if turns_as_shipped(f) and not turns_both_ways(f))
    found = {start: start}
    queue = [start]
    while queue:
        a, b, c = found[queue.pop()]
        for p, q in ((a, b), (b, c), (c, a)):
            for other in sides[min(p, q), max(p, q)]:
                if other not in found:
                    (r,) = set(other) - {p, q}
                    found[other] = (q, p, r)
                    queue.append(other)
    assert len(found) == len(faces)
    return sorted(found.values())
