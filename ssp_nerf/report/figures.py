"""The per-frame metrics and totals of an evaluation, in whatever columns it wrote them."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssp_nerf.errors import InputError
from ssp_nerf.evaluation_report import BASELINES, OURS, TRUTH
from ssp_nerf.figure_columns import COLUMNS, Better
from ssp_nerf.files import require_file

MADE_BY = "The rule evaluate makes it."

EXTRA: dict[str, tuple[str, Better | None]] = {
    "mouth_opening": ("mouth opening (px)", "truth's"),
    "parsing_iou_frame": ("parsing mIoU", "higher"),
    "nearest_pose_distance": ("distance to the nearest training pose (px)", None),
}
"""Heading and direction of what tables do not show. Other columns are shown by their names, and
without worst frames, because nobody knows what is bad."""


@dataclass(frozen=True)
class Metric:
    """One metric over the frames, by method; None where it is not defined."""

    name: str
    title: str
    better: Better | None
    methods: dict[str, list[float | None]] = field(default_factory=dict)


def known(name: str) -> tuple[str, Better | None]:
    """Heading and direction of a figure."""
    if name in COLUMNS:
        return COLUMNS[name].title, COLUMNS[name].better
    return EXTRA.get(name, (name.replace("_", " "), None))


def rank(name: str) -> tuple[int, str]:
    """By what figures are sorted: as tables list them, then the others."""
    return (list(COLUMNS).index(name) if name in COLUMNS else len(COLUMNS), name)


def goodness(
    value: float | None, better: Better | None, truth: float | None = None
) -> float | None:
    """A number that is higher the better a figure is; None where nobody can tell."""
    if value is None or better is None:
        return None
    if better == "truth's":
        return None if truth is None else -abs(value - truth)
    return value if better == "higher" else -value


def read_totals(path: Path) -> dict[str, Any]:
    """metrics.json.

    Raises:
        InputError: no JSON object.
    """
    require_file(path, "the totals of an evaluation", MADE_BY)
    try:
        totals = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, but {error}. {MADE_BY}") from error
    if not isinstance(totals, dict):
        raise InputError(f"{path}: expected an object, got {type(totals).__name__}. {MADE_BY}")
    return totals


def totals_by_method(totals: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Method -> metric -> figure: ours first, then those of every object of objects that is named
    after methods."""
    ours = totals.get(OURS)
    methods: dict[str, dict[str, Any]] = {OURS: ours} if isinstance(ours, dict) else {}
    for group in (TRUTH, "baselines", "methods"):
        inside = totals.get(group)
        if isinstance(inside, dict):
            nested = all(isinstance(figures, dict) for figures in inside.values())
            methods.update(inside if nested and group != TRUTH else {group: inside})
    return methods


def read_metrics(
    path: Path, frames: Sequence[int], methods: Sequence[str] = BASELINES
) -> list[Metric]:
    """Every column of metrics.csv that is a number, on the rendered frames.

    Two shapes are read: a row for each frame, with `<method>_<metric>` for other methods and
    `<metric>_truth` for the truth's own; and a row for each frame and method, with the column
    `method`. A column that says nothing (no number, or one and the same) is left out.

    Args:
        frames: frame numbers in the order in which they are shown.
        methods: other methods that columns can be named after.

    Raises:
        InputError: no table, no column `frame`, or none of the frames.
    """
    require_file(path, "the metrics of each frame", MADE_BY)
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    place = {frame: i for i, frame in enumerate(frames)}
    metrics: dict[str, Metric] = {}
    columns = [name for name in (rows[0] if rows else {}) if name is not None]
    if "frame" not in columns:
        raise InputError(f"{path}: expected a column `frame`, got {columns}. {MADE_BY}")
    for row in rows:
        number = as_number(row["frame"])
        if number is None or int(number) not in place:
            continue
        for column in columns:
            if column in ("frame", "method") or column.endswith("_frame"):
                continue
            method, name = owner(column, columns, methods)
            method = row["method"] if "method" in columns and method == OURS else method
            if name not in metrics:
                metrics[name] = Metric(name, *known(name))
            values = metrics[name].methods.setdefault(method, [None] * len(frames))
            values[place[int(number)]] = as_number(row[column])
    if not metrics:
        raise InputError(
            f"{path}: none of its {len(rows)} rows is of a rendered frame. Pass the metrics of "
            f"this rendering. {MADE_BY}"
        )
    for metric in metrics.values():
        for method, values in list(metric.methods.items()):
            if set(values) == {None}:
                del metric.methods[method]
    return [metric for metric in metrics.values() if says_something(metric)]


def owner(column: str, columns: Sequence[str], methods: Sequence[str]) -> tuple[str, str]:
    """Method and metric of a column: `mean_frame_psnr` is the psnr of mean_frame."""
    for method in methods:
        rest = column.removeprefix(f"{method}_")
        if rest != column and rest in columns:
            return method, rest
    for rest in (column.removesuffix(f"_{TRUTH}"), column.removeprefix(f"{TRUTH}_")):
        if rest != column and rest in columns:
            return TRUTH, rest
    return OURS, column


def says_something(metric: Metric) -> bool:
    numbers = {v for values in metric.methods.values() for v in values if v is not None}
    return len(numbers) > 1


def as_number(text: str | None) -> float | None:
    """A finite number, or None: an empty cell, a word, nan; inf is no place in a plot."""
    try:
        number = float(text or "nan")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def worst(metric: Metric, count: int, apart: int) -> list[int]:
    """Places of the frames in which ours is worst, worst first, no two nearer than `apart`."""
    if OURS not in metric.methods:
        return []
    values = metric.methods[OURS]
    truth = metric.methods.get(TRUTH, [None] * len(values))
    scores = [goodness(v, metric.better, of) for v, of in zip(values, truth, strict=True)]
    known_scores = [(score, place) for place, score in enumerate(scores) if score is not None]
    found: list[int] = []
    for _, place in sorted(known_scores):
        if len(found) < count and all(abs(place - other) >= apart for other in found):
            found.append(place)
    return found
