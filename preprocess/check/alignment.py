"""How one picture of a scene lies against another: shift, turn and zoom, from all its edges.

Inverse compositional alignment (Baker and Matthews, Lucas-Kanade 20 years on, 2004) with a
similarity and Tukey's weights. Corners would do where a background has some; plain walls with the
edge of a door are more usual.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from preprocess.some_frames import evenly

BLURS = (5.0, 1.5)  # pixels, from coarse to fine: the first finds shifts of some 15 pixels
ITERATIONS = (12, 8)
POINTS = 4000  # of the reference, where it is steep
STEEP = 1.0  # levels a pixel
LEAST_POINTS = 150
LEAST_SLOPE = 0.6  # levels a pixel, rms, in the direction in which the scene has least structure
TUKEY = 4.685  # robust standard deviations (Holland and Welsch, 1977)
LEAST_LEVEL = 2.0  # a standard deviation below is coding noise
HARDLY = (1.3, 3e-4)
"""A motion may reduce what two pictures lack in correlation by this factor, and this much, and be
none: noise does it."""
ALIKE = 0.8  # correlation of the two pictures, aligned, from where on they show the same


@dataclass(frozen=True)
class Level:
    """The reference at one blur: points (K, 2), values (K,), slopes of the values with the four
    parameters (K, 4)."""

    blur: float
    points: np.ndarray
    values: np.ndarray
    slopes: np.ndarray


class Reference:
    """A picture that others are aligned with.

    Args:
        picture: (h, w) uint8.
        mask: (h, w) bool, where it counts.

    Attributes:
        tells: whether it has enough structure, in both directions, to see a motion.
    """

    def __init__(self, picture: np.ndarray, mask: np.ndarray):
        self.height, self.width = picture.shape
        self.centre = np.array([self.width - 1, self.height - 1]) / 2
        self.unit = float(np.hypot(*self.centre))  # so that all four parameters are pixels
        self.levels = [self._level(picture, mask, blur) for blur in BLURS]
        self.tells = all(self._tells(level) for level in self.levels)

    def motion(self, picture: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
        """How the scene of another picture lies: rms shift over the frame, pixels, and zoom; nan
        where it does not show the same. No motion wins where another explains hardly more."""
        unknown = float("nan"), float("nan")
        matrix = np.eye(3)
        for level, iterations in zip(self.levels, ITERATIONS, strict=True):
            blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), level.blur)
            light: tuple[float, float] | None = None
            for _ in range(iterations):
                step = self._step(level, blurred, mask, matrix, light)
                if step is None:
                    return unknown
                moved, light = step
                matrix = matrix @ np.linalg.inv(moved)
                if np.abs(moved - np.eye(3)).max() < 1e-3:
                    break
        unlike = 1 - self._likeness(blurred, mask, matrix)
        if 1 - self._likeness(blurred, mask, np.eye(3)) < HARDLY[0] * unlike + HARDLY[1]:
            matrix = np.eye(3)
        if self._likeness(blurred, mask, matrix) < ALIKE:
            return unknown
        grid = np.stack(np.meshgrid([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]), -1) * self.centre
        moved = grid @ (matrix[:2, :2] - np.eye(2)).T + matrix[:2, 2]
        return float(np.sqrt((moved**2).sum(-1).mean())), float(np.hypot(*matrix[:2, 0]))

    def _likeness(self, blurred: np.ndarray, mask: np.ndarray, matrix: np.ndarray) -> float:
        """Correlation with the reference under a motion; -1 where too little is seen."""
        level = self.levels[-1]
        seen, values = self._sample(level, blurred, mask, matrix)
        if seen.sum() < LEAST_POINTS:
            return -1.0
        return correlation(values[seen], level.values[seen])

    def _level(self, picture: np.ndarray, mask: np.ndarray, blur: float) -> Level:
        blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), blur)
        down, across = np.gradient(blurred)
        y, x = np.nonzero(mask & (np.hypot(across, down) > STEEP))
        chosen = evenly(len(x), min(POINTS, len(x)))
        y, x = y[chosen], x[chosen]
        gx, gy = across[y, x], down[y, x]
        points = np.stack([x, y], -1) - self.centre
        u, v = points.T / self.unit
        # Of zoom, turn, and the shifts.
        slopes = np.stack([gx * u + gy * v, gy * u - gx * v, gx, gy], -1)
        return Level(blur, points, blurred[y, x].astype(float), slopes.astype(float))

    def _tells(self, level: Level) -> bool:
        if len(level.points) < LEAST_POINTS:
            return False
        shifts = level.slopes[:, 2:]
        least = np.linalg.eigvalsh(shifts.T @ shifts / len(shifts))[0]
        return bool(np.sqrt(max(0.0, least)) > LEAST_SLOPE * STEEP)

    def _sample(
        self, level: Level, blurred: np.ndarray, mask: np.ndarray, matrix: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which of the level's points a picture shows, under a motion, and its values there."""
        at = (level.points @ matrix[:2, :2].T + matrix[:2, 2] + self.centre).astype(np.float32)
        x, y = at.T
        inside = (x >= 0) & (y >= 0) & (x <= self.width - 1) & (y <= self.height - 1)
        values = cv2.remap(blurred, x[:, None], y[:, None], cv2.INTER_LINEAR)[:, 0]
        seen = inside.copy()
        seen[inside] = mask[y[inside].round().astype(int), x[inside].round().astype(int)]
        return seen, values.astype(float)

    def _step(
        self,
        level: Level,
        blurred: np.ndarray,
        mask: np.ndarray,
        matrix: np.ndarray,
        light: tuple[float, float] | None,
    ) -> tuple[np.ndarray, tuple[float, float]] | None:
        """The next small motion (3, 3), and how the light differs: contrast and brightness.

        None where too little is seen.
        """
        seen, values = self._sample(level, blurred, mask, matrix)
        if seen.sum() < LEAST_POINTS:
            return None
        wanted, values = level.values[seen], values[seen]
        centred = wanted - wanted.mean()
        contrast, brightness = light or (values.std() / max(1e-6, wanted.std()), values.mean())
        rest = values - contrast * centred - brightness
        deviation = max(LEAST_LEVEL, 1.4826 * float(np.median(np.abs(rest))))
        weights = np.clip(1 - (rest / (TUKEY * deviation)) ** 2, 0, None) ** 2
        model = np.column_stack([contrast * level.slopes[seen], centred, np.ones_like(rest)])
        weighted = model * weights[:, None]
        normal = weighted.T @ model + np.eye(6) * 1e-6 * len(rest)
        zoom, turn, x, y, more_contrast, brighter = np.linalg.solve(normal, weighted.T @ rest)
        zoom, turn = zoom / self.unit, turn / self.unit
        moved = np.array([[1 + zoom, -turn, x], [turn, 1 + zoom, y], [0, 0, 1]])
        return moved, (contrast + more_contrast, brightness + brighter)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation; 0 where one of them is flat."""
    a, b = a - a.mean(), b - b.mean()
    power = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float(a @ b) / power if power > 0 else 0.0
