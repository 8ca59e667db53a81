"""Pictures side by side on dark paper: captions above them, a legend below, no pixel covered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

GAP = 8  # pixels around and between panels
HEADER, LEGEND = 34, 28  # pixels
FONT_SIZE, SMALL_FONT_SIZE = 18, 13
SWATCH = 10  # side of a colour in the legend, height of a colour scale, pixels

INK, PALE_INK, PAPER = (240, 240, 240), (160, 165, 172), (18, 20, 24)
Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]
"""left, top, right, bottom in a sheet, pixels."""


@dataclass(frozen=True)
class Panel:
    """A place for a picture: what stands above it, and its size in pixels."""

    caption: str
    width: int
    height: int


class Sheet:
    """Lays out panels, and keeps what is the same on every sheet.

    Args:
        columns: from left to right, the panels of each from top to bottom.
        footer: height below the panels, pixels.

    Attributes:
        panels: box of each panel, column by column.
        footer: box of the room below.
        size: width and height, pixels; both even, as video wants them.
        blank: the sheet without pictures; whoever draws on it draws on every sheet.
    """

    def __init__(self, columns: Sequence[Sequence[Panel]], footer: int = LEGEND):
        from PIL import Image, ImageDraw, ImageFont

        self.font = ImageFont.load_default(FONT_SIZE)
        self.small_font = ImageFont.load_default(SMALL_FONT_SIZE)
        self.panels: list[Box] = []
        captions: list[str] = []
        left, bottom = GAP, 0
        for column in columns:
            top = 0
            for panel in column:
                top += HEADER
                self.panels.append((left, top, left + panel.width, top + panel.height))
                captions.append(panel.caption)
                top += panel.height
            left += max(panel.width for panel in column) + GAP
            bottom = max(bottom, top)
        self.size = (_even(left), _even(bottom + footer))
        self.footer: Box = (GAP, bottom, left - GAP, self.size[1])
        self.blank = Image.new("RGB", self.size, PAPER)
        draw = ImageDraw.Draw(self.blank)
        for caption, (left, top, *_) in zip(captions, self.panels, strict=True):
            draw.text((left, top - HEADER / 2), caption, fill=INK, font=self.font, anchor="lm")

    def compose(self, pictures: Sequence[np.ndarray], note: str = "") -> "Image.Image":
        """A sheet with a picture (height, width, 3) uint8 RGB in each panel, as large as it is.

        Args:
            note: stands above the right end of the first panel.
        """
        from PIL import Image, ImageDraw

        sheet = self.blank.copy()
        for (left, top, right, bottom), picture in zip(self.panels, pictures, strict=True):
            assert picture.shape == (bottom - top, right - left, 3), (picture.shape, left, top)
            sheet.paste(Image.fromarray(picture), (left, top))
        if note:
            self.write(ImageDraw.Draw(sheet), (self.panels[0][2], HEADER / 2), note, anchor="rm")
        return sheet

    def write(
        self,
        draw: "ImageDraw.ImageDraw",
        place: tuple[float, float],
        text: str,
        anchor: str = "lm",
        colour: Colour = PALE_INK,
    ) -> None:
        """Small text; `anchor` is PIL's, l, m or r across and m for the middle of the line."""
        draw.text(place, text, fill=colour, font=self.small_font, anchor=anchor)

    def draw_scale(self, panel: int, ramp: np.ndarray, lower: str, upper: str) -> None:
        """The colours (256, 3) uint8 of a heat map, ends named, above the panel's right end."""
        from PIL import Image, ImageDraw

        left, top, right, _ = self.panels[panel]
        bar_right = right - round(self.small_font.getlength(upper)) - GAP
        bar_left = bar_right - (right - left) // 4
        middle = top - HEADER // 2
        levels = np.linspace(0, 255, bar_right - bar_left).astype(np.uint8)
        bar = ramp[levels][None].repeat(SWATCH, axis=0)
        self.blank.paste(Image.fromarray(bar), (bar_left, middle - SWATCH // 2))
        draw = ImageDraw.Draw(self.blank)
        for end, label in ((bar_left - GAP, lower), (right, upper)):
            self.write(draw, (end, middle), label, anchor="rm")

    def draw_legend(self, entries: Sequence[tuple[str, Colour]]) -> None:
        """A swatch and a name for each entry, from end to end of the footer's upper edge."""
        from PIL import ImageDraw

        draw = ImageDraw.Draw(self.blank)
        start, top, end, _ = self.footer
        middle, half = top + LEGEND // 2, SWATCH // 2
        widths = [SWATCH + GAP + self.small_font.getlength(name) for name, _ in entries]
        between = (end - start - sum(widths)) / max(1, len(entries) - 1)
        left = float(start)
        for (name, colour), width in zip(entries, widths, strict=True):
            swatch = (round(left), middle - half, round(left) + SWATCH, middle + half)
            draw.rectangle(swatch, fill=colour, outline=PALE_INK)
            self.write(draw, (round(left) + SWATCH + GAP, middle), name)
            left += width + between


def _even(pixels: int) -> int:
    return pixels + pixels % 2
