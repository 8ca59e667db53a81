"""A short video of excerpts with their sound, and under every frame a curve of the whole clip."""

import argparse
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from preprocess.qc.drawing import MARK
from preprocess.qc.excerpts import SECONDS, excerpts
from ssp_nerf.files import scratch_folder
from ssp_nerf.progress import progress
from ssp_nerf.schema import FPS
from ssp_nerf.sheet import INK, LEGEND, PALE_INK, Sheet
from ssp_nerf.speech import SAMPLE_RATE, SAMPLES_PER_FRAME, read_speech
from ssp_nerf.video import write_video

if TYPE_CHECKING:
    from PIL import ImageDraw

CRF, PRESET = 20, "veryfast"  # to be looked at, not measured: half the time of x264's defaults
CURVE_HEIGHT = 44  # pixels
TEXT_HEIGHT = 20
FOOTER = LEGEND + TEXT_HEIGHT + CURVE_HEIGHT + TEXT_HEIGHT
"""Height under the panels: legend, what the curve is, the curve, its time axis."""
MARK_HEIGHT = 6
BACK, BACK_SHOWN = (27, 30, 36), (46, 51, 60)
LINE, LINE_SHOWN = (92, 110, 140), (120, 170, 240)
TIME_LABELS = 5  # along the axis


@dataclass(frozen=True)
class Curve:
    """One number for each frame of a clip; the larger, the worse.

    Attributes:
        label: what it is, with its unit.
        values: (N,).
        marked: (N,) bool, interpolated frames, which are worse than any number.
    """

    label: str
    values: np.ndarray
    marked: np.ndarray

    @property
    def badness(self) -> np.ndarray:
        """(N,) by which excerpts are chosen."""
        return np.where(self.marked, np.inf, self.values)


class Timeline:
    """Draws a curve over the whole clip into a sheet, what is shown of it lit, and a cursor.

    Args:
        sheet: with a footer `FOOTER` high; the part that is always the same is drawn on its blank.
    """

    def __init__(self, sheet: Sheet, curve: Curve, shown: Sequence[range]):
        from PIL import Image

        self.sheet, self.curve, self.shown = sheet, curve, shown
        self.left, top, self.right, _ = sheet.footer
        self.top = top + LEGEND + TEXT_HEIGHT
        self.worst = int(np.argmax(curve.badness))
        sheet.blank.paste(Image.fromarray(self._strip()), (self.left, self.top))
        self._draw_axis()

    def x(self, frame: float) -> float:
        """Where a frame is, pixels from the sheet's left edge."""
        return self.left + (frame + 0.5) * (self.right - self.left) / len(self.curve.values)

    def draw(self, draw: "ImageDraw.ImageDraw", frame: int, remark: str) -> None:
        """The cursor and the value of one frame, and a remark about it."""
        x, curve = round(self.x(frame)), self.curve
        colour = MARK if curve.marked[frame] else INK
        draw.rectangle((x - 1, self.top - 2, x, self.top + CURVE_HEIGHT + 1), fill=colour)
        middle = self.top - TEXT_HEIGHT / 2
        self.sheet.write(draw, (self.left, middle), f"{curve.label}: {curve.values[frame]:.2f}")
        self.sheet.write(draw, ((self.left + self.right) / 2, middle), remark, "mm", INK)
        self.sheet.write(draw, (self.right, middle), self._worst(), anchor="rm")

    def _worst(self) -> str:
        marked = int(self.curve.marked.sum())
        if marked:
            frames = "frame" if marked == 1 else "frames"
            return f"{marked} {frames} interpolated, first {self.worst}"
        return f"worst {self.curve.values[self.worst]:.2f}, frame {self.worst}"

    def _strip(self) -> np.ndarray:
        """(CURVE_HEIGHT, width, 3): each column shows the worst of the frames that share it."""
        count, width = len(self.curve.values), self.right - self.left
        strip = np.full((CURVE_HEIGHT, width, 3), BACK, np.uint8)
        first = np.arange(width) * count // width
        last = np.maximum(first + 1, -(-np.arange(1, width + 1) * count // width))
        shown = np.zeros(count, bool)
        for frames in self.shown:
            shown[frames.start : frames.stop] = True
        top = max(float(self.curve.values.max()), 1e-9)
        for column, (begin, end) in enumerate(zip(first, last, strict=True)):
            lit = bool(shown[begin:end].any())
            strip[:, column] = BACK_SHOWN if lit else BACK
            share = self.curve.values[begin:end].max() / top
            height = max(1, round(share * (CURVE_HEIGHT - MARK_HEIGHT - 2)))
            strip[-height:, column] = LINE_SHOWN if lit else LINE
            if self.curve.marked[begin:end].any():
                strip[:MARK_HEIGHT, column] = MARK
        return strip

    def _draw_axis(self) -> None:
        from PIL import ImageDraw

        draw = ImageDraw.Draw(self.sheet.blank)
        seconds = len(self.curve.values) / FPS
        middle = self.top + CURVE_HEIGHT + TEXT_HEIGHT / 2
        for i in range(TIME_LABELS):
            share = i / (TIME_LABELS - 1)
            anchor = "lm" if i == 0 else "rm" if share == 1 else "mm"
            place = self.left + share * (self.right - self.left), middle
            self.sheet.write(draw, place, f"{share * seconds:.1f} s", anchor, PALE_INK)


def write_film(
    path: Path,
    sheet: Sheet,
    curve: Curve,
    pictures: Callable[[int], Sequence[np.ndarray]],
    speech: Path | None = None,
    seconds: float = SECONDS,
    remark: Callable[[int], str] = lambda frame: "",
) -> int:
    """Write a video of the clip's excerpts, see `preprocess.qc.excerpts`; returns its frames.

    Args:
        path: H.264, with AAC if there is sound.
        sheet: panels, and a footer `FOOTER` high.
        curve: chooses the excerpts and is shown under them.
        pictures: frame -> what goes into the panels.
        speech: the clip's speech, as `extract_speech` writes it; each frame keeps its 40 ms of it.
        seconds: of all excerpts together.
        remark: frame -> what is said of it, a few words.

    Raises:
        InputError: `seconds` is not positive, or the speech cannot be read.
    """
    shown = excerpts(curve.badness, seconds)
    timeline = Timeline(sheet, curve, shown)
    frames = [frame for stretch in shown for frame in stretch]

    def sheets() -> Iterator[np.ndarray]:
        from PIL import ImageDraw

        for number, stretch in enumerate(shown, 1):
            of = f"   excerpt {number} of {len(shown)}" if len(shown) > 1 else ""
            for frame in stretch:
                note = f"frame {frame}   {frame / FPS:.2f} s{of}"
                composed = sheet.compose(pictures(frame), note)
                timeline.draw(ImageDraw.Draw(composed), frame, remark(frame))
                yield np.asarray(composed)

    with scratch_folder(path) as folder:
        sound = None if speech is None else folder / "speech.wav"
        if sound is not None and speech is not None:
            write_speech(sound, speech_of(read_speech(speech), frames))
        drawn = progress(sheets(), path.name, len(frames))
        return write_video(path, drawn, audio=sound, crf=CRF, preset=PRESET)


def speech_of(samples: np.ndarray, frames: Sequence[int]) -> np.ndarray:
    """The 40 ms of speech of each frame, one after the other; silence beyond its end.

    Args:
        samples: (T,) float32, 16 kHz.
        frames: n numbers.

    Returns:
        (640 n,) float32.
    """
    padded = np.zeros((max(frames) + 1) * SAMPLES_PER_FRAME, np.float32)
    heard = samples[: len(padded)]
    padded[: len(heard)] = heard
    return padded.reshape(-1, SAMPLES_PER_FRAME)[list(frames)].reshape(-1)


def write_speech(path: Path, samples: np.ndarray) -> None:
    """Write (T,) float samples, full scale 1, as 16 kHz mono 16-bit wav."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((samples * 32768).astype("<i2").tobytes())


def add_film_arguments(parser: argparse.ArgumentParser) -> None:
    """`--speech`, `--video` and `--seconds`, for the pictures that move."""
    parser.add_argument("--speech", type=Path, help="speech.wav of the clip, for the sound")
    parser.add_argument("--video", type=Path, required=True, help="the mp4 to write")
    parser.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        help="length of the video at most: a longer clip is shown in excerpts, the worst among "
        "them (config key qc.seconds)",
    )
