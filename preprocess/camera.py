"""Projection with its derivatives, and robust weights: what the fits of poses share.

The camera looks along +z with y down (OpenCV): x_camera = R x_head + t, lengths in decimetres, and
u = focal x / z from the centre of the picture.
"""

import numpy as np

HUBER = 1.345  # in standard deviations: 95 % efficiency on Gaussian noise (Huber, 1981)
NOISE_HEIGHT = 450.0
"""Pixels of noise and blur are given at this picture height, the paper's."""


def project_with_jacobian(camera: np.ndarray, focal: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (..., 2) of camera points (..., 3), and the derivative (..., 2, 3)."""
    x, y, z = np.moveaxis(camera, -1, 0)
    zero = np.zeros_like(z)
    jacobian = focal * np.stack(
        [
            np.stack([1 / z, zero, -x / z**2], axis=-1),
            np.stack([zero, 1 / z, -y / z**2], axis=-1),
        ],
        axis=-2,
    )
    return focal * camera[..., :2] / camera[..., 2:], jacobian


def huber_weights(residuals: np.ndarray, noise: float) -> np.ndarray:
    """(...,) weights of residuals (..., 2): 1 near zero, falling as 1 / distance beyond."""
    distance = np.linalg.norm(residuals, axis=-1)
    return np.minimum(1, HUBER * noise / np.maximum(distance, np.finfo(float).tiny))


def cross_matrices(vectors: np.ndarray) -> np.ndarray:
    """(..., 3, 3) matrices M with M w = v x w, for v (..., 3)."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    rows = ((zero, -z, y), (z, zero, -x), (-y, x, zero))
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
