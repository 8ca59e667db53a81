"""Plot: the speech features step by step under the waveform, and the window of one frame.

`python -m preprocess.qc.audio_features --features audio_features.h5 --speech speech.wav
--plot qc/audio_features.png`
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from preprocess.audio_features import RATE, STEPS_PER_FRAME, WINDOW_STEPS
from preprocess.plot_style import heading, quiet
from preprocess.qc.clip import blocks
from preprocess.qc.waveform import COLUMNS, busiest, draw_waveform, loudness
from ssp_nerf import cli
from ssp_nerf.files import whole_output
from ssp_nerf.schema import AUDIO_FEATURES, FPS
from ssp_nerf.speech import read_speech

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (13.5, 8.0)  # inches
ROW_HEIGHTS = (0.6, 1.4)  # of a waveform and of the features under it
COLOUR_MAP = "magma"
OUTLIERS = 1.0  # percent of the values at each end that share the darkest and brightest colour
SMALLEST_RANGE = 1e-6  # of the colours: features may all be equal
BOX = "#3fd0ff"
CLOSE_SECONDS = 4.0


def steps_of(windows: np.ndarray) -> np.ndarray:
    """The two steps in which a frame begins, of each: (n, 16, C) windows -> (2 n, C) in order.

    Step k is the one at k / 50 s: the window of frame i starts at step 2 i - 8.
    """
    half = WINDOW_STEPS // 2
    return windows[:, half : half + STEPS_PER_FRAME].reshape(-1, windows.shape[-1])


def overview(windows: h5py.Dataset, columns: int = COLUMNS) -> tuple[np.ndarray, int]:
    """The steps of a whole clip, neighbours averaged as far as needed for about so many columns.

    Returns:
        (columns, C), and how many steps share a column; fewer than that at the end are left out.
    """
    shared = max(1, STEPS_PER_FRAME * len(windows) // columns)
    kept, rest = [], np.zeros((0, windows.shape[-1]), np.float32)
    for block in blocks(windows):
        steps = np.concatenate([rest, steps_of(block)])
        whole = len(steps) // shared * shared
        kept.append(steps[:whole].reshape(-1, shared, steps.shape[1]).mean(1))
        rest = steps[whole:]
    return np.concatenate(kept), shared


def audio_feature_plot(features: Path, speech: Path, plot: Path) -> None:
    """Write the plot.

    Args:
        features: audio_features.h5 of any extractor.
        speech: speech.wav that it was made of.
        plot: PNG to be written.

    Raises:
        InputError: a file that cannot be read.
    """
    from matplotlib.figure import Figure

    samples = read_speech(speech)
    with AUDIO_FEATURES.open(features) as file:
        windows = file["windows"]
        count, channels = len(windows), windows.shape[-1]
        close = busiest(loudness(samples, count), CLOSE_SECONDS)
        (whole, shared), near = overview(windows), steps_of(windows[close.start : close.stop])
        extractor = str(file.attrs["extractor"])
    low, high = np.percentile(whole, [OUTLIERS, 100 - OUTLIERS])

    figure = Figure(figsize=SIZE, layout="constrained")
    rows = figure.subplots(4, 1, height_ratios=2 * ROW_HEIGHTS)
    draw_waveform(rows[0], samples, 0, count)
    _draw_steps(rows[1], whole, 0.0, shared / RATE, low, high)
    heading(rows[0], "speech")
    heading(
        rows[1],
        f"{extractor}: {channels} channels, 50 steps a second, {count} frames; colours from "
        f"{low:.2f} (dark) to {high:.2f}",
    )
    draw_waveform(rows[2], samples, close.start, close.stop)
    _draw_steps(rows[3], near, close.start / FPS, 1 / RATE, low, high)
    heading(rows[2], "from near, where it is loudest")
    middle = close[len(close) // 2]
    half = WINDOW_STEPS / 2 / STEPS_PER_FRAME / FPS
    for axes in rows[2:]:
        axes.axvspan(middle / FPS - half, middle / FPS + half, fill=False, ec=BOX, lw=1.8)
        axes.axvline(middle / FPS, color=BOX, linewidth=0.9, linestyle=(0, (3, 2)))
    heading(
        rows[3],
        f"the box is the window that the model hears for frame {middle}, {middle / FPS:.2f} s: "
        f"{WINDOW_STEPS} steps, {2000 * half:.0f} ms",
    )
    for axes, stretch in zip(rows, (range(count), range(count), close, close), strict=True):
        axes.set_xlim(stretch.start / FPS, stretch.stop / FPS)
        quiet(axes, "x")
        axes.grid(visible=False)
    rows[3].set_xlabel("time, s")
    with whole_output(plot) as partial:
        figure.savefig(partial, dpi=120, format="png")


def _draw_steps(
    axes: "Axes", steps: np.ndarray, begin: float, length: float, low: float, high: float
) -> None:
    """(S, C) steps from `begin` on, of `length` each, seconds; channel 0 at the bottom."""
    end = begin + length * len(steps)
    axes.imshow(
        steps.T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(begin, end, 0, steps.shape[1]),
        cmap=COLOUR_MAP,
        vmin=low,
        vmax=max(high, low + SMALLEST_RANGE),
    )
    axes.set_ylabel("channel", fontsize=9)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.qc.audio_features", __doc__)
    parser.add_argument("--features", type=Path, required=True, help="audio_features.h5")
    parser.add_argument("--speech", type=Path, required=True, help="speech.wav")
    parser.add_argument("--plot", type=Path, required=True, help="the PNG to write")

    def command(options: argparse.Namespace) -> None:
        audio_feature_plot(options.features, options.speech, options.plot)

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
