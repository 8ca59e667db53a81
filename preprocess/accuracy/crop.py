"""From the pixels of a video to those of the square that `crop_video` kept of it."""

from dataclasses import dataclass

import cv2
import numpy as np

from ssp_nerf.parsing_map import CLASSES


@dataclass(frozen=True)
class Crop:
    """A square of a video, scaled to the size of the stored frames.

    Attributes:
        x, y: its top left corner, pixels of the video.
        side: pixels of the video.
        size: pixels of the stored frames.
    """

    x: int
    y: int
    side: int
    size: int

    @property
    def scale(self) -> float:
        """Stored pixels for a pixel of the video."""
        return self.size / self.side

    def points(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) or more coordinates, x and y first, pixels of the video -> (..., 2) stored."""
        return (points[..., :2] - (self.x, self.y)) * self.scale

    def picture(self, image: np.ndarray) -> np.ndarray:
        """(height, width, ...) of the video -> (size, size, ...), means over areas."""
        part = np.ascontiguousarray(image[self.y : self.y + self.side, self.x : self.x + self.side])
        if self.size == self.side:
            return part
        return cv2.resize(part, (self.size, self.size), interpolation=cv2.INTER_AREA)

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """Parsing map of the video -> (size, size) uint8: the class with most of a pixel's area."""
        if self.size == self.side:
            return self.picture(labels)
        shares = [self.picture((labels == c).astype(np.float32)) for c in range(len(CLASSES))]
        return np.argmax(shares, axis=0).astype(np.uint8)

    def off_axis(self, width: int, height: int) -> tuple[float, float]:
        """How far right of and below the centre of the video the centre of the square lies.

        Args:
            width, height: of the video, pixels.

        Returns:
            Pixels of the video.
        """
        return self.x + self.side / 2 - width / 2, self.y + self.side / 2 - height / 2
