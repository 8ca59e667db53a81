"""How one picture of a scene lies against another: shift, turn and zoom, from all its edges.

Inverse compositional alignment (Baker and Matthews, Lucas-Kanade 20 years on, 2004) with a
similarity and Tukey's weights. Corners would do where a background has some; plain walls with the
edge of a door are more usual.
"""

from dataclasses import dataclass

import cv2
import numpy as np

BLURS = (5.0, 1.5)  # pixels, from coarse to fine: the first finds shifts of some 15 pixels
ITERATIONS = (12, 8)
POINTS = 4000  # of the reference, where it is steep
STEEP = 1.0  # levels a pixel
LEAST_POINTS = 150
LEAST_SLOPE = 0.6  # levels a pixel, rms, in the direction in which the scene has least structure
TUKEY = 4.685  # robust standard deviations (Holland and Welsch, 1977)
LEAST_LEVEL = 2.0  # a standard deviation below is coding noise
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
        where it does not show the same."""
        matrix = np.eye(3)
        for level, iterations in zip(self.levels, ITERATIONS, strict=True):
            blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), level.blur)
            for _ in range(iterations):
                step = self._step(level, blurred, mask, matrix)
                if step is None:
                    return float("nan"), float("nan")
                matrix = matrix @ np.linalg.inv(step)
                if np.abs(step - np.eye(3)).max() < 1e-3:
                    break
        seen, values = self._sample(level, blurred, mask, matrix)
        if seen.sum() < LEAST_POINTS or correlation(values[seen], level.values[seen]) < ALIKE:
            return float("nan"), float("nan")
        grid = np.stack(np.meshgrid([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]), -1) * self.centre
        moved = grid @ (matrix[:2, :2] - np.eye(2)).T + matrix[:2, 2]
        return float(np.sqrt((moved**2).sum(-1).mean())), float(np.hypot(*matrix[:2, 0]))

    def _level(self, picture: np.ndarray, mask: np.ndarray, blur: float) -> Level:
        blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), blur)
        down, across = np.gradient(blurred)
        y, x = np.nonzero(mask & (np.hypot(across, down) > STEEP))
        chosen = np.unique(np.linspace(0, len(x) - 1, POINTS).round().astype(int)) if len(x) else []
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
        self, level: Level, blurred: np.ndarray, mask: np.ndarray, matrix: np.ndarray
    ) -> np.ndarray | None:
        """(3, 3) the next small motion, or None where too little is seen."""
        seen, values = self._sample(level, blurred, mask, matrix)
        if seen.sum() < LEAST_POINTS:
            return None
        slopes, wanted, values = level.slopes[seen], level.values[seen], values[seen]
        # The light may change, and with it the contrast.
        contrast = values.std() / max(wanted.std(), 1e-6)
        rest = (values - np.median(values)) / max(contrast, 1e-6) - (wanted - np.median(wanted))
        deviation = max(LEAST_LEVEL, 1.4826 * float(np.median(np.abs(rest))))
        weights = np.clip(1 - (rest / (TUKEY * deviation)) ** 2, 0, None) ** 2
        weighted = slopes * weights[:, None]
        normal = weighted.T @ slopes + np.eye(4) * 1e-6 * len(rest)
        zoom, turn, x, y = np.linalg.solve(normal, weighted.T @ rest)
        zoom, turn = zoom / self.unit, turn / self.unit
        return np.array([[1 + zoom, -turn, x], [turn, 1 + zoom, y], [0, 0, 1]])


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation; 0 where one of them is flat."""
    a, b = a - a.mean(), b - b.mean()
    power = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float(a @ b) / power if power > 0 else 0.0
