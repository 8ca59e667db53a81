"""How the sync measures answer when the sound of a video is moved: a picture and a table.

`python -m benchmarks.sync_shifts --video talk.mp4 render.mp4 --picture sync.png`

The sound is moved by whole frames, later (positive) and earlier; silence takes the place of what is
missing. Mouth sync should find the lag it has without a shift, plus the shift, and its correlation
at lag 0 should fall; SyncNet's, where its weights are given, likewise.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.files import whole_output
from ssp_nerf.landmarks import mouth_opening, mouth_points
from ssp_nerf.metrics.mouth_sync import mouth_sync
from ssp_nerf.metrics.syncnet import syncnet
from ssp_nerf.metrics.syncnet_network import load
from ssp_nerf.speech import SAMPLES_PER_FRAME
from ssp_nerf.video_footage import Stages, open_footage

SHIFTS = (-10, -5, -2, -1, 0, 1, 2, 5, 10)  # frames
COLOURS = ("#222222", "#d1495b", "#30638e", "#7d8ca3")

Curves = dict[str, list[float]]


def measure(video: Path, stages: Stages, weights: Path | None) -> Curves:
    """Measure -> its value at each of `SHIFTS`.

    Raises:
        InputError: a video without sound, or too short.
    """
    with tempfile.TemporaryDirectory() as folder:
        stages.frames(video, Path(folder))
        stages.look(video, Path(folder))
        with open_footage(Path(folder)) as footage:
            if footage.speech is None:
                raise InputError(f"{video}: has no sound to move.")
            opening = mouth_opening(mouth_points(footage.points))
            network = None if weights is None else load(weights, torch.device("cpu"))
            found: Curves = {}
            for shift in SHIFTS:
                speech = moved(footage.speech, shift)
                step = mouth_sync(opening, speech)
                if step is None:
                    raise InputError(f"{video}: needs 40 frames with a face that talks.")
                figures = {"mouth_sync": step.at_zero, "mouth_sync_lag": step.lag}
                if network is not None:
                    sync = syncnet(network, footage.frames, footage.points, speech)
                    if sync is not None:
                        figures["sync_offset"] = float(sync.offset)
                        figures["sync_confidence"] = sync.confidence
                for name, value in figures.items():
                    found.setdefault(name, []).append(value)
            return found


def moved(speech: np.ndarray, frames: int) -> np.ndarray:
    """(T,) samples that come so many frames later, as long as before."""
    silence = np.zeros(abs(frames) * SAMPLES_PER_FRAME, speech.dtype)
    if frames >= 0:
        return np.concatenate([silence, speech])[: len(speech)]
    return np.concatenate([speech[len(silence) :], silence])


def draw(path: Path, curves: dict[str, Curves]) -> None:
    """PNG: what lag is found, and how well mouth and sound go together at lag 0."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    lag, level = figure.subplots(1, 2)
    lag.plot(SHIFTS, SHIFTS, color="#b8bcc2", linewidth=1, label="the shift itself")
    for (name, found), colour in zip(curves.items(), COLOURS, strict=False):
        style = {"color": colour, "marker": "o", "markersize": 4, "label": name}
        lag.plot(SHIFTS, found["mouth_sync_lag"], **style)
        level.plot(SHIFTS, found["mouth_sync"], **style)
        if "sync_offset" in found:
            style |= {"linestyle": "--", "label": f"{name}, SyncNet"}
            lag.plot(SHIFTS, found["sync_offset"], **style)
    lag.set_title("lag that mouth sync finds", loc="left")
    lag.set_ylabel("frames; positive: the sound is late")
    level.set_title("mouth sync: correlation at lag 0", loc="left")
    level.axhline(0, color="#b8bcc2", linewidth=1)
    for axes in (lag, level):
        axes.set_xlabel("shift of the sound, frames of 40 ms")
        axes.set_xticks(SHIFTS)
        axes.tick_params(axis="x", labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    lag.legend(frameon=False, loc="upper left")
    with whole_output(path) as partial:
        figure.savefig(partial, dpi=110, format="png")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("benchmarks.sync_shifts", __doc__, verbatim=True)
    parser.add_argument("--video", type=Path, nargs="+", required=True, help="talking people")
    parser.add_argument("--name", nargs="+", help="what to call them, in their order")
    parser.add_argument("--picture", type=Path, required=True, help="PNG to write")
    parser.add_argument("--weights", type=Path, help="folder of syncnet_v2.model; for SyncNet")

    def command(options: argparse.Namespace) -> None:
        names = options.name or [path.stem for path in options.video]
        if len(names) != len(options.video) or len(names) > len(COLOURS):
            raise InputError(
                f"--name: {len(names)} for {len(options.video)} videos, expected one for each of "
                f"up to {len(COLOURS)}."
            )
        curves = {}
        for name, video in zip(names, options.video, strict=True):
            curves[name] = measure(video, Stages(parser="none"), options.weights)
            for measured, values in curves[name].items():
                cells = "".join(f"{value:8.2f}" for value in values)
                print(f"{name:<24}{measured:<18}{cells}")
        draw(options.picture, curves)

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
