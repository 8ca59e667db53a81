"""What is seen in a frame that is looked at closely: faces, points, person, hands.

The networks run on such frames one by one, each frame on its own: the next may be seconds away.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from preprocess import face_topology as mesh
from preprocess.heads import FaceDetector
from preprocess.landmarks_mediapipe import FaceMesh
from preprocess.parsing_mesh import PersonMask
from preprocess.quiet import quiet_native_stderr
from preprocess.solutions import solution

SMALL_SIDE = 270
"""Pixels, shorter side of the pictures that are kept, for the background and the contact sheet."""
AROUND_FACE = 1.8
"""Side of the square in which points are looked for, in heights of the face's box."""
AROUND_HANDS = 3.0  # side of the square in which hands are looked for, in heights of the face's box
HANDS_SIDE = 384  # pixels of that square; the palm detector sees 192
SAME_FACE = 0.1  # overlap, intersection over union, from where on two boxes are one face
MIN_HAND = 0.6  # confidence; a chin and a collar pass for a hand at 0.5

Box = np.ndarray
"""(4,) left, top, right, bottom, pixels."""


@dataclass
class Look:
    """One frame, looked at closely; pixels are those of the picture, at most 1080 high or wide.

    Attributes:
        time: seconds.
        small: (h, w, 3) uint8 RGB, the picture reduced to `SMALL_SIDE`.
        scale: pixels of `small` over pixels of the picture.
        person: (h, w) float32, probability that a person is there.
        face: box of the main face, brows to chin, or None.
        others: boxes of other faces.
        points: (478, 3) float32 of the main face, or None.
        hands: (21, 2) points of each hand near the face.
        blur: 0 sharp to 1, of the face at the portrait's size; nan without a face.
        light: mean level of the face, of 255; nan without a face.
    """

    time: float
    small: np.ndarray
    scale: float
    person: np.ndarray
    face: Box | None = None
    others: list[Box] = field(default_factory=list)
    points: np.ndarray | None = None
    hands: list[np.ndarray] = field(default_factory=list)
    blur: float = float("nan")
    light: float = float("nan")


class Observer:
    """Looks at single frames."""

    def __init__(self) -> None:
        self.detector = FaceDetector()
        self.mesh = FaceMesh(follow=False)
        self.person = PersonMask()
        self.hands = HandFinder()

    def look(self, time: float, picture: np.ndarray) -> Look:
        """Everything in a picture (H, W, 3) uint8 RGB except blur and light."""
        height, width = picture.shape[:2]
        scale = min(1.0, SMALL_SIDE / min(height, width))
        size = (round(width * scale), round(height * scale))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(self.person(small), size, interpolation=cv2.INTER_LINEAR)
        look = Look(time, small, scale, mask)
        boxes = sorted(self.detector.boxes(picture), key=lambda box: box[1] - box[3])
        if not boxes and (largest := self.detector.largest(picture)) is not None:
            boxes = [largest]
        if boxes:
            look.face = boxes[0]
            look.others = [box for box in boxes[1:] if overlap(box, look.face) < SAME_FACE]
            look.points = self.points(picture, look.face)
        else:
            look.points = self.mesh.points(picture)
            if look.points is not None:
                look.face = box_of(look.points)
        if look.face is not None:
            look.hands = self.hands.near(picture, look.face)
        return look

    def points(self, picture: np.ndarray, face: Box) -> np.ndarray | None:
        """FaceMesh points of the face in a box, pixels of the picture."""
        square, corner = square_of(picture, face, AROUND_FACE)
        found = self.mesh.points(square)
        return None if found is None else found + np.array((*corner, 0), np.float32)


class HandFinder:
    """mediapipe's palm detector and hand landmarks; both networks ship with it."""

    def __init__(self) -> None:
        with quiet_native_stderr():
            self.network = solution("hands").Hands(
                static_image_mode=True, max_num_hands=2, min_detection_confidence=MIN_HAND
            )
            self.network.process(np.zeros((128, 128, 3), np.uint8))
        self.warmed_up = False

    def near(self, picture: np.ndarray, face: Box) -> list[np.ndarray]:
        """(21, 2) points, pixels, of each hand near a face of an RGB picture."""
        square, corner = square_of(picture, face, AROUND_HANDS)
        height, width = square.shape[:2]
        scale = min(1.0, HANDS_SIDE / max(height, width))
        size = (round(width * scale), round(height * scale))
        hands = self.network.process(
            cv2.resize(square, size, interpolation=cv2.INTER_AREA)
        ).multi_hand_landmarks
        return [
            np.array([(p.x, p.y) for p in hand.landmark]) * (width, height) + corner
            for hand in hands or ()
        ]


def square_of(picture: np.ndarray, face: Box, side: float) -> tuple[np.ndarray, tuple[int, int]]:
    """The part of a picture around a face, `side` times the box's height where the picture goes so
    far, and its top left corner (x, y)."""
    height, width = picture.shape[:2]
    half = side * max(face[3] - face[1], face[2] - face[0]) / 2
    x, y = (face[0] + face[2]) / 2, (face[1] + face[3]) / 2
    left, top = int(np.clip(x - half, 0, width - 1)), int(np.clip(y - half, 0, height - 1))
    right, bottom = int(np.clip(x + half, left + 1, width)), int(np.clip(y + half, top + 1, height))
    return np.ascontiguousarray(picture[top:bottom, left:right]), (left, top)


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    both = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(both / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both))


def box_of(points: np.ndarray) -> Box:
    """The box that FaceMesh points (478, 3) give, from the brows to the chin as the detector's."""
    brows = points[list(mesh.RIGHT_EYEBROW + mesh.LEFT_EYEBROW), 1].min()
    left, right = points[:, 0].min(), points[:, 0].max()
    return np.array([left, brows, right, points[:, 1].max()], np.float64)
