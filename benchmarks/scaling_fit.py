"""Costs for the estimate, of the table that benchmarks.scaling measured.

    python -m benchmarks.scaling_fit results/scaling.csv
    python -m benchmarks.scaling_fit results/scaling.csv --write

Each quantity of each rule is a sum of what it grows with, none of which is negative (least squares
of relative errors). Prints how far the estimate of each case is from what was measured, fitted to
all cases and to all but it. --write replaces ssp_nerf/estimate/costs.csv; what was measured on GPUs
is kept as it is there.
"""

import argparse
import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from benchmarks.scaling import RULES, Growth, Row
from ssp_nerf.estimate.costs import TABLE, Cost, Key, costs
from ssp_nerf.estimate.work import Work

WITH_NETWORKS = ("train", "render_frames")
DRAWN = ("render_frames", "deformation")
GROWTHS: Mapping[str, Growth] = dict(RULES.values())
MEASURED = "2 CPU cores"


def read_rows(path: Path) -> list[Row]:
    """The table of benchmarks.scaling."""
    with path.open(newline="") as file:
        return [
            Row(**{f.name: f.type(line[f.name]) for f in fields(Row)})  # type: ignore[operator]
            for line in csv.DictReader(file)
        ]


def fitted(rows: Sequence[Row]) -> dict[Key, Cost]:
    """Costs of all rules that there are rows of."""
    found: dict[Key, Cost] = {}
    for rule in dict.fromkeys(row.rule for row in rows):
        own, growth = [row for row in rows if row.rule == rule], GROWTHS[rule]
        sizes = len({row.megapixels / row.frames for row in own if row.frames})
        by_size = sizes > 1 and growth.pixels != "none"
        time_of = {
            *("fixed", "per_frame"),
            *(["per_megapixel"] if by_size else []),
            *(["per_step"] if rule == "train" else []),
            *(["per_gflop"] if rule in WITH_NETWORKS else []),
        }
        pixels = growth.pixels if by_size else "none"
        found[rule, "cpu", "cpu_seconds"] = fit(own, "cpu_seconds", time_of, growth.frames, pixels)
        # Other programs on the machine make it less, never more.
        cores = max(row.cpu_seconds / row.seconds for row in own)
        found[rule, "cpu", "cores"] = Cost("none", "none", cores, 0, 0, 0, 0, MEASURED)
        found[rule, "cpu", "mib"] = bound(own, growth.frames)
        # How well pictures pack differs between clips, and would be taken for a part that is fixed.
        stored = {"fixed", "per_frame"} if growth.stored == "none" else {"per_megapixel"}
        found[rule, "cpu", "bytes"] = fit(own, "bytes", stored, growth.frames, growth.stored)
    # The figure's few frames are drawn as all others are, and too few to tell what drawing takes.
    drawing, figure = (found.get((rule, "cpu", "cpu_seconds")) for rule in DRAWN)
    if drawing is not None and figure is not None:
        found[DRAWN[1], "cpu", "cpu_seconds"] = figure._replace(per_gflop=drawing.per_gflop)
    return found


def bound(rows: Sequence[Row], frames: str) -> Cost:
    """Memory that no job went beyond, growing as it did from half the longest clip or less to it.

    Short clips say nothing of growth: a stage that looks at a bounded number of frames, or holds a
    bounded number of them, grows to that and then no more. Nor do pictures of another size.
    """
    largest = max(row.megapixels / max(1, row.frames) for row in rows)
    peaks: dict[float, float] = {}
    for row in rows:
        if row.megapixels / max(1, row.frames) > 0.99 * largest:
            peaks[row.frames] = max(peaks.get(row.frames, 0.0), _own_mib(row))
    longest = max(peaks, default=0.0)
    shorter = [count for count in peaks if count <= longest / 2]
    slope = 0.0
    if shorter:
        long = max(shorter)
        slope = max(0.0, (peaks[longest] - peaks[long]) / (longest - long))
    fixed = max(_own_mib(row) - slope * row.frames for row in rows)
    return Cost(frames, "none", fixed, slope, 0, 0, 0, MEASURED)


def _own_mib(row: Row) -> float:
    """Without what a training computes itself."""
    return max(0.0, row.peak_mib - row.training_mib)


def work_of(row: Row, quantity: str) -> Work:
    """What a job had to do, as a quantity grows with it."""
    megapixels = row.stored_megapixels if quantity == "bytes" else row.megapixels
    return Work(row.frames, megapixels, row.steps, row.gflop)


def fit(rows: Sequence[Row], quantity: str, allowed: set[str], frames: str, pixels: str) -> Cost:
    """CPU seconds or bytes: least squares of relative errors, coefficients of 0 and more."""
    from scipy.optimize import nnls

    works = [work_of(row, quantity) for row in rows]
    target = np.maximum([getattr(row, quantity) for row in rows], 1e-3)
    columns = {
        "fixed": np.ones(len(works)),
        "per_frame": np.array([work.frames for work in works]),
        "per_megapixel": np.array([work.megapixels for work in works]),
        "per_step": np.array([work.steps for work in works]),
        "per_gflop": np.array([work.gflop for work in works]),
    }
    names = [name for name in columns if name in allowed and columns[name].any()]
    matrix = np.stack([columns[name] for name in names], 1)
    scale = matrix.max(0)  # or the solver would take small coefficients for none
    found, _ = nnls(matrix / scale / target[:, None], np.ones(len(works)))
    coefficients = dict(zip(names, found / scale, strict=True))
    return Cost(frames, pixels, *(coefficients.get(name, 0.0) for name in columns), MEASURED)


def compared(rows: Sequence[Row], table: Mapping[Key, Cost]) -> tuple[float, float, float]:
    """Estimate over measured of a case's CPU seconds, largest memory and bytes.

    Rules that the table lacks count on neither side.
    """
    known = [row for row in rows if (row.rule, "cpu", "bytes") in table]
    if not known:
        return math.nan, math.nan, math.nan
    estimates, took = [], []
    for row in known:
        own = [
            table[row.rule, "cpu", quantity].of(work_of(row, quantity))
            for quantity in ("cpu_seconds", "mib", "bytes")
        ]
        estimates.append([own[0], own[1] + row.training_mib, own[2]])
        took.append([row.cpu_seconds, row.peak_mib, row.bytes])
    ratios = [
        total(all_of) / total(measured)
        for total, all_of, measured in zip(
            (sum, max, sum), zip(*estimates, strict=True), zip(*took, strict=True), strict=True
        )
    ]
    return ratios[0], ratios[1], ratios[2]


def write_costs(table: Mapping[Key, Cost], path: Path = TABLE) -> None:
    """Write costs, in the order of the rules."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["rule", "device", "quantity", *Cost._fields])
        for key, cost in table.items():
            numbers = [f"{value:.3g}" for value in cost[2:-1]]
            writer.writerow([*key, cost.frames, cost.pixels, *numbers, cost.measured])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="of benchmarks.scaling")
    parser.add_argument("--write", action="store_true", help="replace the estimate's costs")
    options = parser.parse_args()
    rows = read_rows(options.table)
    table = fitted(rows)
    print("estimate over measured: CPU time, largest memory, disk; and fitted without the case")
    for case in dict.fromkeys(row.case for row in rows):
        own = [row for row in rows if row.case == case]
        others = fitted([row for row in rows if row.case != case])
        figures = [*compared(own, table), *compared(own, others)]
        print(f"{case:40}" + "".join(f"{figure:7.2f}" for figure in figures))
    if options.write:
        gpu = {key: cost for key, cost in costs().items() if key[1] == "gpu"}
        write_costs({**table, **gpu})


if __name__ == "__main__":
    main()
