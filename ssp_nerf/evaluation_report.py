"""The figures of an evaluation: totals as JSON, frames as CSV, a plot over time, a table."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssp_nerf.files import whole_output
from ssp_nerf.metrics import ImageScores
from ssp_nerf.schema import FPS

OURS = "ours"
BASELINES = ("background", "mean_frame", "nearest_pose")
MEAN, NEAREST = BASELINES[1:]
METRICS = (*ImageScores._fields, "lmd")
LOWER_IS_BETTER = ("lmd",)
DECIMALS = 4  # of every figure written

COLOURS = {OURS: "#d1495b", "background": "#b8bcc2", "mean_frame": "#7d8ca3", NEAREST: "#30638e"}
TRUTH_COLOUR = "#222222"


@dataclass(frozen=True)
class Evaluation:
    """Figures of F held-out frames; nan where one is not defined.

    Attributes:
        frames: (F,) frame numbers in the clip.
        width, height: of the frames, pixels; landmarks are scaled to it.
        detectors: who found the landmarks of the truth and of the rendering.
        scores: method -> metric -> (F,). Methods: "ours" and the baselines; metrics: those of
            `METRICS`, and "mouth_opening" (pixels) where a method has landmarks.
        truth_opening: (F,) mouth opening of the truth, pixels.
        nearest: (F,) training frame of nearest pose.
        nearest_distance: (F,) how far its pose is, pixels (`baselines.nearest_poses`).
        psnr_to_exact: dB, of some frames to the same drawn exactly; none if all are exact.
    """

    frames: np.ndarray
    width: int
    height: int
    detectors: tuple[str, str]
    scores: Mapping[str, Mapping[str, np.ndarray]]
    truth_opening: np.ndarray
    nearest: np.ndarray
    nearest_distance: np.ndarray
    psnr_to_exact: np.ndarray

    @property
    def face_detected(self) -> np.ndarray:
        """(F,) bool: a face was found in the rendered frame."""
        return np.isfinite(self.scores[OURS]["mouth_opening"])


def summary(result: Evaluation) -> dict[str, Any]:
    """Totals, margins and protocol, as they are written to JSON; None for what is not defined."""
    ours = result.scores[OURS]
    methods = {
        method: {metric: _mean(values[metric]) for metric in METRICS if metric in values}
        for method, values in result.scores.items()
    }
    for method in (OURS, NEAREST):
        methods[method]["mouth_opening_correlation"] = _correlation(
            result.scores[method]["mouth_opening"], result.truth_opening
        )
    margins = {
        method: {
            metric: _margin(ours[metric], result.scores[method][metric], metric)
            for metric in METRICS
            if metric in result.scores[method]
        }
        for method in BASELINES
    }
    truth_detector, our_detector = result.detectors
    return {
        "frames": len(result.frames),
        "frames_with_head": int(np.sum(~np.isnan(ours["psnr_head"]))),
        "frames_with_face": int(result.face_detected.sum()),
        "frames_counted_for_lmd": int(np.isfinite(ours["lmd"]).sum()),
        "resolution": {"width": result.width, "height": result.height},
        OURS: methods[OURS],
        "baselines": {method: methods[method] for method in BASELINES},
        "margins": margins,
        "nearest_pose_distance": _mean(result.nearest_distance),
        "drawn": "fast" if len(result.psnr_to_exact) else "exactly",
        "psnr_to_exact": _mean(result.psnr_to_exact) if len(result.psnr_to_exact) else None,
        "protocol": {
            "frames": "held-out frames only, as rendered, before video encoding; poses are the "
            "truth's; figures are means over frames",
            "psnr, ssim": "dB and [-1, 1] over the full frame, torso and background included as "
            "rendered, nothing pasted in; SSIM: Gaussian window, sigma 1.5, data range 255, mean "
            "over RGB",
            "psnr_head, ssim_head": "over the pixels that the truth's parsing map gives to the "
            "head (face, ears and hair; neither neck nor torso); SSIM: mean of its map there",
            "lmd": "pixels at this resolution, iBUG points 48-67, each mouth centred on its mean; "
            "frames where no face was found in the truth or in the picture do not count; the mean "
            "frame's mouth is the mean of the training frames' mouths, the background has none",
            "mouth_opening_correlation": "Pearson correlation over time of the distance between "
            "the inner lips (points 62 and 66) with the truth's; this project's own figure",
            "detector": {"truth": truth_detector, "render": our_detector},
            "baselines": {
                "background": "the background picture alone",
                "mean_frame": "mean of the training frames",
                "nearest_pose": "the training frame with the least mean displacement, in pixels, "
                "of the projected face vertices (nearest_pose_distance: its mean)",
            },
            "psnr_to_exact": "dB, mean over some frames that were drawn fast and exactly",
            "margins": "mean over frames where both are defined; positive: ours is better",
            "null": "not defined, or infinite (PSNR of identical pictures)",
        },
    }


def _mean(values: np.ndarray) -> float | None:
    """Mean of what is defined."""
    defined = values[~np.isnan(values)]
    return _number(defined.mean()) if len(defined) else None


def _margin(ours: np.ndarray, baseline: np.ndarray, metric: str) -> float | None:
    both = np.isfinite(ours) & np.isfinite(baseline)
    gain = ours[both] - baseline[both]
    return _mean(-gain if metric in LOWER_IS_BETTER else gain)


def _correlation(values: np.ndarray, truth: np.ndarray) -> float | None:
    both = np.isfinite(values) & np.isfinite(truth)
    values, truth = values[both], truth[both]
    if len(values) < 2 or np.ptp(values) == 0 or np.ptp(truth) == 0:
        return None  # a mouth that never moves correlates with nothing
    return _number(np.corrcoef(values, truth)[0, 1])


def _number(value: float) -> float | None:
    """As JSON can hold it: infinity is no JSON number."""
    return round(float(value), DECIMALS) if np.isfinite(value) else None


def write_csv(path: Path, result: Evaluation) -> None:
    """One line a frame: ours, then the baselines with their name before the metric.

    An empty cell is a figure that is not defined; `inf` is the PSNR of identical pictures.
    """
    ours = result.scores[OURS]
    columns: dict[str, np.ndarray] = {"frame": result.frames}
    columns.update({metric: ours[metric] for metric in METRICS})
    columns["face_detected"] = result.face_detected.astype(int)
    columns["mouth_opening"] = ours["mouth_opening"]
    columns["mouth_opening_truth"] = result.truth_opening
    for method in BASELINES:
        columns.update({f"{method}_{name}": v for name, v in result.scores[method].items()})
    columns["nearest_pose_frame"] = result.nearest
    columns["nearest_pose_distance"] = result.nearest_distance
    with whole_output(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(v) for v in row] for row in zip(*columns.values(), strict=True))


def _cell(value: Any) -> str:
    if isinstance(value, np.integer):
        return str(value)
    return "" if np.isnan(value) else f"{value:.{DECIMALS}f}"


def write_plot(path: Path, result: Evaluation) -> None:
    """PNG over time: PSNR inside the head of ours and the baselines; how far the mouth is open."""
    from matplotlib.figure import Figure

    seconds = result.frames / FPS
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    quality, mouth = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for method in (*BASELINES, OURS):
        values = result.scores[method]["psnr_head"]
        mean = _mean(values)
        quality.plot(
            seconds,
            np.where(np.isinf(values), np.nan, values),
            color=COLOURS[method],
            linewidth=2.0 if method == OURS else 1.2,
            label=method.replace("_", " ") + ("" if mean is None else f"  {mean:.2f} dB"),
        )
    quality.set_ylabel("PSNR inside the head, dB")
    quality.set_title(
        f"{len(result.frames)} held-out frames at {result.width}x{result.height}", loc="left"
    )

    our_opening = result.scores[OURS]["mouth_opening"]
    correlation = _correlation(our_opening, result.truth_opening)
    mouth.plot(seconds, result.truth_opening, color=TRUTH_COLOUR, linewidth=1.2, label="truth")
    mouth.plot(seconds, our_opening, color=COLOURS[OURS], linewidth=2.0, label=OURS)
    mouth.set_ylabel("mouth opening, px")
    mouth.set_xlabel("time in the clip, s")
    mouth.set_title(
        "correlation with the truth: " + ("-" if correlation is None else f"{correlation:.2f}"),
        loc="left",
    )
    for axes in (quality, mouth):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
        axes.margins(x=0.01)
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True)
    with whole_output(path) as partial:
        figure.savefig(partial, dpi=130, format="png")


def table(totals: Mapping[str, Any]) -> str:
    """The totals for a terminal."""
    size = totals["resolution"]
    columns = {
        "psnr": ("PSNR", ".2f"),
        "ssim": ("SSIM", ".3f"),
        "psnr_head": ("PSNR head", ".2f"),
        "ssim_head": ("SSIM head", ".3f"),
        "lmd": ("LMD px", ".2f"),
        "mouth_opening_correlation": ("mouth r", ".2f"),
    }
    lines = [
        f"{totals['frames']} held-out frames at {size['width']}x{size['height']}; a face was found "
        f"in {totals['frames_with_face']}, LMD counts {totals['frames_counted_for_lmd']}",
        f"{'':<14}" + "".join(f"{title:>11}" for title, _ in columns.values()),
    ]
    for method, figures in ((OURS, totals[OURS]), *totals["baselines"].items()):
        cells = [
            "-" if figures.get(metric) is None else format(figures[metric], digits)
            for metric, (_, digits) in columns.items()
        ]
        lines.append(f"{method.replace('_', ' '):<14}" + "".join(f"{c:>11}" for c in cells))
    gains = (
        f"{margin['psnr_head']:+.2f} dB over {method.replace('_', ' ')}"
        for method, margin in totals["margins"].items()
        if margin["psnr_head"] is not None
    )
    lines.append("margin inside the head: " + (", ".join(gains) or "not defined"))
    if totals["drawn"] == "fast":
        near = totals["psnr_to_exact"]
        lines.append(
            "drawn fast: "
            + ("as" if near is None else f"{near:.1f} dB to")
            + " frames drawn exactly"
        )
    return "\n".join(lines)
