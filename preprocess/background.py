"""Stage extract_background: the scene without the person, from what the person ever uncovers."""

import argparse
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import cv2
import h5py
import numpy as np

from preprocess.inpainting import fill_unseen
from preprocess.some_frames import evenly
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.files import whole_output
from ssp_nerf.frame_store import read_frame
from ssp_nerf.parsing_map import BACKGROUND
from ssp_nerf.progress import progress
from ssp_nerf.schema import FRAMES, PARSING

BLOCK_BYTES = 32 << 20
"""So much of the chosen frames is held at once (and some working copies of it)."""
CLEAR = 0.05
"""A person farther from a pixel than this share of the picture's height has nothing to do with it:
soft hair, shadows and errors of the parsing map end before."""
COMPARABLE = 0.5
"""The frames have a say in a pixel that are at least this share as clear there as the clearest."""
ENOUGH = 1 / 200
"""A pixel was seen if it was clear in this share of the frames, or nearly clear in more of them: a
hole in one wrong map uncovers nothing."""


def extract_background(
    frames: Path, parsing: Path, background: Path, seen: Path, samples: int, margin: float
) -> None:
    """Write the background picture, and a mask of the pixels that were really seen.

    Args:
        frames: frames.h5.
        parsing: parsing.h5 of the same frames.
        background: PNG to be written, RGB, size of the frames.
        seen: PNG to be written, 255 where the background was seen, 0 where it was filled in.
        samples: how many frames, evenly over the clip, are looked at.
        margin: the person is widened by this share of the picture's height, because the edge of a
            parsing map is a pixel or two off and hair is soft.

    Raises:
        InputError: the inputs do not belong together, or the person covers everything always.
    """
    if samples < 1 or margin < 0:
        raise InputError(
            f"background.samples is {samples} and background.margin {margin}, expected 1 or more "
            "frames and a share of 0 or more."
        )
    with FRAMES.open(frames) as video, PARSING.open(parsing) as maps:
        images, labels = video["frames"], maps["parsing"]
        if images.shape[:3] != labels.shape:
            raise InputError(
                f"{parsing}: {labels.shape} frames, rows, columns, but {frames} has "
                f"{images.shape[:3]}. Run `{PARSING.made_by}` again on these frames."
            )
        chosen = evenly(len(images), samples)
        picture, was_seen = median_where_clear(images, labels, chosen, margin * images.shape[1])
    if not was_seen.any():
        raise InputError(
            f"{parsing}: not one pixel is free of a person that is there, in {len(chosen)} frames, "
            "so there is no background to extract. Use a wider crop (a smaller "
            "crop.face_fraction)."
        )
    picture = fill_unseen(picture, was_seen)
    write_png(background, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    write_png(seen, was_seen.astype(np.uint8) * 255)


def median_where_clear(
    images: h5py.Dataset, labels: h5py.Dataset, chosen: np.ndarray, margin: float
) -> tuple[np.ndarray, np.ndarray]:
    """Median colour of each pixel over the frames where the person is far from it.

    Each frame is unpacked once, into a temporary file of plain bytes that is then read by blocks of
    rows: memory grows neither with the clip nor with its size. A frame that shows no person is one
    where the parser failed, and has no say.

    Args:
        images: (N, H, W, 3) uint8.
        labels: (N, H, W) uint8 parsing maps.
        chosen: indices of the frames that count.
        margin: a person within so many pixels makes a pixel not free.

    Returns:
        (H, W, 3) uint8 picture, zero where not seen, and (H, W) bool, seen.
    """
    height, width = images.shape[1:3]
    clear = math.ceil(CLEAR * height)
    picture, seen = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), bool)
    count = 0
    with tempfile.TemporaryFile() as samples:
        for index in progress(chosen, "extract_background", len(chosen)):
            person = read_frame(labels, index) != BACKGROUND
            if person.any():
                sample = np.dstack([read_frame(images, index), clearness(person, margin)])
                samples.write(sample.tobytes())
                count += 1
        rows = max(1, BLOCK_BYTES // (max(1, count) * width * 4))
        for top in range(0, height if count else 0, rows):
            block = slice(top, min(top + rows, height))
            part = _rows(samples, count, height, width, block)
            picture[block], seen[block] = clear_median(part[..., :3], part[..., 3], clear)
    return picture, seen


def clearness(person: np.ndarray, margin: float) -> np.ndarray:
    """How far from a person's edge each pixel is: 0 within `margin` pixels, then 1 more a pixel.

    Args:
        person: (H, W) bool, True somewhere.

    Returns:
        (H, W) uint8, at most 255.
    """
    distance = cv2.distanceTransform((~person).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # OpenCV's distances are off in the seventh digit.
    return np.ceil((distance - margin).round(3)).clip(0, 255).astype(np.uint8)


def clear_median(
    colours: np.ndarray, clearness: np.ndarray, clear: int
) -> tuple[np.ndarray, np.ndarray]:
    """Median over the frames that are about as clear of the person as the best one.

    Args:
        colours: (K, H, W, 3) uint8 of K frames.
        clearness: (K, H, W) uint8, see `clearness`.
        clear: more than this is no better.

    Returns:
        (H, W, 3) uint8, zero where not seen, and (H, W) bool: seen, see `ENOUGH`.
    """
    clearness = np.minimum(clearness, clear)
    seen = clearness.sum(0, dtype=np.uint32) >= max(1, ENOUGH * clear * len(clearness))
    needed = np.maximum(1, np.ceil(COMPARABLE * clearness.max(0))).astype(np.uint8)
    return masked_median(colours, seen & (clearness >= needed)), seen


def masked_median(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Lower median of (K, H, W, C) uint8 over those K where (K, H, W) `mask`; 0 where none."""
    # What does not count sorts to the end; a true 255 among it changes nothing.
    last = np.where(mask, np.uint8(0), np.uint8(255))[..., None]
    ordered = np.sort(np.maximum(values, last), axis=0, kind="stable")  # by radix, for bytes
    count = mask.sum(0)
    middle = np.maximum(count - 1, 0) // 2
    median = np.take_along_axis(ordered, middle[None, ..., None], axis=0)[0]
    return np.where(count[..., None] > 0, median, np.uint8(0))


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a grey or BGR picture as PNG."""
    _, encoded = cv2.imencode(".png", image)
    with whole_output(path) as partial:
        partial.write_bytes(encoded.tobytes())  # imwrite would not notice that the disk is full


def _rows(samples: IO[bytes], count: int, height: int, width: int, block: slice) -> np.ndarray:
    """(count, rows, width, 4) uint8: some rows of each of `count` pictures in a file."""
    part = np.empty((count, block.stop - block.start, width, 4), np.uint8)
    for index, rows in enumerate(part):
        samples.seek((index * height + block.start) * width * 4)
        samples.readinto(rows)  # type: ignore[attr-defined]
    return part


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.background", __doc__)
    parser.add_argument("--frames", type=Path, required=True, help="frames.h5")
    parser.add_argument("--parsing", type=Path, required=True, help="parsing.h5")
    parser.add_argument("--background", type=Path, required=True, help="picture (PNG), written")
    parser.add_argument(
        "--seen", type=Path, required=True, help="mask of the pixels that were seen (PNG), written"
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=200,
        help="frames looked at, evenly over the clip",
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=0.008,
        help="widen the person by this share of the picture's height",
    )

    def command(options: argparse.Namespace) -> None:
        extract_background(
            options.frames,
            options.parsing,
            options.background,
            options.seen,
            options.samples,
            options.margin,
        )

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
