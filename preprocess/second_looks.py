"""Faces that a detector lost are looked for again: nearer, farther off, upright, brighter.

A detector expects a face of a certain size, upright, lit and whole. Where it finds none in a frame,
it is shown views of that frame in which the face would be so. A detector that is pressed also sees
faces where there are none, and is sure of them; so a find counts only if it is found again, in the
same place, from nearer and from farther off. A real face is, a chance likeness is not.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np

from preprocess.face_points import Face, agree, within_reach
from preprocess.face_topology import points_68

Look = Callable[[np.ndarray], Face | None]
"""A detector's answer to one RGB picture (H, W, 3) uint8."""

VIEW_SIZE = 384
"""Pixels: enough for the points' networks, which see the face at 192 (FaceMesh) or 256 (FAN)."""
NEAR, FAR = 5.0, 9.0
"""Sides of squares round a face, in radii of it: it fills half of the one, as in a portrait, and a
quarter of the other."""
BEYOND = 5 / 3
"""Side of the whole picture with black around it, over its own: for faces cut by its edge."""
STRETCHED = (1, 99)
"""Percentiles of a view's brightness that become black and white."""
RIGHT_EYE, LEFT_EYE = 36, 45
"""Outer corners of the eyes among the 68 points."""


@dataclass(frozen=True)
class View:
    """A square of a picture as it is shown to a detector; black beyond the picture's edges.

    Args:
        centre: x + iy, pixels from the top left corner.
        side: pixels of the picture.
        turn: degrees, anticlockwise, by which the picture is turned before it is cut out.
        stretched: with its brightness spread over the whole range.
    """

    centre: complex
    side: float
    turn: float = 0.0
    stretched: bool = False

    @property
    def to_view(self) -> np.ndarray:
        """(2, 3) map from places in the picture to places in the view."""
        centre = self.centre.real, self.centre.imag
        matrix: np.ndarray = cv2.getRotationMatrix2D(centre, self.turn, VIEW_SIZE / self.side)
        matrix[:, 2] += VIEW_SIZE / 2 - np.array(centre)
        return matrix

    def show(self, picture: np.ndarray) -> np.ndarray:
        """(VIEW_SIZE, VIEW_SIZE, 3) uint8 of an RGB picture (H, W, 3) uint8."""
        matrix = self.to_view
        matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV's 0 is the first pixel's centre
        shown = cv2.warpAffine(picture, matrix, (VIEW_SIZE, VIEW_SIZE))
        if self.stretched:
            black, white = np.percentile(shown, STRETCHED)
            levels = (np.arange(256) - black) * (255 / max(white - black, 1.0))
            shown = cv2.LUT(shown, levels.clip(0, 255).astype(np.uint8))
        return shown

    def find(self, look: Look, picture: np.ndarray) -> Face | None:
        """What `look` finds in the view, in the picture's pixels."""
        face = look(self.show(picture))
        if face is None:
            return None
        to_picture = cv2.invertAffineTransform(self.to_view)
        xy = cv2.transform(face.points[None, :, :2].astype(np.float64), to_picture)[0]
        z = face.points[:, 2] * (self.side / VIEW_SIZE)
        return Face(np.column_stack([xy, z]).astype(np.float32), face.confidence)


def look_again(look: Look, picture: np.ndarray, places: Sequence[Face] = ()) -> Face | None:
    """The face in a picture in which a first look found none; None if there is none to be found.

    Args:
        look: the detector.
        picture: RGB (H, W, 3) uint8.
        places: faces of frames nearby; the one found then lies within reach of one of them.
    """
    height, width = picture.shape[:2]
    for view in views(width, height, places):
        face = view.find(look, picture)
        if face is None or (places and not any(within_reach(place, face) for place in places)):
            continue
        confirmed = look_twice(look, picture, face)
        if confirmed is not None:
            return confirmed
    return None


def seen_again(look: Look, picture: np.ndarray, face: Face) -> bool:
    """Whether any look at the surroundings of a face finds it where it is said to be."""
    found = (view.find(look, picture) for view in around(face))
    return any(seen is not None and agree(seen, face) for seen in found)


def look_twice(look: Look, picture: np.ndarray, face: Face) -> Face | None:
    """The face as it is seen from near, if it is seen in its place from near and from far."""
    seen = None
    for view in islice(around(face), 2):
        seen = view.find(look, picture)
        if seen is None or not agree(seen, face):
            return None
    return seen


def views(width: int, height: int, places: Sequence[Face] = ()) -> Iterator[View]:
    """What to show a detector, the most promising first; see `look_again`."""
    for place in places:
        yield from around(place)
    middle, side = complex(width / 2, height / 2), float(max(width, height))
    yield View(middle, side)
    yield View(middle, BEYOND * side)
    yield View(middle, side, stretched=True)
    if not places:  # a face too small for the whole picture to show it
        for y in (0.25, 0.5, 0.75):
            for x in (0.25, 0.5, 0.75):
                yield View(complex(x * width, y * height), side / 2)


def around(place: Face) -> Iterator[View]:
    """Views in which a face at that place is upright."""
    upright = lean(place)
    yield View(place.centre, FAR * place.radius, upright)
    yield View(place.centre, NEAR * place.radius, upright)
    yield View(place.centre, NEAR * place.radius, upright, stretched=True)


def lean(face: Face) -> float:
    """Degrees, clockwise, by which the line through the eyes is off the horizontal."""
    right, left = points_68(face.points)[[RIGHT_EYE, LEFT_EYE], :2]
    return float(np.degrees(np.arctan2(left[1] - right[1], left[0] - right[0])))
