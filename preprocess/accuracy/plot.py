"""One picture of how accurate the stages are: heads over time, and what each stage is off by."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from preprocess.accuracy.measures import Figures, figure
from preprocess.plot_style import GRID, heading, quiet
from ssp_nerf.files import whole_output
from ssp_nerf.parsing_map import CLASSES
from ssp_nerf.schema import FPS

COLOURS = ("#d1495b", "#30638e", "#e09f1f", "#3c8d6b", "#7b5ea7", "#8c6d5a")
"""One a subject; from the first again after six."""
TRUTH: dict[str, Any] = {
    "color": "#c6cad1",
    "linewidth": 4.0,
    "solid_capstyle": "round",
}  # the fit runs inside it
AIM: dict[str, Any] = {"color": "#222222", "linewidth": 1.3, "linestyle": (0, (2, 1.5))}

ANGLES = ("yaw", "pitch", "roll")
ERROR_COLOUR_SHARE = 0.35  # opacity of the area under the rotation error
WIDTH, STRIP_HEIGHT, PANELS_HEIGHT = 13.5, 1.45, 4.3  # inches
SPREAD = 0.6  # of a row's height, for the subjects of a panel

GEOMETRY = {
    "focal length": "focal_error_percent",
    "distance": "distance_error_percent",
    "size of face": "size_error_percent",
    "head position, raw": "head_position.raw_percent",
    "offset taken out": "head_position.offset_taken_out_percent",
}
IOU = {"mean": "iou.mean", **{name: f"iou.classes.{name}" for name in CLASSES}}
LANDMARKS = {
    "478 points": "landmarks.mean_px",
    "their scatter": "landmarks.scatter_px",
    "68 points": "landmarks.mean_68_px",
    "eyes": "landmarks.groups_mean_px.eyes",
    "irises": "landmarks.groups_mean_px.irises",
    "brows": "landmarks.groups_mean_px.brows",
    "nose": "landmarks.groups_mean_px.nose",
    "lips": "landmarks.groups_mean_px.lips",
    "face oval": "landmarks.groups_mean_px.face_oval",
}
BACKGROUND = {
    "seen": "background.psnr_seen_db",
    "never seen": "background.psnr_never_seen_db",
}
SOUND = {
    "alignment": "sound.alignment_ms",
    "wav": "sound.speech_lag_ms",
    "features": "sound.feature_lag_ms",
    "mouth": "sound.picture_lag_ms",
}


def write_plot(path: Path, subjects: Mapping[str, Figures], aims: Mapping[str, float]) -> None:
    """Write a PNG: for each subject the head's angles, true and fitted, and the rotation error
    over time, all with the fit's constant turn taken out; below, all subjects together, figure by
    figure.

    Args:
        path: the PNG.
        subjects: name -> its figures.
        aims: key of a figure -> the most, or least, that is good enough.
    """
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(subjects))]
    strips = STRIP_HEIGHT * len(subjects) + 0.8
    sheet = Figure(figsize=(WIDTH, strips + PANELS_HEIGHT), layout="constrained")
    halves = sheet.subfigures(
        2, 1, height_ratios=(strips, PANELS_HEIGHT), hspace=0.03, squeeze=False
    )
    top, bottom = halves[:, 0]
    _heads(top, subjects, colours)
    top.suptitle("the fit's constant turn is taken out of angles and errors", fontsize=10)

    panels = bottom.subplot_mosaic(
        [
            ["rotation", "iou", "landmarks", "background"],
            ["rotation", "iou", "landmarks", "sound"],
            ["geometry", "iou", "landmarks", "sound"],
            ["geometry", "iou", "landmarks", "sound"],
        ]
    )
    every = list(subjects.values())
    _rotation(panels["rotation"], every, colours, aims)
    _dots(panels["geometry"], GEOMETRY, every, colours, aims, signed=True)
    heading(panels["geometry"], "size and place: error, %")
    _dots(panels["iou"], IOU, every, colours, aims)
    heading(panels["iou"], "parsing map: IoU")
    panels["iou"].set_xlim(min(0.4, panels["iou"].get_xlim()[0]), 1.0)
    _dots(panels["landmarks"], LANDMARKS, every, colours, aims)
    heading(panels["landmarks"], "landmarks: error, scatter, px")
    panels["landmarks"].set_xlim(left=0)
    _dots(panels["background"], BACKGROUND, every, colours, aims)
    heading(panels["background"], "background: PSNR, dB")
    _dots(panels["sound"], SOUND, every, colours, aims, signed=True)
    heading(panels["sound"], "lag of sound and mouth, ms")

    handles = [
        Line2D([], [], **TRUTH, label="truth"),
        *(Line2D([], [], color=c, lw=2.5, label=n) for n, c in zip(subjects, colours, strict=True)),
        Line2D([], [], **AIM, label="aim"),
    ]
    sheet.legend(handles=handles, loc="outside upper left", ncols=len(handles), frameon=False)
    with whole_output(path) as partial:
        sheet.savefig(partial, dpi=130, format="png")


def _heads(strip: SubFigure, subjects: Mapping[str, Figures], colours: Sequence[str]) -> None:
    """A row of curves for each subject: yaw, pitch, roll, rotation error."""
    grid = strip.subplots(len(subjects), len(ANGLES) + 1, sharex=True, sharey="col", squeeze=False)
    for row, (name, figures), colour in zip(grid, subjects.items(), colours, strict=True):
        curves = {key: np.array(values, float) for key, values in figures["curves"].items()}
        seconds = np.arange(figures["frames"]) / FPS
        for axes, angle in zip(row, ANGLES, strict=False):
            axes.plot(seconds, curves[f"true_{angle}_deg"], **TRUTH)
            axes.plot(seconds, curves[f"{angle}_deg"], color=colour, linewidth=1.1)
        error = row[-1]
        error.fill_between(
            seconds, curves["rotation_error_deg"], color=colour, alpha=ERROR_COLOUR_SHARE, lw=0
        )
        error.plot(seconds, curves["rotation_error_deg"], color=colour, linewidth=0.9)
        row[0].set_ylabel(name, color=colour, fontweight="bold")
        for axes in row:
            quiet(axes, "y")
            axes.margins(x=0.01)
            axes.yaxis.set_major_locator(MaxNLocator(4))
    grid[0, -1].set_ylim(bottom=0)  # shared by all; set earlier, it would keep the first's top
    for axes, title in zip(grid[0], (*ANGLES, "rotation error"), strict=True):
        heading(axes, f"{title}, degrees")
    for axes in grid[-1]:
        axes.set_xlabel("time, s")


def _rotation(
    axes: Axes, subjects: Sequence[Figures], colours: Sequence[str], aims: Mapping[str, float]
) -> None:
    """For each subject a dot at the mean rotation error, constant turn taken out, and a line as far
    as the 95th percentile; an aim for each."""
    for row, (figures, colour) in enumerate(zip(subjects, colours, strict=True)):
        mean, p95 = (figures["rotation"]["turn_taken_out"][key] for key in ("mean_deg", "p95_deg"))
        axes.plot([mean, p95], [row, row], color=colour, linewidth=2.5, solid_capstyle="butt")
        axes.plot(p95, row, marker="|", color=colour, markersize=11, markeredgewidth=2.5)
        axes.plot(mean, row, marker="o", color=colour, markersize=7)
    for key, label in (("mean_deg", "mean"), ("p95_deg", "95 %")):
        aim = aims[f"rotation.turn_taken_out.{key}"]
        axes.axvline(aim, **AIM, zorder=0)
        axes.annotate(
            label, (aim, 1.0), (3, -1), xycoords=("data", "axes fraction"),
            textcoords="offset points", va="top", fontsize=8,
        )  # fmt: skip
    heading(axes, "rotation error, degrees,\nconstant turn taken out")
    axes.set_ylim(len(subjects) - 0.4, -0.9)
    axes.set_yticks([])
    axes.set_xlim(0, 1.12 * axes.get_xlim()[1])  # room for the label of the outer aim
    quiet(axes, "x")


def _dots(
    axes: Axes,
    rows: Mapping[str, str],
    subjects: Sequence[Figures],
    colours: Sequence[str],
    aims: Mapping[str, float],
    signed: bool = False,
) -> None:
    """A row for each figure, in it a dot for each subject that has it, and the aim.

    Args:
        rows: label -> key.
        signed: the figures may be negative, and so the aim holds on both sides of 0.
    """
    count = len(subjects)
    offsets = SPREAD * ((np.arange(count) + 0.5) / count - 0.5)
    if signed:
        axes.axvline(0, color=GRID, linewidth=1.5, zorder=0)
    for row, key in enumerate(rows.values()):
        for figures, colour, offset in zip(subjects, colours, offsets, strict=True):
            value = figure(figures, key)
            if value is not None:
                axes.plot(
                    value, row + offset, marker="o", color=colour, markersize=5.5, clip_on=False
                )
        if key in aims:
            for aim in (aims[key], -aims[key]) if signed else (aims[key],):
                axes.plot([aim, aim], [row - 0.45, row + 0.45], **AIM, zorder=1)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    for edge in np.arange(len(rows) - 1) + 0.5:
        axes.axhline(edge, color=GRID, linewidth=0.8, zorder=0)
    quiet(axes, "x")
