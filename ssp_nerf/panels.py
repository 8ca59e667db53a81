"""One picture out of four: truth, rendering, parsing map and error, with captions and scales.

The captions stand above the panels and the classes' colours below, so that no pixel is covered.
"""

from typing import TYPE_CHECKING

import numpy as np

from ssp_nerf.parsing_map import CLASSES, PALETTE, colourise
from ssp_nerf.schema import FPS

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

CAPTIONS = ("truth", "SSP-NeRF", "parsing", "error")
MIN_PANEL_HEIGHT = 256  # smaller frames are enlarged by a whole factor
GAP = 8  # pixels around and between panels
HEADER, FOOTER = 34, 28  # pixels
FONT_SIZE, SMALL_FONT_SIZE = 18, 13
BAR_HEIGHT = 10

INK, PALE_INK, PAPER = (240, 240, 240), (160, 165, 172), (18, 20, 24)

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
        from matplotlib import colormaps
        from PIL import ImageFont

        self.scale = -(-MIN_PANEL_HEIGHT // height) if height < MIN_PANEL_HEIGHT else 1
        panel_width, panel_height = width * self.scale, height * self.scale
        lefts = [GAP + i * (panel_width + GAP) for i in range(len(CAPTIONS))]
        self.panels = [(left, HEADER, left + panel_width, HEADER + panel_height) for left in lefts]
        right, bottom = self.panels[-1][2:]
        self.size = (_even(right + GAP), _even(bottom + FOOTER))

        self._error_colours = colormaps[ERROR_COLOURS](np.arange(256), bytes=True)[:, :3]
        self._font = ImageFont.load_default(FONT_SIZE)
        self._small_font = ImageFont.load_default(SMALL_FONT_SIZE)
        self._blank = self._draw_blank()

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
        from PIL import Image, ImageDraw

        sheet = self._blank.copy()
        smooth, blocky = Image.Resampling.BICUBIC, Image.Resampling.NEAREST
        pictures = (
            (truth, smooth),
            (rendering, smooth),
            (colourise(parsing), blocky),
            (self.error_heat(truth, rendering), blocky),
        )
        for (left, top, right, bottom), (picture, filter_) in zip(
            self.panels, pictures, strict=True
        ):
            enlarged = Image.fromarray(picture).resize((right - left, bottom - top), filter_)
            sheet.paste(enlarged, (left, top))
        ImageDraw.Draw(sheet).text(
            (self.panels[0][2], HEADER / 2),
            f"frame {frame}   {frame / FPS:.2f} s",
            fill=PALE_INK,
            font=self._small_font,
            anchor="rm",
        )
        return np.asarray(sheet)

    def error_heat(self, truth: np.ndarray, rendering: np.ndarray) -> np.ndarray:
        """Absolute error, mean over channels, 0 to `ERROR_LIMIT` levels: (H, W, 3) uint8 RGB."""
        error = np.abs(truth.astype(np.float32) - rendering).mean(axis=2)
        return self._error_colours[(np.minimum(error / ERROR_LIMIT, 1) * 255).astype(np.uint8)]

    def _draw_blank(self) -> "Image.Image":
        """Everything that is the same in every frame."""
        from PIL import Image, ImageDraw

        sheet = Image.new("RGB", self.size, PAPER)
        draw = ImageDraw.Draw(sheet)
        for caption, (left, *_) in zip(CAPTIONS, self.panels, strict=True):
            draw.text((left, HEADER / 2), caption, fill=INK, font=self._font, anchor="lm")
        self._draw_error_scale(sheet, draw)
        self._draw_classes(draw)
        return sheet

    def _draw_error_scale(self, sheet: "Image.Image", draw: "ImageDraw.ImageDraw") -> None:
        """The heat map's colours with their ends named, at the right of the error's caption."""
        from PIL import Image

        left, _, right, _ = self.panels[-1]
        upper = f"{ERROR_LIMIT}+ of 255"
        bar_right = right - round(self._small_font.getlength(upper)) - GAP
        bar_left = bar_right - (right - left) // 4
        middle = HEADER // 2
        ramp = np.linspace(0, 255, bar_right - bar_left).astype(np.uint8)
        bar = self._error_colours[ramp][None].repeat(BAR_HEIGHT, axis=0)
        sheet.paste(Image.fromarray(bar), (bar_left, middle - BAR_HEIGHT // 2))
        for end, label in ((bar_left - GAP, "0"), (right, upper)):
            draw.text((end, middle), label, fill=PALE_INK, font=self._small_font, anchor="rm")

    def _draw_classes(self, draw: "ImageDraw.ImageDraw") -> None:
        """A swatch and a name for each class along the lower edge."""
        middle = self.panels[0][3] + FOOTER // 2
        step = (self.size[0] - 2 * GAP) / len(CLASSES)
        for i, name in enumerate(CLASSES):
            left, half = GAP + i * step, BAR_HEIGHT // 2
            swatch = (left, middle - half, left + BAR_HEIGHT, middle + half)
            draw.rectangle(swatch, fill=tuple(map(int, PALETTE[i])), outline=PALE_INK)
            draw.text(
                (left + BAR_HEIGHT + GAP, middle),
                name,
                fill=PALE_INK,
                font=self._small_font,
                anchor="lm",
            )


def _even(pixels: int) -> int:
    return pixels + pixels % 2
