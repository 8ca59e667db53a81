"""Parts of a face's landmarks, of 68 points (iBUG) or of a face mesh (FaceMesh): mouth, eyes, box.

The mouth's are the 20 iBUG points 48-67. Order (iBUG 300-W, "right" is the subject's, on the left
of an unmirrored picture): the outer contour from the right corner over the upper lip's edge to the
left corner (48-54) and back along the lower lip's edge (55-59), then the inner contour in the same
sense (60-64, 65-67).
"""

from pathlib import Path

import numpy as np

from ssp_nerf.errors import InputError
from ssp_nerf.schema import LANDMARKS

IBUG_POINTS = 68
IBUG_MOUTH = slice(48, 68)

# fmt: off
MESH_MOUTH = (
    61, 39, 37, 0, 267, 269, 291,  # 48-54: right corner, upper edge, left corner
    405, 314, 17, 84, 181,         # 55-59: lower edge, left to right
    78, 82, 13, 312, 308,          # 60-64: right inner corner, upper lip's inner edge, left one
    317, 14, 87,                   # 65-67: lower lip's inner edge, left to right
)
# fmt: on
"""MediaPipe FaceMesh vertices at iBUG points 48-67."""
MESH_POINTS = (468, 478)  # without and with the irises; the mouth is the same

ALIGNMENT_POINTS = {  # the outer and inner corner of each eye, right then left; under the nose
    IBUG_POINTS: (36, 39, 42, 45, 33),
    **dict.fromkeys(MESH_POINTS, (33, 133, 362, 263, 2)),
}
FOREHEAD = 1 / 3
"""Of the height from brows to chin: how far a face goes on above the brows, where 68 points end."""

INNER_TOP = 62 - IBUG_MOUTH.start
INNER_BOTTOM = 66 - IBUG_MOUTH.start


def mouth_points(points: np.ndarray) -> np.ndarray:
    """The mouth of whole faces: (..., P, D) -> (..., 20, D), P = 68 (iBUG) or 468/478 (FaceMesh).

    Raises:
        InputError: another number of points.
    """
    count = points.shape[-2]
    if count == IBUG_POINTS:
        return points[..., IBUG_MOUTH, :]
    if count in MESH_POINTS:
        return points[..., list(MESH_MOUTH), :]
    raise InputError(
        f"landmarks have {count} points a face, expected {IBUG_POINTS} (iBUG) or "
        f"{' or '.join(map(str, MESH_POINTS))} (FaceMesh). Choose such a landmark backend."
    )


def mouth_opening(mouth: np.ndarray) -> np.ndarray:
    """Distance between the lips' inner edges (points 62 and 66): (..., 20, D) -> (...)."""
    return np.linalg.norm(mouth[..., INNER_TOP, :] - mouth[..., INNER_BOTTOM, :], axis=-1)


def alignment_points(points: np.ndarray) -> np.ndarray:
    """Corners of the eyes (right outer, right inner, left inner, left outer) and base of the nose.

    (..., P, D) -> (..., 5, D).

    Raises:
        InputError: another number of points.
    """
    count = points.shape[-2]
    if count not in ALIGNMENT_POINTS:
        mouth_points(points)  # says what is wrong
    return points[..., list(ALIGNMENT_POINTS[count]), :]


def eye_distance(points: np.ndarray) -> np.ndarray:
    """Distance between the outer corners of the eyes: (..., P, D) -> (...)."""
    corners = alignment_points(points)
    return np.linalg.norm(corners[..., 0, :] - corners[..., 3, :], axis=-1)


def face_boxes(points: np.ndarray) -> np.ndarray:
    """Left, top, right, bottom of whole faces, forehead to chin: (..., P, 2) -> (..., 4)."""
    low, high = points.min(axis=-2), points.max(axis=-2)
    if points.shape[-2] == IBUG_POINTS:
        low = low.copy()
        low[..., 1] -= FOREHEAD * (high - low)[..., 1]
    return np.concatenate([low, high], axis=-1)


def read_faces(
    path: Path, rows: int, width: int, height: int, interpolated: bool = False
) -> tuple[np.ndarray, str]:
    """The faces of a landmarks file, and its detector.

    Args:
        rows: how many frames it should have.
        width, height: of the pictures that the points are wanted in, pixels.
        interpolated: keep faces of frames in which none was found, too; else they are nan.

    Returns:
        (rows, P, 2) pixels, and the detector's name.

    Raises:
        InputError: another number of rows, or pictures of another shape.
    """
    with LANDMARKS.open(path) as file:
        if len(file["points"]) != rows:
            raise InputError(
                f"{path}: {len(file['points'])} rows, expected {rows}, one for each frame. Detect "
                "the landmarks again on the same frames."
            )
        scale = width / file.attrs["width"]
        if abs(file.attrs["height"] * scale - height) > 1:
            raise InputError(
                f"{path}: landmarks of {file.attrs['width']}x{file.attrs['height']} frames do not "
                f"scale to {width}x{height}. Detect them on the same crop."
            )
        points = file["points"][..., :2].astype(np.float64) * scale
        if not interpolated:
            points[file["interpolated"][()]] = np.nan
        return points, str(file.attrs["detector"])


def read_mouths(
    path: Path, rows: int, width: int, height: int, interpolated: bool = False
) -> tuple[np.ndarray, str]:
    """The mouths (rows, 20, 2) of a landmarks file, and its detector; see `read_faces`."""
    points, detector = read_faces(path, rows, width, height, interpolated)
    return mouth_points(points), detector
