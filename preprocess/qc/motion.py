"""Plot: head and mouth over time beside the speech; what was interpolated, what is held out.

`python -m preprocess.qc.motion --landmarks landmarks.h5 --track track.h5 --speech speech.wav
--plot qc/motion.png`
"""

import argparse
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from preprocess.landmarks import gaps
from preprocess.pack import share, split
from preprocess.plot_style import heading, quiet
from preprocess.qc.clip import blocks, require_frames
from preprocess.qc.waveform import FLOOR, busiest, draw_waveform, loudness
from ssp_nerf import cli
from ssp_nerf.cameras import to_camera
from ssp_nerf.files import whole_output
from ssp_nerf.head_angles import camera_angles
from ssp_nerf.landmarks import mouth_opening, mouth_points
from ssp_nerf.schema import FPS, LANDMARKS, TRACK
from ssp_nerf.speech import read_speech

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, ROW_HEIGHT = 13.5, 1.55  # inches
MM_PER_DM = 100.0
COLOURS = ("#d1495b", "#30638e", "#e09f1f")
MOUTH, LOUDNESS, ERROR = "#d1495b", "#30638e", "#7b5ea7"
HELD_OUT, INTERPOLATED = "#eef0f3", "#ff48a0"
ROWS = ("speech", "mouth", "angles", "position", "error")


def openings(points: h5py.Dataset) -> np.ndarray:
    """(N, P, 3) landmarks -> (N,) distance between the lips' inner edges, pixels."""
    return np.concatenate([mouth_opening(mouth_points(block[..., :2])) for block in blocks(points)])


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's, nan where one of both never changes."""
    if first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def head_positions(c2w: np.ndarray) -> np.ndarray:
    """(N, 3, 4) -> (N, 3) the head's origin from its mean place, camera axes, millimetres."""
    origin = to_camera(np.zeros((1, 3)), c2w.astype(np.float64))[:, 0]
    return MM_PER_DM * (origin - origin.mean(0))


def motion_plot(
    landmarks: Path, track: Path, speech: Path, plot: Path, held_out_fraction: Fraction
) -> None:
    """Write the plot.

    Args:
        landmarks, track, speech: files of one clip.
        plot: PNG to be written.
        held_out_fraction: share of the clip, at its end, that is never trained on.

    Raises:
        InputError: files of different clips.
    """
    from matplotlib.figure import Figure

    with LANDMARKS.open(landmarks) as found, TRACK.open(track) as poses:
        count = len(poses["c2w"])
        require_frames(landmarks, LANDMARKS, len(found["points"]), track, count)
        opening, interpolated = openings(found["points"]), found["interpolated"][()]
        c2w, error = poses["c2w"][()], poses["reprojection_error"][()]
    samples = read_speech(speech)
    loud = loudness(samples, count)
    held_out = split(count, held_out_fraction)
    seconds = np.arange(count) / FPS

    close = busiest(np.abs(np.diff(opening, prepend=opening[:1])))
    from_near = 2 * len(close) <= count
    rows = [*ROWS, *(["close"] if from_near else [])]
    figure = Figure(figsize=(WIDTH, ROW_HEIGHT * len(rows)), layout="constrained")
    axes = dict(zip(rows, figure.subplots(len(rows), 1, squeeze=False)[:, 0], strict=True))

    follows = correlation(opening, loud)
    draw_waveform(axes["speech"], samples, 0, count)
    _draw_over(axes["speech"], seconds, loud, LOUDNESS, "loudness, dB", (FLOOR, 0.0))
    heading(axes["speech"], "speech: waveform, and loudness in dB of full scale")
    axes["mouth"].plot(seconds, opening, color=MOUTH, linewidth=0.9)
    axes["mouth"].set_ylim(bottom=0)
    heading(axes["mouth"], f"mouth opening, pixels; correlation with loudness {follows:.2f}")
    _curves(axes["angles"], seconds, camera_angles(c2w))
    heading(axes["angles"], "head towards the camera, degrees")
    _curves(
        axes["position"],
        seconds,
        dict(zip(("right", "up", "nearer"), head_positions(c2w).T, strict=True)),
    )
    heading(axes["position"], "head from its mean place, mm")
    axes["error"].plot(seconds, error, color=ERROR, linewidth=0.9)
    axes["error"].set_ylim(bottom=0)
    worst = int(error.argmax())
    heading(
        axes["error"],
        f"reprojection error, pixels: mean {error.mean():.2f}, worst {error[worst]:.2f} in frame "
        f"{worst}, {worst / FPS:.2f} s",
    )
    for name in ROWS:
        axes[name].set_xlim(0, count / FPS)
        _shade(axes[name], held_out, HELD_OUT, 1.0)
        _shade(axes[name], interpolated, INTERPOLATED, 0.35)
        if from_near and name in ("speech", "mouth"):
            axes[name].axvspan(
                close.start / FPS, close.stop / FPS, fill=False, ec="#222222", lw=0.8
            )
    _explain(axes["speech"], held_out, interpolated)
    if from_near:
        draw_waveform(axes["close"], samples, close.start, close.stop)
        top = 1.05 * max(float(opening.max()), 1.0)
        _draw_over(axes["close"], seconds, opening, MOUTH, "opening, px", (0.0, top))
        axes["close"].set_xlim(close.start / FPS, close.stop / FPS)
        heading(axes["close"], "from near: waveform and mouth opening, where the mouth moves most")
    for panel in axes.values():
        quiet(panel, "x")
    axes[rows[-1]].set_xlabel("time, s")
    with whole_output(plot) as partial:
        figure.savefig(partial, dpi=120, format="png")


def _curves(axes: "Axes", seconds: np.ndarray, curves: dict[str, np.ndarray]) -> None:
    for (name, values), colour in zip(curves.items(), COLOURS, strict=True):
        axes.plot(seconds, values, color=colour, linewidth=1.0, label=name)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)


def _draw_over(
    axes: "Axes",
    seconds: np.ndarray,
    values: np.ndarray,
    colour: str,
    label: str,
    limits: tuple[float, float],
) -> None:
    """A curve with its own scale, on the right, over what the axes hold."""
    over = axes.twinx()
    over.plot(seconds, values, color=colour, linewidth=0.9)
    over.set_ylim(*limits)
    over.set_ylabel(label, color=colour, fontsize=9)
    over.tick_params(labelsize=9, colors=colour)
    over.spines[["top", "left", "right", "bottom"]].set_visible(False)


def _shade(axes: "Axes", which: np.ndarray, colour: str, opacity: float) -> None:
    """Bands over the runs of (N,) bool frames."""
    for first, last in runs(which):
        axes.axvspan(
            first / FPS, (last + 1) / FPS, color=colour, alpha=opacity, linewidth=0, zorder=0
        )


def runs(which: np.ndarray) -> Iterable[tuple[int, int]]:
    """First and last frame of each run of True in (N,) bool."""
    return gaps(~which)


def _explain(axes: "Axes", held_out: np.ndarray, interpolated: np.ndarray) -> None:
    """A legend of the bands that there are."""
    from matplotlib.patches import Patch

    bands = [Patch(color=HELD_OUT, label=f"held out: {held_out.sum()} frames")]
    if interpolated.any():
        label = f"no face, interpolated: {interpolated.sum()} frames"
        bands.append(Patch(color=INTERPOLATED, alpha=0.35, label=label))
    axes.legend(
        handles=bands, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False,
        fontsize=9, borderaxespad=0.2,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.qc.motion", __doc__)
    parser.add_argument("--landmarks", type=Path, required=True, help="landmarks.h5")
    parser.add_argument("--track", type=Path, required=True, help="track.h5")
    parser.add_argument("--speech", type=Path, required=True, help="speech.wav")
    parser.add_argument("--plot", type=Path, required=True, help="the PNG to write")
    parser.add_argument(
        "--held-out-fraction",
        type=share,
        default=Fraction(1, 11),
        help="share of the clip, at its end, that is never trained on (config key "
        "pack.held_out_fraction)",
    )

    def command(options: argparse.Namespace) -> None:
        motion_plot(
            options.landmarks, options.track, options.speech, options.plot,
            options.held_out_fraction,
        )  # fmt: skip

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
