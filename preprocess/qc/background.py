"""Picture: a frame, the background behind it, what of it was never seen, and what does not fit.

`python -m preprocess.qc.background --frames frames.h5 --parsing parsing.h5
--background background.png --seen background_seen.png --picture qc/background.png`
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from preprocess.qc.clip import require_frames
from preprocess.qc.drawing import MARK, outline, tint
from preprocess.some_frames import evenly
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file, whole_output
from ssp_nerf.heat import heat_colours, heat_map
from ssp_nerf.panels import ERROR_LIMIT
from ssp_nerf.parsing_map import BACKGROUND
from ssp_nerf.schema import FPS, FRAMES, PARSING
from ssp_nerf.sheet import PAPER, Panel, Sheet

SAMPLES = 50
"""Frames, evenly over the clip, that are held against the background."""
OPACITY = 0.45  # of the tint
MADE_BY = "Delete it; `extract_background` makes it anew."
PERCENT = 100.0


def read_png(path: Path, shape: tuple[int, ...], mode: str) -> np.ndarray:
    """A picture in PIL's `mode` that has the `shape` expected.

    Raises:
        InputError: not there, not a picture, or another size.
    """
    from PIL import Image, UnidentifiedImageError

    path = require_file(path, "a picture", MADE_BY)
    try:
        picture = np.asarray(Image.open(path).convert(mode))
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: expected a PNG, but it is no picture. {MADE_BY}") from error
    if picture.shape != shape:
        raise InputError(
            f"{path}: {picture.shape[1]}x{picture.shape[0]} pixels, but the frames have "
            f"{shape[1]}x{shape[0]}. {MADE_BY}"
        )
    return picture


def unlike(
    images: h5py.Dataset, labels: h5py.Dataset, background: np.ndarray, chosen: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """How the frames differ from the background where the parsing map says that it is seen.

    Args:
        images: (N, H, W, 3) uint8.
        labels: (N, H, W) uint8.
        background: (H, W, 3) uint8.
        chosen: frames that count.

    Returns:
        (H, W) float32 mean difference over channels and those frames, levels of 255, 0 where no
        frame counts; and (H, W) bool where one does.
    """
    total = np.zeros(background.shape[:2], np.float32)
    count = np.zeros(background.shape[:2], np.int32)
    for index in chosen:
        free = labels[index] == BACKGROUND
        difference = np.abs(images[index].astype(np.float32) - background).mean(2)
        total += np.where(free, difference, 0)
        count += free
    return total / np.maximum(count, 1), count > 0


def tinted(background: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The background, `MARK` over what was never seen and round it; the rest as it is."""
    drawn = background.copy()
    tint(drawn, ~seen, MARK, OPACITY)
    tint(drawn, outline(seen) & ~seen, MARK, 1.0)
    return drawn


def background_picture(
    frames: Path, parsing: Path, background: Path, seen: Path, picture: Path
) -> None:
    """Write the picture.

    Args:
        frames, parsing: files of one clip.
        background, seen: what `extract_background` made of them.
        picture: PNG to be written.

    Raises:
        InputError: files that do not belong together.
    """
    with FRAMES.open(frames) as video, PARSING.open(parsing) as maps:
        images, labels = video["frames"], maps["parsing"]
        count, height, width = images.shape[:3]
        require_frames(parsing, PARSING, len(labels), frames, count)
        scene = read_png(background, (height, width, 3), "RGB")
        free = read_png(seen, (height, width), "L") > 0
        chosen = evenly(count, SAMPLES).tolist()
        difference, counted = unlike(images, labels, scene, chosen)
        middle = chosen[len(chosen) // 2]
        shown = images[middle]

    colours = heat_colours()
    heat = heat_map(difference, ERROR_LIMIT)
    heat[~counted] = PAPER
    size = (width, height)
    never = PERCENT * (1 - free.mean())
    captions = (
        f"frame {middle}, {middle / FPS:.2f} s",
        "background",
        f"never seen: {never:.1f} %",
        "frames minus background",
    )
    sheet = Sheet([[Panel(caption, *size)] for caption in captions])
    sheet.draw_scale(len(captions) - 1, colours, "0", f"{ERROR_LIMIT}+")
    sheet.draw_legend(
        (
            ("never seen: filled in from around", MARK),
            ("taken for the person in every frame looked at", PAPER),
            ("bright: moves, changes its light, or is a part of the person that parsing missed",
             (colours[200, 0], colours[200, 1], colours[200, 2])),
        )
    )  # fmt: skip
    composed = sheet.compose([shown, scene, tinted(scene, free), heat])
    with whole_output(picture) as partial:
        composed.save(partial, format="png")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.qc.background", __doc__)
    parser.add_argument("--frames", type=Path, required=True, help="frames.h5")
    parser.add_argument("--parsing", type=Path, required=True, help="parsing.h5")
    parser.add_argument("--background", type=Path, required=True, help="background.png")
    parser.add_argument(
        "--seen", type=Path, required=True, help="mask of the pixels ever free (PNG)"
    )
    parser.add_argument("--picture", type=Path, required=True, help="the PNG to write")

    def command(options: argparse.Namespace) -> None:
        background_picture(
            options.frames, options.parsing, options.background, options.seen, options.picture
        )

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
