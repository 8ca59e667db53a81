"""Where the head is in the frames of a clip, and the one square that holds it throughout."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from preprocess.quiet import quiet_native_stderr
from preprocess.solutions import solution

FULL_RANGE = 1  # mediapipe's detector for faces up to 5 m away, rather than 2 m
MIN_CONFIDENCE = 0.6  # a crop built on a false face is worse than a frame without one
OUTER_PERCENTILE = 5  # of the boxes' sides: the box of the motion forgives one frame in ten
FACE_CENTRE_HEIGHT = 0.5
"""Height of the face's centre in the crop, from the top: hair above, shoulders below."""
FACE_SHARE_IN_MOTION = 0.8
"""The box of the motion takes at most this share of the crop, so that hair and ears stay inside."""


@dataclass(frozen=True)
class Square:
    """A square of `side` pixels with its top left corner at (x, y); all even, as yuv420p crops."""

    x: int
    y: int
    side: int


class FaceDetector:
    """Boxes of faces, from the brows to the chin, by mediapipe's BlazeFace."""

    def __init__(self) -> None:
        with quiet_native_stderr():
            detection = solution("face_detection")
            self.network = detection.FaceDetection(MIN_CONFIDENCE, FULL_RANGE)
            self.network.process(np.zeros((128, 128, 3), np.uint8))

    def largest(self, image: np.ndarray) -> np.ndarray | None:
        """Box (left, top, right, bottom) in pixels of the largest face of an RGB image, or None.

        The network sees 192x192 pixels, too few for a small face in a wide frame; where the whole
        image shows none, squares of half its shorter side are tried.
        """
        height, width = image.shape[:2]
        boxes = self.boxes(image)
        if not boxes:
            side = min(height, width) // 2
            boxes = [
                box + (x, y, x, y)
                for y in range(0, height - side + 1, side // 2)
                for x in range(0, width - side + 1, side // 2)
                for box in self.boxes(np.ascontiguousarray(image[y : y + side, x : x + side]))
            ]
        return max(boxes, key=lambda box: box[3] - box[1], default=None)

    def boxes(self, image: np.ndarray) -> list[np.ndarray]:
        """Boxes (left, top, right, bottom) in pixels of all faces that are found at once."""
        height, width = image.shape[:2]
        relative = [
            detection.location_data.relative_bounding_box
            for detection in self.network.process(image).detections or ()
        ]
        corners = [(b.xmin, b.ymin, b.xmin + b.width, b.ymin + b.height) for b in relative]
        return [np.array(c) * (width, height, width, height) for c in corners]


def square_around(
    boxes: Iterable[np.ndarray], width: int, height: int, face_fraction: float
) -> tuple[Square, list[str]]:
    """The square that holds a face throughout a clip, inside a frame of width x height.

    Args:
        boxes: faces (left, top, right, bottom) of sampled frames, pixels; at least one.
        face_fraction: height of the face, brows to chin, over the side of the square.

    Returns:
        The square, and what a user should know about it, a line each.
    """
    left, top, right, bottom = np.array(list(boxes)).T
    face = float(np.median(bottom - top))
    low, high = OUTER_PERCENTILE, 100 - OUTER_PERCENTILE
    x0, y0 = np.percentile(left, low), np.percentile(top, low)
    x1, y1 = np.percentile(right, high), np.percentile(bottom, high)
    wanted = max(face / face_fraction, max(x1 - x0, y1 - y0) / FACE_SHARE_IN_MOTION)
    side = _even(min(wanted, width, height))
    x_wanted = (x0 + x1) / 2 - side / 2
    y_wanted = (y0 + y1) / 2 - side * FACE_CENTRE_HEIGHT
    x = _even(np.clip(x_wanted, 0, width - side))
    y = _even(np.clip(y_wanted, 0, height - side))

    notes = []
    shift = max(abs(x - x_wanted), abs(y - y_wanted))
    if shift > face / 4:
        notes.append(
            f"the head is near an edge of the {width}x{height} frame: the crop is shifted by "
            f"{shift:.0f} pixels and the head is off its centre"
        )
    travel = max(np.ptp(left + right), np.ptp(top + bottom)) / 2
    if travel > face:
        notes.append(
            f"the face moves by {travel / face:.1f} times its height: are there cuts or several "
            "people? Choose a quiet part with start and duration of subjects.<name>"
        )
    return Square(x, y, side), notes


def _even(length: float) -> int:
    return int(length) // 2 * 2
