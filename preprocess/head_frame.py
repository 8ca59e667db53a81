"""The axes of the head frame (`ssp_nerf.cameras`), by points of FaceMesh."""

import numpy as np

from preprocess import face_topology as mesh

MIRROR_PAIRS = np.array([(234, 454), (127, 356), (33, 263), (133, 362), (54, 284), (116, 345)])
"""Right and left twins; the mean of their directions is the x axis of the face."""


def frontal_axes(shape: np.ndarray) -> np.ndarray:
    """(3, 3) rows x, y, z of the head frame, in the axes of `shape` (468, 3).

    x is the mean direction from right points to their left twins, y the direction from chin to
    forehead as far as it is perpendicular to x.
    """
    x = (shape[MIRROR_PAIRS[:, 1]] - shape[MIRROR_PAIRS[:, 0]]).mean(0)
    x /= np.linalg.norm(x)
    y = shape[mesh.FOREHEAD] - shape[mesh.CHIN]
    y -= (y @ x) * x
    y /= np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)])
