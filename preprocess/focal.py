"""The focal length of the camera, from the perspective of a face."""

import numpy as np
from scipy.optimize import minimize_scalar

from preprocess.camera import NOISE_HEIGHT
from preprocess.face_fit import (
    FIT_ROUNDS,
    INDEPENDENT_POINTS,
    PIXEL_NOISE,
    Pixels,
    Points,
    first_fit,
    huber_cost,
    step_identity,
    step_pose,
)
from preprocess.some_frames import seen_evenly

FOCAL_USUAL, FOCAL_SPREAD = 1200 / 450, 0.25
FOCAL_RANGE = 1.2, 6.0
"""Focal lengths in picture heights. AD-NeRF's tracker searches 600 to 1500 pixels at 450 rows, and
its published subject has 1200; a wide-angle selfie is about 1.2 heights, and portraits are rarely
cropped tighter than 6."""
SEARCH_FRAMES = 80


def search_focal(
    points: Points, pixels: Pixels, height: int, trust: np.ndarray
) -> tuple[float, dict[float, float]]:
    """The most probable focal length, and the cost of each that was tried.

    Each is tried with the points of the skull alone, poses and identity refined. A longer lens
    farther away gives nearly the same picture: between 2.2 and 3.2 heights, the best fits of exact
    points differ by 0.1 pixels, and FaceMesh errs by 20 times that, the same way whenever the head
    turns the same way, so that a longer clip says no more. So all the data count as
    `INDEPENDENT_POINTS`, and the prior decides, `FOCAL_USUAL` within a factor of
    exp(`FOCAL_SPREAD`), but for clips whose perspective is strong.

    Args:
        points: the face model at the points that are seen.
        pixels: (N, P, 2) points from the image centre, x right and y down.
        height: of the picture, pixels.
        trust: (N,) 0 where the points were filled in.

    Returns:
        The focal length in pixels, and {focal length: mean Huber cost in squared noise}.
    """
    noise = PIXEL_NOISE * height / NOISE_HEIGHT
    some = seen_evenly(trust, SEARCH_FRAMES)
    skull, seen = points.only(points.skull), pixels[some][:, points.skull]
    curve: dict[float, float] = {}

    def energy(log_ratio: float) -> float:
        focal = height * float(np.exp(log_ratio))
        fit = first_fit(skull, seen, focal)
        for _ in range(FIT_ROUNDS):
            fit = step_identity(step_pose(fit, seen, noise), seen, noise)
        curve[focal] = huber_cost(fit, seen, noise)
        surprise = (log_ratio - np.log(FOCAL_USUAL)) / FOCAL_SPREAD
        return 0.5 * INDEPENDENT_POINTS * curve[focal] + 0.5 * surprise**2

    low, high = np.log(FOCAL_RANGE)
    found = minimize_scalar(energy, bounds=(low, high), method="bounded", options={"xatol": 0.01})
    return height * float(np.exp(found.x)), dict(sorted(curve.items()))
