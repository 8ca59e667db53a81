"""One picture out of four: truth, rendering, parsing map and error, with captions and scales."""

import numpy as np

from ssp_nerf.parsing_map import CLASS_LEGEND, colourise
from ssp_nerf.schema import FPS
from ssp_nerf.sheet import Panel, Sheet

CAPTIONS = ("truth", "SSP-NeRF", "parsing", "error")
MIN_PANEL_HEIGHT = 256  # smaller frames are enlarged by a whole factor

ERROR_LIMIT = 64  # levels of 255; larger errors share the brightest colour
ERROR_COLOURS = "inferno"


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
        self.scale = -(-MIN_PANEL_HEIGHT // height) if height < MIN_PANEL_HEIGHT else 1
        size = width * self.scale, height * self.scale
        self._sheet = Sheet([[Panel(caption, *size)] for caption in CAPTIONS])
        self.panels, self.size = self._sheet.panels, self._sheet.size
        self._error_colours = heat_colours()
        self._sheet.draw_scale(
            len(CAPTIONS) - 1, self._error_colours, "0", f"{ERROR_LIMIT}+ of 255"
        )
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
        from PIL import Image

        smooth, blocky = Image.Resampling.BICUBIC, Image.Resampling.NEAREST
        pictures = (
            (truth, smooth),
            (rendering, smooth),
            (colourise(parsing), blocky),
            (self.error_heat(truth, rendering), blocky),
        )
        enlarged = [
            np.asarray(Image.fromarray(picture).resize((right - left, bottom - top), filter_))
            for (left, top, right, bottom), (picture, filter_) in zip(
                self.panels, pictures, strict=True
            )
        ]
        note = f"frame {frame}   {frame / FPS:.2f} s"
        return np.asarray(self._sheet.compose(enlarged, note))

    def error_heat(self, truth: np.ndarray, rendering: np.ndarray) -> np.ndarray:
        """Absolute error, mean over channels, 0 to `ERROR_LIMIT` levels: (H, W, 3) uint8 RGB."""
        error = np.abs(truth.astype(np.float32) - rendering).mean(axis=2)
        return self._error_colours[(np.minimum(error / ERROR_LIMIT, 1) * 255).astype(np.uint8)]


def heat_colours() -> np.ndarray:
    """(256, 3) uint8 RGB: what 0 to the limit of an error is shown in."""
    from matplotlib import colormaps

    return colormaps[ERROR_COLOURS](np.arange(256), bytes=True)[:, :3]
