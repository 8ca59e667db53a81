"""Hands over the face: what they cover is learned as if it were face."""

from collections.abc import Sequence

import cv2
import numpy as np

from preprocess import face_topology as mesh
from preprocess.check import limits
from preprocess.check.findings import Finding, Level, level_at_most, spans
from preprocess.check.looks import Look

PALM = (0, 1, 5, 9, 13, 17)
FINGERS = tuple(tuple(range(first, first + 4)) for first in (1, 5, 9, 13, 17))
"""Points of mediapipe's hand: the wrist is 0, then four along each finger, from the thumb on."""
FINGER_WIDTH = 0.22
"""Of the palm's width, points 5 to 17: four fingers beside each other cover it, edges included."""
SIDE = 128  # pixels of the face's height in the picture in which areas are counted


def covered(points: np.ndarray, hands: Sequence[np.ndarray]) -> float:
    """Share of a face that hands cover, 0 to 1.

    Args:
        points: (478, 3) of the face, pixels.
        hands: (21, 2) of each hand, pixels.
    """
    outline = points[list(mesh.FACE_OVAL), :2]
    low, high = outline.min(0), outline.max(0)
    scale = SIDE / (high[1] - low[1])
    size = np.ceil((high - low) * scale).astype(int) + 1

    def drawn(at: np.ndarray) -> np.ndarray:
        return ((at - low) * scale).round().astype(np.int32)

    face, hand_mask = np.zeros(size[::-1], np.uint8), np.zeros(size[::-1], np.uint8)
    cv2.fillPoly(face, [drawn(outline)], (1,))
    for hand in hands:
        width = np.linalg.norm(hand[17] - hand[5]) * scale * FINGER_WIDTH
        cv2.fillPoly(hand_mask, [drawn(hand[list(PALM)])], (1,))
        for finger in FINGERS:
            cv2.polylines(hand_mask, [drawn(hand[list(finger)])], False, (1,), max(1, round(width)))
    return float((face & hand_mask).sum() / face.sum())


def check_hands(looks: Sequence[Look]) -> Finding:
    """Finding on hands over the face."""
    times = np.array([look.time for look in looks])
    over = np.array([
        look.points is not None and covered(look.points, look.hands) > limits.HAND_COVERS
        for look in looks
    ])  # fmt: skip
    level = level_at_most(float(over.mean()), *limits.HANDS)
    measured = f"over the face in {over.mean():.0%} of the frames looked at"
    return Finding(
        "hands", level, measured if over.any() else "never over the face", "never over the face",
        "" if level is Level.GOOD
        else "Cut these times away with start and duration of subjects.<name>.",
        spans(times, over),
    )  # fmt: skip
