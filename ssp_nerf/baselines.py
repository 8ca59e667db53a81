"""Three predictions that need no model; a trained one has to beat them on held-out frames.

- background: the scene without the person.
- mean_frame: the mean of all training frames.
- nearest_pose: the training frame whose head pose is nearest, whatever the mouth does in it.
"""

import h5py
import numpy as np

from ssp_nerf.cameras import project
from ssp_nerf.progress import progress

BASELINES = ("background", "mean_frame", "nearest_pose")
MEAN, NEAREST = BASELINES[1:]
POSE_VERTICES = 500  # face vertices that measure a pose; more change no distance noticeably


def mean_frame(frames: h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    """Mean of the frames at `rows`, one in memory at a time: (N, H, W, 3) -> (H, W, 3) uint8."""
    total = np.zeros(frames.shape[1:], np.float64)
    for row in progress(rows, "mean training frame", len(rows)):
        total += frames[row]
    return np.round(total / len(rows)).astype(np.uint8)


def nearest_poses(
    c2w: np.ndarray,
    vertices: np.ndarray,
    focal: float,
    width: int,
    height: int,
    wanted: np.ndarray,
    candidates: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """For each wanted frame, the candidate whose head pose is nearest, the earliest in a tie.

    Args:
        c2w, vertices, focal, width, height: as in `project_face`.
        wanted: (F,) frame numbers.
        candidates: (M,) frame numbers to choose from.

    Returns:
        (F,) frame numbers out of `candidates`, and (F,) their distances (`pose_distance`).
    """
    pixels = project_face(c2w, vertices, focal, width, height)
    candidate_pixels = pixels[candidates]
    nearest = np.empty(len(wanted), np.int64)
    distances = np.empty(len(wanted))
    for i, frame in enumerate(wanted):
        distance = pose_distance(candidate_pixels, pixels[frame])
        best = distance.argmin()
        nearest[i], distances[i] = candidates[best], distance[best]
    return nearest, distances


def project_face(
    c2w: np.ndarray, vertices: np.ndarray, focal: float, width: int, height: int
) -> np.ndarray:
    """Where the face lies in each frame, by some of its vertices.

    Args:
        c2w: (N, 3, 4) poses of the clip.
        vertices: (V, 3) mean-expression face, head frame, decimetres.
        focal: pixels at width x height.

    Returns:
        (N, P, 2) float32 pixels.
    """
    stride = max(1, len(vertices) // POSE_VERTICES)
    return project(vertices[::stride], c2w, focal, width, height).astype(np.float32)


def pose_distance(face: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean displacement of the projected face from one pose to another, pixels.

    Rotation and translation in one unit, as the picture shows them, without a weight between.

    Args:
        face, other: (..., P, 2) of `project_face`.

    Returns:
        (...) pixels.
    """
    return np.linalg.norm(face - other, axis=-1).mean(axis=-1)
