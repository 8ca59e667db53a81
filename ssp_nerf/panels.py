"""One picture out of four: truth, rendering, parsing map and error, with captions and scales."""

import numpy as np

from ssp_nerf.heat import heat_colours, heat_map
from ssp_nerf.parsing_map import CLASS_LEGEND, colourise
from ssp_nerf.schema import FPS
from ssp_nerf.sheet import Panel, Sheet

CAPTIONS = ("truth", "SSP-NeRF", "parsing", "error")
MIN_PANEL_HEIGHT = 256  # smaller frames are enlarged by a whole factor

ERROR_LIMIT = 64  # levels of 255; larger errors share the brightest colour


class ComparisonSheet:
    """Lays out the four panels for frames of one size.

    Args:
        width, height: of the frames, pixels.

    Attributes:
        scale: whole factor by which panels are enlarged.
        panels: left, top, right, bottom of each panel in the sheet, pixels.
        size: width and height of the sheet, pixels; both even, as video wants them.
    """

    def __init__(self, width: int, height: int):
        self.scale = whole_factor(height)
        size = width * self.scale, height * self.scale
        self._sheet = Sheet([[Panel(caption, *size)] for caption in CAPTIONS])
        self.panels, self.size = self._sheet.panels, self._sheet.size
        self._sheet.draw_scale(len(CAPTIONS) - 1, heat_colours(), "0", f"{ERROR_LIMIT}+ of 255")
        self._sheet.draw_legend(CLASS_LEGEND)

    def compose(
        self, truth: np.ndarray, rendering: np.ndarray, parsing: np.ndarray, frame: int
    ) -> np.ndarray:
        """The sheet of one frame.

        Args:
            truth, rendering: (H, W, 3) uint8 RGB.
            parsing: (H, W) uint8 class ids of the rendering.
            frame: its number in the clip, shown with the time.

        Returns:
            (sheet height, sheet width, 3) uint8 RGB.
        """
        enlarged = [
            enlarge(truth, self.scale),
            enlarge(rendering, self.scale),
            enlarge(colourise(parsing), self.scale, smooth=False),
            enlarge(error_heat(truth, rendering), self.scale, smooth=False),
        ]
        note = f"frame {frame}   {frame / FPS:.2f} s"
        return np.asarray(self._sheet.compose(enlarged, note))


def whole_factor(height: int) -> int:
    """By how much pictures of that height, pixels, are enlarged."""
    return max(1, -(-MIN_PANEL_HEIGHT // height))


def enlarge(picture: np.ndarray, factor: int, smooth: bool = True) -> np.ndarray:
    """(H, W, 3) uint8 -> (factor H, factor W, 3), smooth for photographs, else in squares."""
    from PIL import Image

    how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    height, width = picture.shape[:2]
    size = (factor * width, factor * height)
    return np.asarray(Image.fromarray(picture).resize(size, how))


def error_heat(truth: np.ndarray, rendering: np.ndarray) -> np.ndarray:
    """Absolute error, mean over channels, 0 to `ERROR_LIMIT` levels: (H, W, 3) uint8 RGB."""
    error = np.abs(truth.astype(np.float32) - rendering).mean(axis=2)
    return heat_map(error, ERROR_LIMIT)
