"""Head pose as camera pose: conventions and conversions (paper, section 3.1).

World = head frame: right-handed, origin at the centre of the face model, x to the right of a
frontal image, y up, z out of the face; unit decimetre. The head never moves in it; the camera does.
Camera axes are OpenGL's: x right, y up, looking along -z. Intrinsics: one focal length in pixels,
principal point at the image centre. Pixel (row i, column j) has its centre at (j + 0.5, i + 0.5).
"""

import numpy as np

OPENCV_TO_OPENGL = np.diag([1.0, -1.0, -1.0])
"""Flips y and z: OpenCV cameras look along +z with y down."""


def c2w_from_head_pose_opencv(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Camera pose from the rigid head pose of OpenCV's solvers.

    Args:
        rotation: (..., 3, 3), R in x_camera = R x_head + t, OpenCV camera axes.
        translation: (..., 3), t in decimetres.

    Returns:
        (..., 3, 4) float32 c2w, OpenGL camera axes.
    """
    inverse = np.swapaxes(rotation, -1, -2)
    origin = -(inverse @ translation[..., None])
    return np.concatenate([inverse @ OPENCV_TO_OPENGL, origin], axis=-1).astype(np.float32)


def to_camera(points: np.ndarray, c2w: np.ndarray) -> np.ndarray:
    """Head-frame points (..., V, 3) -> OpenGL camera coordinates (..., V, 3), decimetres."""
    return (points - c2w[..., None, :, 3]) @ c2w[..., :, :3]


def project(
    points: np.ndarray, c2w: np.ndarray, focal: float, width: int, height: int
) -> np.ndarray:
    """Head-frame points (..., V, 3) -> pixels (..., V, 2), from the top left corner."""
    camera = to_camera(points, c2w)
    depth = -camera[..., 2]
    x = width / 2 + focal * camera[..., 0] / depth
    y = height / 2 - focal * camera[..., 1] / depth
    return np.stack([x, y], axis=-1)
