"""A visible mark on generated pictures: a short text in the lower left corner.

It is drawn when a video is written. What is measured is read before, and never marked.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from ssp_nerf.errors import InputError

FONT_SHARE = 0.045  # height of a line over the picture's: 20 pixels of 450
SMALLEST_FONT = 10  # pixels; smaller letters cannot be read
MOST_HEIGHT = 0.25  # of the picture's that the mark may cover
PAPER, INK = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)
PAPER_OPACITY = 0.55  # dark enough for white letters on a white shirt


class Mark:
    """A text drawn onto pictures of one size.

    Args:
        text: of one line or more; broken between words where it is wider than the picture.
        width, height: of the pictures, pixels.

    Attributes:
        box: left, top, right, bottom of what it covers, pixels.

    Raises:
        InputError: a text that does not fit in letters that can be read.
    """

    def __init__(self, text: str, width: int, height: int):
        from PIL import Image, ImageDraw, ImageFont

        size = max(SMALLEST_FONT, round(FONT_SHARE * height))
        font = ImageFont.load_default(size)
        pad = max(2, size // 4)
        room = width - 4 * pad
        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and font.getlength(longer) <= room:
                lines[-1] = longer
            else:
                lines.append(word)
        across = max((font.getlength(line) for line in lines), default=0.0)
        step = round(1.25 * size)
        right, top = pad + round(across) + 2 * pad, height - pad - len(lines) * step - pad
        if not lines or across > room or height - top > MOST_HEIGHT * height:
            raise InputError(
                f"provenance.mark: {text!r} does not fit into pictures of {width}x{height} pixels "
                f"in letters that can be read ({size} pixels). Use a shorter text, such as 'AI'."
            )
        self.box = (pad, top, right, height - pad)
        letters = Image.new("L", (right - pad, height - pad - top))
        draw = ImageDraw.Draw(letters)
        for number, line in enumerate(lines):
            middle = pad // 2 + number * step + step / 2
            draw.text((pad, middle), line, fill=255, font=font, anchor="lm")
        ink = np.asarray(letters, np.float32)[..., None] / 255
        # What is left of the picture, and what comes over it.
        self._kept = (1 - ink) * (1 - PAPER_OPACITY)
        self._over = ink * np.array(INK) + (1 - ink) * PAPER_OPACITY * np.array(PAPER)

    def on(self, picture: np.ndarray) -> np.ndarray:
        """A marked copy of a picture (H, W, 3) uint8 RGB."""
        left, top, right, bottom = self.box
        marked = picture.copy()
        part = marked[top:bottom, left:right]
        part[...] = (part * self._kept + self._over).round()
        return marked


def marked(frames: Iterable[np.ndarray], text: str) -> Iterator[np.ndarray]:
    """The frames (H, W, 3) uint8 with the mark on each, or as they are if the text is empty.

    Raises:
        InputError: a text that does not fit.
    """
    mark: Mark | None = None
    for frame in frames:
        if text and mark is None:
            mark = Mark(text, frame.shape[1], frame.shape[0])
        yield mark.on(frame) if mark else frame
