"""LMD, landmark distance of the mouth.

Reference: Chen et al., Lip movements generation at a glance, ECCV 2018; in the form of the
successors of AD-NeRF: iBUG points 48-67, each mouth centred on its own mean, mean L2 in pixels.
Protocol: points found in the pictures by one and the same detector (paper, section 4.3); a frame in
which no face is found, in truth or picture, does not count.
Pitfalls: in pixels, so it grows with the resolution (say it, or use the face crop's); a blurred
mouth's points fall back to a mean shape; turning the head changes it, too; the paper does not say
its unit. The truth's own is 0 and tells nothing: see how far the mean mouth gets.
"""

import numpy as np

from ssp_nerf.landmarks import eye_distance, mouth_points


def landmark_distance(mouth: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean distance between the points of two mouths, each centred on its own mean.

    Args:
        mouth, truth: (..., 20, 2) iBUG points 48-67 in pixels at the same size.

    Returns:
        (...) pixels; nan where a point is nan.
    """
    centred = mouth - mouth.mean(axis=-2, keepdims=True)
    centred_truth = truth - truth.mean(axis=-2, keepdims=True)
    return np.linalg.norm(centred - centred_truth, axis=-1).mean(axis=-1)


def landmark_distance_of_others(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """LMD of a face driven by the speech of another, whose own video is the truth.

    The other's mouths are scaled so that both faces have the same size, the mean over the clip of
    the distance between the outer corners of the eyes. What remains of the difference between two
    people's mouths is in the figure: compare methods that show the same person.

    Args:
        points, truth: (F, P, 2) whole faces, pixels of their own pictures.

    Returns:
        (F,) pixels of `points`; nan where a face is nan.
    """
    scale = np.nanmean(eye_distance(points)) / np.nanmean(eye_distance(truth))
    return landmark_distance(mouth_points(points), scale * mouth_points(truth))
