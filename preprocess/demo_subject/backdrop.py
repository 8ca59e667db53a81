"""A room behind the person, out of focus: a wall in window light, a picture, a shelf of books."""

from collections.abc import Sequence

import cv2
import numpy as np

BLUR = 0.006  # standard deviation of the lens's blur, in picture widths
GRAIN = 1.2  # standard deviation of the wall's grain, grey levels
WALLS = ((178, 186, 190), (196, 184, 168), (160, 176, 164), (188, 178, 190))
BOOKS = (
    (150, 60, 50),
    (60, 90, 130),
    (200, 170, 90),
    (80, 110, 80),
    (110, 80, 110),
    (215, 205, 190),
)
WOOD, SHADE = (120, 88, 62), (70, 60, 54)


def backdrop(size: int, seed: int) -> np.ndarray:
    """Paint a room.

    Args:
        size: pixels a side.
        seed: chooses wall, books, and where things hang.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    generator = np.random.default_rng(seed)
    scene = np.empty((size, size, 3), np.float32)
    scene[:] = WALLS[generator.integers(len(WALLS))]

    def box(left: float, top: float, right: float, bottom: float, colour: Sequence[float]) -> None:
        x0, y0, x1, y1 = (round(place * size) for place in (left, top, right, bottom))
        cv2.rectangle(scene, (x0, y0), (x1, y1), colour, -1)

    shelf_left = generator.uniform(0.68, 0.74)
    for board in (0.16, 0.42, 0.68):
        edge = shelf_left
        while edge < 1:
            width, height = generator.uniform(0.018, 0.04), generator.uniform(0.12, 0.2)
            box(edge, board - height, edge + width, board, BOOKS[generator.integers(len(BOOKS))])
            edge += width + 0.004 + 0.05 * (generator.uniform() < 0.12)
        box(shelf_left - 0.01, board, 1, board + 0.018, WOOD)
        box(shelf_left - 0.01, board + 0.018, 1, board + 0.03, SHADE)

    left, top = generator.uniform(0.03, 0.1), generator.uniform(0.08, 0.16)
    box(left, top, left + 0.2, top + 0.26, SHADE)
    box(left + 0.012, top + 0.012, left + 0.188, top + 0.248, (228, 224, 214))
    box(left + 0.035, top + 0.04, left + 0.165, top + 0.15, [level + 70 for level in BOOKS[1]])
    box(left + 0.035, top + 0.15, left + 0.165, top + 0.22, [level + 20 for level in BOOKS[3]])

    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    window = np.exp(-(((x - 0.2) / 0.6) ** 2 + ((y - 0.25) / 0.7) ** 2))
    scene *= (0.72 + 0.4 * window)[..., None]
    room: np.ndarray = cv2.GaussianBlur(scene, (0, 0), BLUR * size)
    room += generator.normal(0, GRAIN, (size, size, 1))
    return np.clip(room, 0, 255).round().astype(np.uint8)
