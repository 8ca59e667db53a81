"""Stage extract_background: the scene without the person, from what the person ever uncovers."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import h5py
import numpy as np

from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.files import whole_output
from ssp_nerf.parsing_map import BACKGROUND
from ssp_nerf.progress import progress
from ssp_nerf.schema import FRAMES, PARSING

ROW_BLOCK_BYTES = 128 << 20
"""So much of the chosen frames is held at once (and two working copies of it)."""


def extract_background(
    frames: Path, parsing: Path, background: Path, seen: Path, samples: int, margin: float
) -> None:
    """Write the background picture, and a mask of the pixels that were really seen.

    Args:
        frames: frames.h5.
        parsing: parsing.h5 of the same frames.
        background: PNG to be written, RGB, size of the frames.
        seen: PNG to be written, 255 where the background was ever free, 0 where it was filled in.
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
        chosen = np.unique(np.linspace(0, len(images) - 1, samples).round().astype(int))
        radius = round(margin * images.shape[1])
        picture, free = median_where_free(images, labels, chosen, radius)
    if not free.any():
        raise InputError(
            f"{parsing}: not one pixel is ever free of the person in {len(chosen)} frames, so "
            "there is no background to extract. Use a wider crop (a smaller crop.face_fraction)."
        )
    picture = fill_unseen(picture, free)
    write_png(background, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    write_png(seen, free.astype(np.uint8) * 255)


def median_where_free(
    images: h5py.Dataset, labels: h5py.Dataset, chosen: np.ndarray, radius: int
) -> tuple[np.ndarray, np.ndarray]:
    """Median colour of each pixel over the frames where no person is near.

    Works in blocks of rows, so memory does not grow with the clip.

    Args:
        images: (N, H, W, 3) uint8.
        labels: (N, H, W) uint8 parsing maps.
        chosen: indices of the frames that count.
        radius: a person within so many pixels makes a pixel not free.

    Returns:
        (H, W, 3) uint8 picture, zero where never free, and (H, W) bool, free at least once.
    """
    height, width = images.shape[1:3]
    free = np.empty((len(chosen), height, width), bool)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    for out, index in zip(free, progress(chosen, "extract_background", len(chosen)), strict=True):
        person = (labels[index] != BACKGROUND).astype(np.uint8)
        out[:] = cv2.dilate(person, disc) == 0
    picture = np.zeros((height, width, 3), np.uint8)
    rows = max(1, ROW_BLOCK_BYTES // (len(chosen) * width * 3))
    for top in range(0, height, rows):
        block = slice(top, top + rows)
        colours = np.stack([images[index, block] for index in chosen])
        picture[block] = masked_median(colours, free[:, block])
    return picture, free.any(0)


def masked_median(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Lower median of (K, H, W, C) uint8 over those K where (K, H, W) `mask`; 0 where none."""
    # What does not count sorts to the end; a true 255 among it changes nothing.
    ordered = np.sort(np.where(mask[..., None], values, np.uint8(255)), axis=0)
    count = mask.sum(0)
    middle = np.maximum(count - 1, 0) // 2
    median = np.take_along_axis(ordered, middle[None, ..., None], axis=0)[0]
    return np.where(count[..., None] > 0, median, np.uint8(0))


def fill_unseen(picture: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Give unseen pixels the nearest seen colour, blurred more the farther away that is.

    Nobody will see them, but the last sample of their rays takes this colour, so it should have no
    edges for the network to explain.

    Args:
        picture: (H, W, 3) uint8.
        seen: (H, W) bool.
    """
    from scipy.ndimage import distance_transform_edt

    distance, (rows, columns) = distance_transform_edt(~seen, return_indices=True)
    filled = picture[rows, columns].astype(np.float32)
    result = filled.copy()
    level = 2.0
    while level < distance.max():
        # Sharp at the border of what was seen, twice as smooth at twice the distance.
        smooth = cv2.GaussianBlur(filled, (0, 0), level)
        share = np.clip(distance / level - 1, 0, 1)[..., None].astype(np.float32)
        result += share * (smooth - result)
        level *= 2
    return np.where(seen[..., None], picture, result.round().astype(np.uint8))


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a grey or BGR picture as PNG."""
    with whole_output(path) as partial:
        if not cv2.imwrite(str(partial), image):
            raise InputError(f"{path}: cannot be written as a picture; its name must end in .png.")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.background", __doc__)
    parser.add_argument("--frames", type=Path, required=True, help="frames.h5")
    parser.add_argument("--parsing", type=Path, required=True, help="parsing.h5")
    parser.add_argument("--background", type=Path, required=True, help="picture (PNG), written")
    parser.add_argument(
        "--seen", type=Path, required=True, help="mask of the pixels ever free (PNG), written"
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
        default=0.012,
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
