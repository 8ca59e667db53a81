"""Truth, rendering, parsing maps, error and displacement of every frame in one video.

One video, so that nothing can drift: the page cuts its panels out of one and the same frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from ssp_nerf.heat import heat_map
from ssp_nerf.panels import ERROR_LIMIT, error_heat
from ssp_nerf.parsing_map import colourise
from ssp_nerf.progress import progress
from ssp_nerf.provenance.record import BESIDE_FILMED
from ssp_nerf.provenance.writing import provenance_of
from ssp_nerf.render_parts import RenderParts
from ssp_nerf.schema import DISPLACEMENT_STEP
from ssp_nerf.video import write_video

PANELS = (
    ("truth", "render", "truth_parsing"),
    ("parsing", "error", "displacement"),
)
"""What lies where in each frame of the video, row by row."""

BLOCK = 16  # pixels of a macroblock of H.264: panels that begin at one do not bleed into others
CRF = 24  # x264 constant quality: good to look at, and a fifth of the bytes of `video.CRF`
KEYFRAME_EVERY = 12  # frames; stepping back decodes so many at most
LEAST_LIMIT = 0.01  # decimetres: to a millimetre limits are rounded, and no limit is less
SHARE_WITHIN_LIMIT = 0.999  # of all pixels, whose displacement is within the limit


@dataclass(frozen=True)
class Film:
    """What a page must know to cut up the video.

    Attributes:
        width, height: of a panel, pixels.
        cell: width and height from panel to panel, pixels.
        error_limit: levels of 255 that the brightest colour of the error stands for, and more.
        displacement_limit: decimetres that it stands for in the displacement.
    """

    width: int
    height: int
    cell: tuple[int, int]
    error_limit: float
    displacement_limit: float


def write_film(
    path: Path,
    truth: h5py.File,
    parts: RenderParts,
    speech: Path | None,
    largest: int,
    subject: str = "",
) -> Film:
    """Write the video of all rendered frames, with sound if there is a speech.

    Args:
        path: the mp4.
        truth: the dataset.
        parts: the rendering; its speech must be consecutive where there is sound.
        speech: the clip's own, from its first frame on.
        largest: side of a panel at most, pixels; larger frames are made smaller.
        subject: whose portrait it is, for the video's metadata.
    """
    width, height = panel_size(parts.width, parts.height, largest)
    cell = tuple(-(-side // BLOCK) * BLOCK for side in (width, height))
    film = Film(width, height, (cell[0], cell[1]), ERROR_LIMIT, displacement_limit(parts))

    def frames() -> Iterator[np.ndarray]:
        sheet = np.zeros((len(PANELS) * cell[1], len(PANELS[0]) * cell[0], 3), np.uint8)
        for row in progress(range(len(parts)), "report: film", len(parts)):
            panels = panels_of(truth, parts, row, film.displacement_limit)
            for line, names in enumerate(PANELS):
                for column, name in enumerate(names):
                    top, left = line * cell[1], column * cell[0]
                    picture = fit(panels[name], width, height)
                    # Beyond its edge a panel goes on as it ends, which is cheap to encode.
                    beyond = ((0, cell[1] - height), (0, cell[0] - width), (0, 0))
                    sheet[top : top + cell[1], left : left + cell[0]] = np.pad(
                        picture, beyond, mode="edge"
                    )
            yield sheet

    start = parts.speech_start if speech is not None else 0.0
    about = provenance_of(parts, speech, BESIDE_FILMED, subject)
    write_video(
        path,
        frames(),
        speech,
        start,
        crf=CRF,
        comment=about.comment,
        keyframe_every=KEYFRAME_EVERY,
    )
    return film


def panels_of(
    truth: h5py.File, parts: RenderParts, row: int, displacement_limit: float
) -> dict[str, np.ndarray]:
    """The panels of a rendered frame by name: (H, W, 3) uint8 RGB each."""
    frame = int(parts.index[row])
    filmed, drawn = truth["frames"][frame], parts.frame(row)
    return {
        "truth": filmed,
        "render": drawn,
        "truth_parsing": colourise(truth["parsing"][frame]),
        "parsing": colourise(parts.parsing(row)),
        "error": error_heat(filmed, drawn),
        "displacement": heat_map(parts.displacement(row), displacement_limit),
    }


def panel_size(width: int, height: int, largest: int) -> tuple[int, int]:
    """Width and height of a panel: those of the frames, or less."""
    scale = min(1.0, largest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def fit(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (height, width, 3), by the mean over what a pixel covers."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))


def displacement_limit(parts: RenderParts) -> float:
    """Decimetres that few pixels exceed, a whole number of millimetres."""
    counts = np.zeros(256, np.int64)
    for row in range(len(parts)):
        counts += np.bincount(parts.displacement_steps(row).ravel(), minlength=256)
    share = np.cumsum(counts) / counts.sum()
    reached = float(np.searchsorted(share, SHARE_WITHIN_LIMIT)) * DISPLACEMENT_STEP
    return max(LEAST_LIMIT, round(np.ceil(reached / LEAST_LIMIT) * LEAST_LIMIT, 3))
