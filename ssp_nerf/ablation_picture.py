"""One held-out frame as the truth and every variant show it: whole, mouth close up, error."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssp_nerf.errors import InputError
from ssp_nerf.files import whole_output
from ssp_nerf.heat import heat_colours
from ssp_nerf.landmarks import mouth_opening, read_mouths
from ssp_nerf.metrics.psnr import psnr
from ssp_nerf.panels import ERROR_LIMIT, enlarge, error_heat, whole_factor
from ssp_nerf.render_parts import open_parts, require_size
from ssp_nerf.schema import DATASET, FPS
from ssp_nerf.sheet import LEGEND, Panel, Sheet
from ssp_nerf.variants import Variant

if TYPE_CHECKING:
    from PIL import Image

CLOSE_UP = 2.0
"""Width of the close-up over that of the mouth; it is half as high as wide."""


def write_picture(
    path: Path, dataset_path: Path, landmarks_path: Path, renders: Mapping[Variant, Sequence[Path]]
) -> None:
    """Write the PNG, of the held-out frame whose true mouth is open widest.

    Args:
        dataset_path: holds the truth.
        landmarks_path: faces of the whole clip, at any size of the same aspect.
        renders: parts of each variant's rendering of the held-out frames.

    Raises:
        InputError: files that do not fit together.
    """
    with DATASET.open(dataset_path) as dataset:
        held_out = np.flatnonzero(dataset["held_out"])
        count, height, width = dataset["frames"].shape[:3]
        mouths, _ = read_mouths(landmarks_path, count, width, height, interpolated=True)
        frame = int(held_out[mouth_opening(mouths[held_out]).argmax()])
        truth = dataset["frames"][frame]
        drawn = {}
        for variant, paths in renders.items():
            with open_parts(paths) as parts:
                require_size(parts, dataset["frames"], dataset_path)
                rows = np.flatnonzero(parts.index == frame)
                if not len(rows):
                    raise InputError(
                        f"{paths[0]} and the other parts of {variant.name} lack frame {frame}. "
                        "Pass every part of the rendering."
                    )
                drawn[variant] = parts.frame(int(rows[0]))
    sheet = compose(truth, drawn, close_up_box(mouths[frame], *truth.shape[1::-1]), frame)
    with whole_output(path) as partial:
        sheet.save(partial, format="png")


def close_up_box(mouth: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the close-up inside a picture of that size, pixels.

    Args:
        mouth: (20, 2) points in it, pixels.
    """
    half_height = max(1, round(CLOSE_UP * float(np.ptp(mouth[:, 0])) / 4))
    half_height = min(half_height, width // 4, height // 2)
    half_width = 2 * half_height
    x, y = np.round(mouth.mean(axis=0)).astype(int)
    x = int(np.clip(x, half_width, width - half_width))
    y = int(np.clip(y, half_height, height - half_height))
    return x - half_width, y - half_height, x + half_width, y + half_height


def compose(
    truth: np.ndarray,
    drawn: Mapping[Variant, np.ndarray],
    box: tuple[int, int, int, int],
    frame: int,
) -> "Image.Image":
    """The sheet: a column for the truth, and one for each variant.

    Args:
        truth, values of drawn: (H, W, 3) uint8 RGB.
        box: of the close-up, pixels.
        frame: its number in the clip.
    """
    from PIL import Image, ImageDraw

    height, width = truth.shape[:2]
    scale = whole_factor(height)
    size = (width * scale, height * scale)
    close_up_size = (size[0], size[0] // 2)
    left, top, right, bottom = box

    def close_up(picture: np.ndarray) -> np.ndarray:
        part = Image.fromarray(picture[top:bottom, left:right])
        return np.asarray(part.resize(close_up_size, Image.Resampling.BICUBIC))

    columns = [[Panel("truth", *size), Panel("mouth", *close_up_size)]]
    pictures = [enlarge(truth, scale), close_up(truth)]
    for variant, picture in drawn.items():
        columns.append(
            [
                Panel(variant.title, *size),
                Panel("", *close_up_size),
                Panel(f"error, {psnr(picture, truth):.2f} dB", *size),
            ]
        )
        error = enlarge(error_heat(truth, picture), scale, smooth=False)
        pictures += [enlarge(picture, scale), close_up(picture), error]
    sheet = Sheet(columns)
    sheet.draw_scale(len(sheet.panels) - 1, heat_colours(), "0", f"{ERROR_LIMIT}+")
    start, below, *_ = sheet.footer
    sheet.write(
        ImageDraw.Draw(sheet.blank),
        (start, below + LEGEND // 2),
        f"frame {frame}, {frame / FPS:.2f} s: of those held out, the one whose true mouth is open "
        "widest; error: absolute difference, mean over channels, levels of 255",
    )
    return sheet.compose(pictures)
