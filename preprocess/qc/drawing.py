"""Lines, dots and tints on enlarged pictures, exact to a fraction of a pixel.

Places are in pixels from the top left corner of the picture, as everywhere in the project; the
middle of the first pixel is at (0.5, 0.5). OpenCV has it at (0, 0).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ssp_nerf.sheet import Colour

MARK: Colour = (255, 72, 160)
"""Of what should be looked at: interpolated frames, in-painted background."""
FRACTION_BITS = 4  # of places: OpenCV draws to a sixteenth of a pixel
ARROW_HEAD = 0.12  # of the arrow's length


@dataclass(frozen=True)
class View:
    """A part of a frame, enlarged to a panel.

    Attributes:
        left, top: its corner in the frame, pixels.
        scale: panel pixels of a frame pixel.
        width, height: of the panel, pixels.
    """

    left: float
    top: float
    scale: float
    width: int
    height: int

    @classmethod
    def whole(cls, width: int, height: int, panel_height: int) -> "View":
        """All of a frame of width x height, as high as the panel."""
        scale = panel_height / height
        return cls(0.0, 0.0, scale, round(width * scale), panel_height)

    @classmethod
    def around(cls, centre: np.ndarray, span: float, width: int, height: int) -> "View":
        """`span` frame pixels across, round `centre` (2,), in a panel of width x height."""
        scale = width / span
        left, top = np.asarray(centre, float) - np.array([width, height]) / scale / 2
        return cls(float(left), float(top), scale, width, height)

    def picture(self, image: np.ndarray) -> np.ndarray:
        """The panel (height, width, 3) uint8 of a frame (H, W, 3) uint8; black beyond its edges."""
        shift = 0.5 * self.scale - 0.5
        to_panel = np.array(
            [
                [self.scale, 0, shift - self.scale * self.left],
                [0, self.scale, shift - self.scale * self.top],
            ]
        )
        size = (self.width, self.height)
        return cv2.warpAffine(image, to_panel, size, flags=cv2.INTER_CUBIC)

    def points(self, pixels: np.ndarray) -> np.ndarray:
        """Places (..., 2) in the frame -> in the panel."""
        return (pixels - np.array([self.left, self.top])) * self.scale


def lines(
    canvas: np.ndarray,
    ends: Sequence[np.ndarray] | np.ndarray,
    colour: Colour,
    opacity: float = 1.0,
    thickness: int = 1,
    closed: bool = False,
) -> None:
    """Draw polylines, each (n, 2) places; `opacity` holds for all of them together."""
    if not len(ends):
        return
    drawn = canvas if opacity == 1 else canvas.copy()
    curves = [fixed(line) for line in ends]
    cv2.polylines(drawn, curves, closed, colour, thickness, cv2.LINE_AA, FRACTION_BITS)
    if opacity < 1:
        cv2.addWeighted(drawn, opacity, canvas, 1 - opacity, 0, dst=canvas)


def dots(canvas: np.ndarray, places: np.ndarray, radius: float, colour: Colour) -> None:
    """Draw a disc at each of (n, 2) places."""
    size = round(radius * (1 << FRACTION_BITS))
    for x, y in fixed(places).tolist():
        cv2.circle(canvas, (x, y), size, colour, -1, cv2.LINE_AA, FRACTION_BITS)


def arrow(
    canvas: np.ndarray, begin: np.ndarray, end: np.ndarray, colour: Colour, label: str
) -> None:
    """Draw an arrow from one place (2,) to another, a letter at its point."""
    length = float(np.linalg.norm(end - begin))
    direction = (end - begin) / max(length, 1e-9)
    aside = np.array([-direction[1], direction[0]])
    head = max(ARROW_HEAD * length, 5.0)
    point = np.stack(
        [end, end - head * (direction - aside / 2), end - head * (direction + aside / 2)]
    )
    lines(canvas, [np.stack([begin, end - head / 2 * direction])], colour, thickness=2)
    cv2.fillConvexPoly(canvas, fixed(point), colour, cv2.LINE_AA, FRACTION_BITS)
    x, y = (end + 11 * direction).round().astype(int).tolist()
    text = (x - 5, y + 5)
    cv2.putText(canvas, label, text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(canvas, label, text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)


def tint(canvas: np.ndarray, mask: np.ndarray, colour: Colour, opacity: float) -> None:
    """Colour the pixels of (H, W) bool `mask`; the others stay as they are."""
    mixed = (1 - opacity) * canvas[mask].astype(np.float32) + opacity * np.array(colour)
    canvas[mask] = mixed.round().astype(np.uint8)


def outline(mask: np.ndarray) -> np.ndarray:
    """(H, W) of any type -> (H, W) bool: pixels whose right or lower neighbour differs."""
    edge = np.zeros(mask.shape, bool)
    edge[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    edge[:-1] |= mask[:-1] != mask[1:]
    return edge


def fixed(places: np.ndarray) -> np.ndarray:
    """Places (n, 2) as OpenCV takes them: its pixel middles, in sixteenths."""
    return np.round((np.asarray(places) - 0.5) * (1 << FRACTION_BITS)).astype(np.int32)
