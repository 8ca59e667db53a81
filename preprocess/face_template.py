"""Which of FaceMesh's points are the skull's, and the subject's own mesh from nothing but them.

FaceMesh gives x, y in pixels and a depth z on the same scale, as if seen from far away (weak
perspective). Aligned over the clip and averaged, they are the subject's mean-expression shape up to
scale; the iris, which has nearly the same size in all adults, gives the scale.
"""

import numpy as np

from preprocess import face_topology as mesh
from preprocess.head_frame import frontal_axes

IRIS_DIAMETER = 0.117
"""Decimetres. The visible iris is 11.7 mm wide, 0.5 mm more or less, in nearly all people
(Ablavatski, Vakunov et al., Real-time Pupil Tracking from Monocular Video, 2020: MediaPipe Iris
takes its metric depth from it). So absolute lengths are right to about 4 %."""
RIGHT_IRIS_SIDES, LEFT_IRIS_SIDES = (469, 471), (474, 476)
"""Outer and inner end of the horizontal diameter; the lids hide the vertical one."""

RIGID = np.array(
    [
        *(168, 6, 197, 195, 5, 4, 1),  # bridge and tip of the nose
        *(122, 188, 196, 174, 3, 236, 217, 351, 412, 419, 399, 248, 456, 437),  # its sides
        *(33, 133, 130, 243, 244, 173, 263, 362, 359, 463, 464, 398),  # corners of the eyes
        *(10, 151, 67, 109, 69, 108, 103, 104, 338, 297, 337, 299, 332, 333),  # forehead
        *(54, 21, 162, 127, 139, 34, 71, 68, 284, 251, 389, 356, 368, 264, 301, 298),  # temples
        *(116, 111, 143, 227, 234, 345, 340, 372, 447, 454),  # cheekbones
    ]
)
"""Points of the skull more than of the expression: no mouth, no eyebrows, no jaw, no lids."""

OUTER_EYE_CORNERS = 33, 263
ALONG_CONTOUR = 3.0
"""Times as uncertain along the outline of the face as across it: on an edge, and beside it under
hair, a point is found across it only, so annotators and detectors err mostly along it (Zhou et al.,
STAR Loss, CVPR 2023). The sides of the face run up and down, so there this is the height, which
FaceMesh lets slide when the head nods."""

ALIGNMENT_ROUNDS = 5


def build_template(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Generalised Procrustes analysis of a clip's FaceMesh points.

    All points above the mouth are aligned, not the skull alone: so what is left, from which the
    expressions are learned, looks as little as can be like a turn of the head. The size is that of
    the skull, which does not grow when the brows go up.

    Args:
        points: (N, 478, 3) pixels, as landmarks.h5 has them.

    Returns:
        (468, 3) the mean-expression mesh, decimetres, head frame (x right in a frontal picture, y
        up, z out of the face), origin at the mean of the points; and (N, 468, 3) what is left of
        each frame's points, the same axes and unit.
    """
    clouds = points * np.array([1.0, -1.0, -1.0])
    face = np.arange(mesh.MESH_POINTS)
    # The jaw moves all the time.
    face = face[clouds[:, face, 1].mean(0) > clouds[:, mesh.NOSE_BASE, 1].mean()]
    mean = clouds[len(clouds) // 2] - clouds[len(clouds) // 2].mean(0)
    for _ in range(ALIGNMENT_ROUNDS):
        rotations, scales, shifts = similarities(mean[face], clouds[:, face])
        aligned = undo(clouds, rotations, scales, shifts)
        mean = aligned.mean(0)
        mean /= np.linalg.norm(mean[face] - mean[face].mean(0), axis=-1).mean()

    iris = [
        np.linalg.norm(aligned[:, a] - aligned[:, b], axis=-1)
        for a, b in (RIGHT_IRIS_SIDES, LEFT_IRIS_SIDES)
    ]
    shape = mean[: mesh.MESH_POINTS] * IRIS_DIAMETER / np.median(iris)
    shape = (shape - shape.mean(0)) @ frontal_axes(shape).T
    rotations, scales, shifts = similarities(shape[face], clouds[:, face])
    skull = undo(clouds[:, RIGID], rotations, scales, shifts)
    size = np.linalg.norm(skull - skull.mean(1, keepdims=True), axis=-1).mean(-1)
    scales *= size / size.mean()
    residuals = undo(clouds[:, : mesh.MESH_POINTS], rotations, scales, shifts) - shape
    return shape, residuals


def similarities(
    source: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least-squares target = scale * rotation @ source + shift (Umeyama, 1991), for many targets.

    Args:
        source: (P, 3).
        targets: (N, P, 3).

    Returns:
        (N, 3, 3) rotations, (N,) scales, (N, 3) shifts.
    """
    centre, goals = source.mean(0), targets.mean(1)
    a, b = source - centre, targets - goals[:, None]
    u, singular, vt = np.linalg.svd(np.einsum("npi,pj->nij", b, a))
    flip = np.ones_like(singular)
    flip[:, 2] = np.linalg.det(u @ vt)
    rotations = (u * flip[:, None]) @ vt
    scales = (singular * flip).sum(-1) / (a**2).sum()
    return rotations, scales, goals - scales[:, None] * (rotations @ centre)


def undo(
    points: np.ndarray, rotations: np.ndarray, scales: np.ndarray, shifts: np.ndarray
) -> np.ndarray:
    """Bring (N, P, 3) points back by the inverse of `similarities`."""
    return (points - shifts[:, None]) @ rotations / scales[:, None, None]


def precision(shape: np.ndarray) -> np.ndarray:
    """(468, 2) how much each point's x and y weigh: 1, less along the outline (`ALONG_CONTOUR`).

    Args:
        shape: (468, 3) head frame.
    """
    right, left = shape[list(OUTER_EYE_CORNERS), 0]
    beside = np.abs(shape[:, 0] - (left + right) / 2) > (left - right) / 2
    weights = np.ones((len(shape), 2))
    weights[beside, 1] = ALONG_CONTOUR**-2
    return weights


def subdivide(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split each triangle into four at the middles of its edges.

    Args:
        vertices: (V, 3).
        faces: (F, 3) int.

    Returns:
        (V + E, 3) vertices, the old ones first, and (4 F, 3) int32 faces, turned as before.
    """
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges, which = np.unique(edges, axis=0, return_inverse=True)
    ab, bc, ca = which.reshape(3, -1) + len(vertices)
    a, b, c = faces.T
    split = np.concatenate(
        [np.stack(corners, 1) for corners in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))]
    )
    return np.concatenate([vertices, vertices[edges].mean(1)]), split.astype(np.int32)
