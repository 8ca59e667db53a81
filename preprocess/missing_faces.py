"""A picture of the frames in which no face was found, for whoever has to decide what to cut."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssp_nerf.files import whole_output
from ssp_nerf.schema import FPS

if TYPE_CHECKING:
    from PIL import ImageDraw

    from preprocess.face_tracking import Clip

COLUMNS, MAX_ROWS = 6, 8
THUMBNAIL = 200  # pixels: one still sees whether there is a face
GAP, CAPTION, TITLE = 8, 24, 36  # pixels
FONT_SIZE, TITLE_SIZE = 15, 18
PAPER, INK, PALE_INK = (18, 20, 24), (240, 240, 240), (160, 165, 172)
WITHOUT, WITH = (225, 87, 89), (89, 161, 79)  # frames round pictures without and with a face


def write_contact_sheet(
    path: Path, clip: "Clip", found: np.ndarray, shown: Sequence[tuple[int, int]]
) -> None:
    """Write a PNG with a row for each gap: the frame before it, frames of it, the frame after it.

    Args:
        path: where the picture goes.
        clip: the frames.
        found: (N,) bool, frames with a face.
        shown: first and last frame of each gap; the first `MAX_ROWS` have a row.
    """
    from PIL import Image, ImageDraw, ImageFont

    rows = shown[:MAX_ROWS]
    width = COLUMNS * (THUMBNAIL + GAP) + GAP
    pitch = TITLE + CAPTION + THUMBNAIL + GAP
    sheet = Image.new("RGB", (width, len(rows) * pitch + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    font, title_font = ImageFont.load_default(FONT_SIZE), ImageFont.load_default(TITLE_SIZE)
    for row, (first, last) in enumerate(rows):
        top = row * pitch
        more = len(shown) - len(rows) if row == len(rows) - 1 else 0
        title = (
            f"no face in frames {first} to {last}: {first / FPS:.2f} to {(last + 1) / FPS:.2f} s"
        )
        title += f" (and {more} more such gaps)" if more else ""
        draw.text((GAP, top + TITLE / 2), title, fill=INK, font=title_font, anchor="lm")
        for column, index in enumerate(sample(first, last, len(clip))):
            left, above = GAP + column * (THUMBNAIL + GAP), top + TITLE + CAPTION
            caption = f"{index}   {index / FPS:.2f} s"
            draw.text((left, above - CAPTION / 2), caption, fill=PALE_INK, font=font, anchor="lm")
            picture = Image.fromarray(clip[index])
            picture.thumbnail((THUMBNAIL, THUMBNAIL))
            sheet.paste(picture, (left, above))
            _frame(draw, left, above, picture.size, WITH if found[index] else WITHOUT)
    with whole_output(path) as partial:
        sheet.save(partial)


def sample(first: int, last: int, count: int) -> list[int]:
    """At most `COLUMNS` frames: one before the gap, some of it, one after, where there are such."""
    ends = [index for index in (first - 1, last + 1) if 0 <= index < count]
    inside = np.linspace(first, last, min(COLUMNS - len(ends), last - first + 1)).round()
    return sorted({*ends, *inside.astype(int).tolist()})


def _frame(
    draw: "ImageDraw.ImageDraw",
    left: int,
    top: int,
    size: tuple[int, int],
    colour: tuple[int, int, int],
) -> None:
    draw.rectangle(
        (left - 2, top - 2, left + size[0] + 1, top + size[1] + 1), outline=colour, width=2
    )
