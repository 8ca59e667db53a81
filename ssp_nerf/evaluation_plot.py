"""The figures of an evaluation over time."""

from pathlib import Path

import numpy as np

from ssp_nerf.baselines import NEAREST
from ssp_nerf.evaluation_report import OURS, TRUTH, Evaluation, mean
from ssp_nerf.figure_columns import COLUMNS
from ssp_nerf.files import whole_output
from ssp_nerf.metrics.pearson import pearson
from ssp_nerf.schema import FPS

COLOURS = {OURS: "#d1495b", "background": "#b8bcc2", "mean_frame": "#7d8ca3", NEAREST: "#30638e"}
TRUTH_COLOUR = "#222222"


def write_plot(path: Path, result: Evaluation) -> None:
    """PNG over time: PSNR of the method and the baselines; how far the mouth is open."""
    from matplotlib.figure import Figure

    seconds = result.frames / FPS
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    quality, mouth = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    metric = next((m for m in ("psnr_head", "psnr", "cpbd") if m in result.own.frames), None)
    for name in (*result.baselines, result.method):
        values = result.figures[name].frames.get(metric or "")
        if values is None:
            continue
        average = mean(values)
        quality.plot(
            seconds,
            np.where(np.isinf(values), np.nan, values),
            color=COLOURS.get(name, COLOURS[OURS]),
            linewidth=2.0 if name == result.method else 1.2,
            label=name.replace("_", " ") + ("" if average is None else f"  {average:.2f}"),
        )
    quality.set_ylabel("" if metric is None else COLUMNS[metric].title)
    quality.set_title(f"{len(result.frames)} frames at {result.width}x{result.height}", loc="left")

    opening = result.own.frames["mouth_opening"]
    title = "mouth of the rendering"
    if TRUTH in result.figures:
        theirs = result.figures[TRUTH].frames["mouth_opening"]
        both = np.isfinite(opening) & np.isfinite(theirs)
        correlation = pearson(opening[both], theirs[both])
        mouth.plot(seconds, theirs, color=TRUTH_COLOUR, linewidth=1.2, label=TRUTH)
        title = "correlation with the truth: " + (
            "-" if np.isnan(correlation) else f"{correlation:.2f}"
        )
    mouth.plot(seconds, opening, color=COLOURS[OURS], linewidth=2.0, label=result.method)
    mouth.set_ylabel("mouth opening, px")
    mouth.set_xlabel("time in the clip, s")
    mouth.set_title(title, loc="left")
    for axes in (quality, mouth):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
        axes.margins(x=0.01)
        if axes.lines:
            axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True)
    with whole_output(path) as partial:
        figure.savefig(partial, dpi=130, format="png")
