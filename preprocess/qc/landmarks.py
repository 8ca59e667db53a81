"""Video: the points of every frame on its picture, eyes and mouth from near, gaps in red.

`python -m preprocess.qc.landmarks --frames frames.h5 --landmarks landmarks.h5 --speech speech.wav
--video qc/landmarks.mp4`
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from preprocess.qc.clip import blocks, require_frames, steady
from preprocess.qc.contours import Contours, contours
from preprocess.qc.drawing import MARK, View, dots, lines
from preprocess.qc.excerpts import SECONDS
from preprocess.qc.film import FOOTER, Curve, add_film_arguments, write_film
from ssp_nerf import cli
from ssp_nerf.landmarks import mouth_points
from ssp_nerf.schema import FRAMES, LANDMARKS
from ssp_nerf.sheet import HEADER, Colour, Panel, Sheet

PANEL_HEIGHT = 600  # pixels
CLOSE_UP = (320, (PANEL_HEIGHT - HEADER) // 2)  # width and height, pixels
MARGIN = 1.35  # of a close-up, times the width of what it shows

POINT: Colour = (120, 255, 190)
FEATURE: Colour = (90, 200, 255)
SURFACE: Colour = (215, 225, 235)
IRIS: Colour = (255, 205, 70)
LEGEND = (("point", POINT), ("feature", FEATURE), ("iris", IRIS), ("interpolated", MARK))


@dataclass(frozen=True)
class Motion:
    """How the points of N frames move.

    Attributes:
        scatter: (N,) pixels, mean over the points of the distance of a point from the middle
            between where it is one frame before and after: what trembles, and what is fast.
        eyes, mouth: (N, 2) their centres, pixels.
        eyes_span, mouth_span: their widths, pixels, the median over the clip.
    """

    scatter: np.ndarray
    eyes: np.ndarray
    mouth: np.ndarray
    eyes_span: float
    mouth_span: float


def measure_motion(points: h5py.Dataset, joined: Contours) -> Motion:
    """Read (N, P, 3) points once."""
    scatter: list[np.ndarray] = []
    centres: list[np.ndarray] = []
    spans: list[np.ndarray] = []
    for block in blocks(points, overlap=2):
        pixels = block[..., :2].astype(np.float64)
        middle = (pixels[2:] + pixels[:-2]) / 2
        scatter.append(np.linalg.norm(pixels[1:-1] - middle, axis=-1).mean(1))
        new = pixels if not centres else pixels[2:]
        parts = [new[:, list(part)] for part in (joined.eyes, joined.mouth)]
        centres.append(np.stack([part.mean(1) for part in parts], 1))
        spans.append(np.stack([np.ptp(part[..., 0], axis=1) for part in parts], 1))
    inner = np.concatenate(scatter)
    eyes_span, mouth_span = np.median(np.concatenate(spans), axis=0)
    eyes, mouth = np.concatenate(centres).swapaxes(0, 1)
    ends = (1, 1) if len(inner) else (len(eyes), 0)  # the first and the last have one neighbour
    return Motion(np.pad(inner, ends), eyes, mouth, max(eyes_span, 1.0), max(mouth_span, 1.0))


def draw_points(
    canvas: np.ndarray, places: np.ndarray, joined: Contours, marked: bool, radius: float
) -> None:
    """Draw a face's points (P, 2), in panel pixels, and the lines between them.

    Args:
        marked: all in `MARK`.
        radius: of a point, pixels.
    """
    point, feature, surface, iris = (MARK,) * 4 if marked else (POINT, FEATURE, SURFACE, IRIS)
    lines(canvas, places[joined.surface], surface, opacity=0.28)
    outline = (*joined.features, joined.outline)
    lines(canvas, [places[list(line)] for line in outline], feature, opacity=0.85)
    lines(canvas, [ellipse(places[list(ring)]) for ring in joined.irises], iris, thickness=2)
    dots(canvas, places, radius, point)


def ellipse(ring: np.ndarray) -> np.ndarray:
    """A closed line (n, 2) through the four ends (4, 2) of an ellipse's two diameters."""
    first, second = (ring[0] - ring[2]) / 2, (ring[1] - ring[3]) / 2
    angle = np.linspace(0, 2 * np.pi, 25)[:, None]
    return ring.mean(0) + np.cos(angle) * first + np.sin(angle) * second


def landmark_video(
    frames: Path,
    landmarks: Path,
    video: Path,
    speech: Path | None = None,
    seconds: float = SECONDS,
) -> int:
    """Write the video; returns the number of its frames.

    Args:
        frames: frames.h5.
        landmarks: landmarks.h5 of the same clip.
        video: mp4 to be written.
        speech: speech.wav, or None for a silent video.
        seconds: length at most.

    Raises:
        InputError: files of different clips, or points that are neither iBUG's nor FaceMesh's.
    """
    with FRAMES.open(frames) as images, LANDMARKS.open(landmarks) as found:
        points, pictures = found["points"], images["frames"]
        count, height, width = pictures.shape[:3]
        require_frames(landmarks, LANDMARKS, len(points), frames, count)
        mouth_points(points[:1])  # refuses a number of points that it does not know
        joined = contours(points.shape[1])
        motion, interpolated = measure_motion(points, joined), found["interpolated"][()]
        eyes, mouth = steady(motion.eyes), steady(motion.mouth)
        whole = View.whole(width, height, PANEL_HEIGHT)

        def panels(frame: int) -> list[np.ndarray]:
            picture, pixels = pictures[frame], points[frame, :, :2]
            views = (
                (whole, 1.2),
                (View.around(eyes[frame], MARGIN * motion.eyes_span, *CLOSE_UP), 2.0),
                (View.around(mouth[frame], MARGIN * motion.mouth_span, *CLOSE_UP), 2.0),
            )
            drawn = []
            for view, radius in views:
                canvas = view.picture(picture)
                places = view.points(pixels)
                draw_points(canvas, places, joined, bool(interpolated[frame]), radius)
                drawn.append(canvas)
            return drawn

        title = f"{points.shape[1]} points by {found.attrs['detector']}"
        sheet = Sheet(
            [
                [Panel(title, whole.width, whole.height)],
                [Panel("eyes", *CLOSE_UP), Panel("mouth", *CLOSE_UP)],
            ],
            FOOTER,
        )
        sheet.draw_legend(LEGEND)
        curve = Curve("scatter from frame to frame, pixels", motion.scatter, interpolated)

        def remark(frame: int) -> str:
            return "no face found: interpolated" if interpolated[frame] else ""

        return write_film(video, sheet, curve, panels, speech, seconds, remark)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.qc.landmarks", __doc__)
    parser.add_argument("--frames", type=Path, required=True, help="frames.h5")
    parser.add_argument("--landmarks", type=Path, required=True, help="landmarks.h5")
    add_film_arguments(parser)

    def command(options: argparse.Namespace) -> None:
        count = landmark_video(
            options.frames, options.landmarks, options.video, options.speech, options.seconds
        )
        print(f"{options.video}: {count} frames")

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
