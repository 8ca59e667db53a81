"""The figures of an evaluation: totals as JSON, frames as CSV, a table for a terminal."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssp_nerf.baselines import BASELINES
from ssp_nerf.bootstrap import Bootstrap
from ssp_nerf.evaluation_protocol import protocol
from ssp_nerf.figure_columns import COLUMNS
from ssp_nerf.files import whole_output
from ssp_nerf.measuring import Figures

OURS = "ours"
TRUTH = "truth"
MARGINS = ("psnr", "ssim", "psnr_head", "ssim_head", "lmd")
LOWER_IS_BETTER = tuple(name for name, column in COLUMNS.items() if column.better == "lower")
DECIMALS = 4  # of every figure written
TERMINAL_WIDTH = 4  # figures in a line


@dataclass(frozen=True)
class Poses:
    """How near held-out poses are to training ones.

    Attributes:
        frames: (F,) training frame of nearest pose.
        distances: (F,) how far its pose is, pixels (`baselines.nearest_poses`).
    """

    frames: np.ndarray
    distances: np.ndarray


@dataclass(frozen=True)
class Evaluation:
    """Figures of F frames; nan where one is not defined.

    Attributes:
        method: its name: "ours", or that of another.
        setting: "full" with a truth of the same person; "cross": driven by another's speech.
        frames: (F,) frame numbers in the clip.
        width, height: of the frames, pixels; landmarks are scaled to it.
        detectors, parsers: who found landmarks and classes of the truth and of the rendering.
        figures: of the method, of "truth" (its own score) and of baselines.
        bootstrap: how intervals are found.
        crop_size: side of the face crop, pixels.
        not_measured: metric -> why.
        weights: weight file -> its SHA-256.
        notes: what was done to make the clips comparable.
        poses: None without a dataset.
        psnr_to_exact: dB, of some frames to the same drawn exactly; none if all are exact.
    """

    method: str
    setting: str
    frames: np.ndarray
    width: int
    height: int
    detectors: tuple[str, str]
    parsers: tuple[str, str]
    figures: Mapping[str, Figures]
    bootstrap: Bootstrap
    crop_size: int
    not_measured: Mapping[str, str]
    weights: Mapping[str, str]
    notes: tuple[str, ...] = ()
    poses: Poses | None = None
    psnr_to_exact: np.ndarray | None = None

    @property
    def own(self) -> Figures:
        """Figures of the method."""
        return self.figures[self.method]

    @property
    def baselines(self) -> list[str]:
        return [name for name in BASELINES if name in self.figures]

    @property
    def face_detected(self) -> np.ndarray:
        """(F,) bool: a face was found in the rendered frame."""
        return np.isfinite(self.own.frames["mouth_opening"])


def summary(result: Evaluation) -> dict[str, Any]:
    """Totals, intervals and protocol, as they are written to JSON; None for what is not defined."""
    own = result.own
    totals: dict[str, Any] = {
        "method": result.method,
        "setting": result.setting,
        "frames": len(result.frames),
        "frames_with_face": int(result.face_detected.sum()),
        "frames_counted_for_lmd": int(np.isfinite(own.frames.get("lmd", np.zeros(0))).sum()),
        "resolution": {"width": result.width, "height": result.height},
        "crop_size": result.crop_size,
        result.method: _totals(own),
        "intervals": {
            name: _intervals(result.figures[name], result.bootstrap, len(result.frames))
            for name in (result.method, TRUTH)
            if name in result.figures
        },
        "not_measured": dict(result.not_measured),
        "weights": dict(result.weights),
        "notes": list(result.notes),
        "protocol": protocol(
            result.detectors, result.parsers, result.bootstrap, len(result.frames)
        ),
    }
    if "psnr_head" in own.frames:
        totals["frames_with_head"] = int(np.sum(~np.isnan(own.frames["psnr_head"])))
    if TRUTH in result.figures:
        totals[TRUTH] = _totals(result.figures[TRUTH])
    if result.baselines:
        totals["baselines"] = {name: _totals(result.figures[name]) for name in result.baselines}
        totals["margins"] = {
            name: {
                metric: _margin(own.frames[metric], values, metric)
                for metric, values in result.figures[name].frames.items()
                if metric in MARGINS and metric in own.frames
            }
            for name in result.baselines
        }
    if result.poses is not None:
        totals["nearest_pose_distance"] = mean(result.poses.distances)
    if result.psnr_to_exact is not None:
        fast = len(result.psnr_to_exact) > 0
        totals["drawn"] = "fast" if fast else "exactly"
        totals["psnr_to_exact"] = mean(result.psnr_to_exact) if fast else None
    return totals


def _totals(figures: Figures) -> dict[str, float | None]:
    """Means over frames, and the figures of the whole clip."""
    means = {
        metric: mean(values)
        for metric, values in figures.frames.items()
        if metric in COLUMNS and metric not in figures.clip
    }
    return means | {metric: _number(value) for metric, value in figures.clip.items()}


def _intervals(
    figures: Figures, bootstrap: Bootstrap, frames: int
) -> dict[str, tuple[float | None, ...] | None]:
    def mean_of(values: np.ndarray, rows: np.ndarray) -> float:
        chosen = values[rows]
        chosen = chosen[~np.isnan(chosen)]
        return float(chosen.mean()) if len(chosen) else float("nan")

    statistics = {
        metric: (lambda rows, values=values: mean_of(values, rows))
        for metric, values in figures.frames.items()
        if metric in COLUMNS
    }
    found = {
        metric: bootstrap.interval(statistic, frames)
        for metric, statistic in {**statistics, **figures.statistics}.items()
    }
    return {m: None if ends is None else tuple(map(_number, ends)) for m, ends in found.items()}


def mean(values: np.ndarray) -> float | None:
    """Mean of what is defined, None where nothing is or it is infinite."""
    defined = values[~np.isnan(values)]
    return _number(defined.mean()) if len(defined) else None


def _margin(ours: np.ndarray, baseline: np.ndarray, metric: str) -> float | None:
    both = np.isfinite(ours) & np.isfinite(baseline)
    gain = ours[both] - baseline[both]
    return mean(-gain if metric in LOWER_IS_BETTER else gain)


def _number(value: float) -> float | None:
    """As JSON can hold it: infinity is no JSON number."""
    return round(float(value), DECIMALS) if np.isfinite(value) else None


def write_csv(path: Path, result: Evaluation) -> None:
    """One line a frame: figures of the method, of the truth and of baselines.

    The truth's have `_truth` after the metric, a baseline's its name before it.

    An empty cell is a figure that is not defined; `inf` is the PSNR of identical pictures.
    """
    columns: dict[str, np.ndarray] = {"frame": result.frames, **result.own.frames}
    columns["face_detected"] = result.face_detected.astype(int)
    if TRUTH in result.figures:
        own = result.figures[TRUTH].frames
        columns.update({f"{metric}_truth": values for metric, values in own.items()})
    for name in result.baselines:
        figures = result.figures[name].frames
        columns.update({f"{name}_{metric}": values for metric, values in figures.items()})
    if result.poses is not None:
        columns["nearest_pose_frame"] = result.poses.frames
        columns["nearest_pose_distance"] = result.poses.distances
    with whole_output(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(v) for v in row] for row in zip(*columns.values(), strict=True))


def _cell(value: Any) -> str:
    if isinstance(value, np.integer):
        return str(value)
    return "" if np.isnan(value) else f"{value:.{DECIMALS}f}"


def table(totals: Mapping[str, Any], reasons: bool = True) -> str:
    """The totals for a terminal; with the reasons why something was not measured, or only what."""
    size, method = totals["resolution"], totals["method"]
    truth = totals.get(TRUTH, {})
    shown = [name for name in COLUMNS if totals[method].get(name) is not None]
    lines = [
        f"{totals['frames']} frames at {size['width']}x{size['height']}; a face was found "
        f"in {totals['frames_with_face']}, LMD counts {totals['frames_counted_for_lmd']}",
        f"{'':<34}{method:>10}{'95 % interval':>20}{'truth':>10}"
        + "".join(f"{name.replace('_', ' '):>14}" for name in totals.get("baselines", {})),
    ]
    for name in shown:
        column = COLUMNS[name]
        ends = totals["intervals"].get(method, {}).get(name)
        interval = "" if ends is None else f"{_shown(name, ends[0])} to {_shown(name, ends[1])}"
        own = truth.get(name, column.perfect if truth else None)
        lines.append(
            f"{column.title:<34}{_shown(name, totals[method][name]):>10}{interval:>20}"
            f"{_shown(name, own):>10}"
            + "".join(
                f"{_shown(name, figures.get(name)):>14}"
                for figures in totals.get("baselines", {}).values()
            )
        )
    gains = [
        f"{margin['psnr_head']:+.2f} dB over {name.replace('_', ' ')}"
        for name, margin in totals.get("margins", {}).items()
        if margin.get("psnr_head") is not None
    ]
    if "margins" in totals:
        lines.append("margin inside the head: " + (", ".join(gains) or "not defined"))
    if totals.get("drawn") == "fast":
        near = totals["psnr_to_exact"]
        lines.append(
            "drawn fast: "
            + ("as" if near is None else f"{near:.1f} dB to")
            + " frames drawn exactly"
        )
    if reasons:
        lines += not_measured(totals)
    elif totals["not_measured"]:
        missing = ", ".join(totals["not_measured"])
        lines.append(f"not measured: {missing} (metrics.json says why)")
    lines += [f"note: {note}" for note in totals["notes"]]
    return "\n".join(lines)


def not_measured(totals: Mapping[str, Any]) -> list[str]:
    """A line for each reason why something was not measured."""
    metrics: dict[str, list[str]] = {}
    for metric, why in totals["not_measured"].items():
        metrics.setdefault(why, []).append(metric)
    return [f"not measured: {', '.join(names)}: {why}" for why, names in metrics.items()]


def _shown(name: str, value: float | None) -> str:
    return "-" if value is None else f"{value:.{COLUMNS[name].decimals}f}"
