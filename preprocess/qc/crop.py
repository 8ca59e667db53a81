"""Picture: where in the video the portrait was cut out, at its beginning, middle and end.

`python -m preprocess.qc.crop --video talk.mp4 --frames frames.h5 --picture qc/crop.png`
"""

import argparse
from collections import deque
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import ffmpeg
import numpy as np

from preprocess.media import PROTOCOLS, Cut, Media, add_cut_arguments, probe, require_picture
from preprocess.qc.drawing import View, lines
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.files import whole_output
from ssp_nerf.schema import FPS, FRAMES
from ssp_nerf.sheet import Colour, Panel, Sheet
from ssp_nerf.video import local, read_frames

SOURCE_HEIGHT, SOURCE_WIDTH = 360, 480  # pixels, at most, of the video's frames in the picture
CROP_HEIGHT = 360  # pixels, of what was cut out
BRIGHTNESS = 0.35  # of what is cut away
EDGE: Colour = (120, 255, 190)
LEAD = 25
"""Frames decoded before the one shown, so that it is the one that the same filter gives from the
clip's beginning on."""


def source_frame(media: Media, cut: Cut, index: int) -> np.ndarray:
    """Frame `index` at 25 fps of the video as a player shows it, without decoding all before it.

    The end of a video is the last frame there is, should `index` be later.

    Raises:
        InputError: no video stream, or nothing there.
    """
    picture = require_picture(media)
    lead = min(index, LEAD)
    begin = media.zero + cut.start + (index - lead) / FPS
    stream = ffmpeg.input(local(media.path), ss=begin, **PROTOCOLS)[str(picture.index)]
    stream = stream.filter("fps", fps=FPS, start_time=0)
    stream = stream.filter("scale", picture.width, picture.height).filter("setsar", 1)
    reading = read_frames(stream, picture.width, picture.height, str(media.path))
    last = deque(islice(reading, lead + 1), maxlen=1)
    if not last:
        raise InputError(
            f"{media.path}: no frame at {begin + lead / FPS:.2f} s, where frames.h5 has one. Is it "
            "the video that frames.h5 was made from, cut at the same time?"
        )
    return last[0]


def with_square(image: np.ndarray, box: Sequence[int], view: View) -> np.ndarray:
    """A source frame, small; what lies outside the square `box` (x, y, width, height) is dark."""
    x, y, width, height = box
    small = cv2.resize(image, (view.width, view.height), interpolation=cv2.INTER_AREA)
    corners = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
    places = view.points(corners)
    left, top = places[0].round().astype(int)
    right, bottom = places[2].round().astype(int)
    drawn = (small * BRIGHTNESS).astype(np.uint8)
    drawn[top:bottom, left:right] = small[top:bottom, left:right]
    lines(drawn, [places], EDGE, thickness=2, closed=True)
    return drawn


def crop_picture(video: Path, frames: Path, picture: Path, cut: Cut) -> None:
    """Write the picture.

    Args:
        video: the source.
        frames: frames.h5, cut out of it.
        picture: PNG to be written.
        cut: the part of the video that was used.

    Raises:
        InputError: files that cannot be read or do not belong together.
    """
    media = probe(video)
    source = require_picture(media)
    scale = min(SOURCE_HEIGHT / source.height, SOURCE_WIDTH / source.width)
    view = View(0, 0, scale, round(source.width * scale), round(source.height * scale))
    with FRAMES.open(frames) as file:
        stored = file["frames"]
        count, height, width = stored.shape[:3]
        box = [int(length) for length in file.attrs["source_box"]]
        chosen = [0, (count - 1) // 2, count - 1]
        portraits = [stored[index] for index in chosen]
    if box[0] + box[2] > source.width or box[1] + box[3] > source.height:
        raise InputError(
            f"{frames}: cut out at {box} (x, y, width, height), which is beyond {video} of "
            f"{source.width}x{source.height} pixels. Delete it; `{FRAMES.made_by}` makes it anew."
        )
    size = (round(width * CROP_HEIGHT / height), CROP_HEIGHT)
    columns, pictures = [], []
    for index, portrait in zip(chosen, portraits, strict=True):
        columns.append(
            [
                Panel(f"frame {index}, {index / FPS:.2f} s", view.width, view.height),
                Panel("portrait", *size),
            ]
        )
        smaller = size[1] < height
        method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
        pictures.append(with_square(source_frame(media, cut, index), box, view))
        pictures.append(cv2.resize(portrait, size, interpolation=method))
    sheet = Sheet(columns)
    x, y, side, _ = box
    sheet.draw_legend(
        [
            (
                f"of {source.width}x{source.height} pixels {side}x{side} at ({x}, {y}), which "
                f"become {width}x{height}",
                EDGE,
            )
        ]
    )
    with whole_output(picture) as partial:
        sheet.compose(pictures).save(partial, format="png")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.qc.crop", __doc__)
    parser.add_argument("--video", type=Path, required=True, help="the video of one talking person")
    parser.add_argument("--frames", type=Path, required=True, help="frames.h5")
    parser.add_argument("--picture", type=Path, required=True, help="the PNG to write")
    add_cut_arguments(parser)

    def command(options: argparse.Namespace) -> None:
        cut = Cut(options.start, options.duration)
        crop_picture(options.video, options.frames, options.picture, cut)

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
