"""Temporal stability: jitter of the face's points, and the error of a frame warped to the next.

Reference: warping error, Lai et al., Learning blind video temporal consistency, ECCV 2018; occluded
pixels as in Sundaram, Brox, Keutzer, ECCV 2010; flow by DIS, Kroeger et al., ECCV 2016 (OpenCV).
Protocol:
- `jitter`: second difference in time of the face's points, mean length over the points, per cent of
  the distance between the outer corners of the eyes;
- `warping_error`: root mean square difference, grey levels, between a frame and the one before it
  warped along the truth's flow (without a truth of the same motion: its own), where both flows
  agree.
Pitfalls: a face that freezes has no jitter, and blur lowers both, so below the truth's own is no
merit; jitter contains the detector's own noise. The truth moves, too: see its own beside.
"""

import numpy as np


def jitter(points: np.ndarray, eye_distance: np.ndarray) -> np.ndarray:
    """Second differences of consecutive frames' faces.

    Args:
        points: (F, P, 2) pixels; nan where there is no face.
        eye_distance: (F,) pixels between the outer corners of the eyes.

    Returns:
        (F,) per cent of the mean eye distance; nan for the first and the last frame, and beside
        frames without a face.
    """
    found = np.full(len(points), np.nan)
    if len(points) > 2 and np.isfinite(eye_distance).any():
        change = points[:-2] - 2 * points[1:-1] + points[2:]
        found[1:-1] = np.linalg.norm(change, axis=-1).mean(axis=-1)
        found *= 100 / np.nanmean(eye_distance)
    return found


def optical_flow(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How to warp `before` to `after`, (H, W, 3) uint8 RGB each.

    Returns:
        (H, W, 2) float32: where each pixel of `after` lies in `before`, as an offset in pixels;
        (H, W) bool: pixels that both flows agree about, the others are occluded.
    """
    import cv2

    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (before, after)]
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    nothing = np.zeros((*grey[0].shape, 2), np.float32)
    backward = np.asarray(method.calc(grey[1], grey[0], nothing.copy()))
    forward = np.asarray(method.calc(grey[0], grey[1], nothing))
    there_and_back = backward + warp(forward, backward)
    scale = (backward**2).sum(-1) + (warp(forward, backward) ** 2).sum(-1)
    return backward, (there_and_back**2).sum(-1) < 0.01 * scale + 0.5


def warp(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """The picture (H, W, C), read at every pixel plus its flow (H, W, 2), bilinear, float32."""
    import cv2

    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return cv2.remap(
        picture.astype(np.float32),
        x + flow[..., 0],
        y + flow[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def warping_error(
    before: np.ndarray, after: np.ndarray, flow: np.ndarray, visible: np.ndarray
) -> float:
    """Root mean square difference of `after` and `before` warped to it, grey levels.

    Args:
        before, after: (H, W, 3) uint8 RGB, consecutive frames.
        flow, visible: of `optical_flow`.
    """
    if not visible.any():
        return float("nan")
    return float(np.sqrt(np.mean((after - warp(before, flow))[visible] ** 2)))
