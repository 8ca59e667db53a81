"""Video: the classes over the frame, outlined, beside the frame itself.

`python -m preprocess.qc.parsing --frames frames.h5 --parsing parsing.h5 --speech speech.wav
--video qc/parsing.mp4`
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import h5py
import numpy as np

from preprocess.qc.clip import blocks, require_frames
from preprocess.qc.drawing import outline
from preprocess.qc.excerpts import SECONDS
from preprocess.qc.film import FOOTER, Curve, add_film_arguments, write_film
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.parsing_map import BACKGROUND, CLASS_LEGEND, colourise
from ssp_nerf.schema import FRAMES, PARSING
from ssp_nerf.sheet import Panel, Sheet

PANEL_HEIGHT = 450  # pixels, as the paper's frames: nothing is blurred
OPACITY = 0.5  # of the colours over the frame
PERCENT = 100.0


def overlay(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The classes' colours over the person, at full strength where two classes meet.

    Pixels of the background stay as they are, so that what was left out shows as well.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 classes.

    Returns:
        (H, W, 3) uint8.
    """
    colours = colourise(labels)
    drawn = cv2.addWeighted(image, 1 - OPACITY, colours, OPACITY, 0)
    edge = outline(labels)
    drawn[edge] = colours[edge]
    free = labels == BACKGROUND
    drawn[free] = image[free]
    return drawn


def changes(labels: h5py.Dataset) -> np.ndarray:
    """(N, H, W) parsing maps -> (N,) percent of the pixels that changed class since the frame
    before; the first none. Flicker shows as a row of peaks, motion as hills."""
    shares = [
        (block[1:] != block[:-1]).mean((1, 2), dtype=np.float64) for block in blocks(labels, 1)
    ]
    return PERCENT * np.concatenate([[0.0], *shares])


def parsing_video(
    frames: Path,
    parsing: Path,
    video: Path,
    speech: Path | None = None,
    seconds: float = SECONDS,
) -> int:
    """Write the video; returns the number of its frames.

    Args:
        frames, parsing: files of one clip.
        video: mp4 to be written.
        speech: speech.wav, or None for a silent video.
        seconds: length at most.

    Raises:
        InputError: files of different clips.
    """
    with FRAMES.open(frames) as images, PARSING.open(parsing) as maps:
        pictures, labels = images["frames"], maps["parsing"]
        count, height, width = pictures.shape[:3]
        require_frames(parsing, PARSING, len(labels), frames, count)
        if labels.shape != pictures.shape[:3]:
            raise InputError(
                f"{parsing}: maps of {labels.shape[2]}x{labels.shape[1]} pixels, but {frames} has "
                f"{width}x{height}. Delete it; `{PARSING.made_by}` makes it anew of these frames."
            )
        size = (round(width * PANEL_HEIGHT / height), PANEL_HEIGHT)

        def panels(frame: int) -> list[np.ndarray]:
            picture = pictures[frame]
            both = picture, overlay(picture, labels[frame])
            return [cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) for image in both]

        title = f"parsing by {maps.attrs['parser']}"
        sheet = Sheet([[Panel("portrait", *size)], [Panel(title, *size)]], FOOTER)
        sheet.draw_legend(CLASS_LEGEND)
        curve = Curve("pixels that changed class, percent", changes(labels), np.zeros(count, bool))
        return write_film(video, sheet, curve, panels, speech, seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.qc.parsing", __doc__)
    parser.add_argument("--frames", type=Path, required=True, help="frames.h5")
    parser.add_argument("--parsing", type=Path, required=True, help="parsing.h5")
    add_film_arguments(parser)

    def command(options: argparse.Namespace) -> None:
        count = parsing_video(
            options.frames, options.parsing, options.video, options.speech, options.seconds
        )
        print(f"{options.video}: {count} frames")

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
