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

WITH_NETWORKS = ("train", "render_frames", "deformation")
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
        for quantity in ("cpu_seconds", "cores", "mib", "bytes"):
            allowed = {"fixed"}
            pixels = growth.stored if quantity == "bytes" else growth.pixels
            if quantity == "cpu_seconds":
                allowed |= {"per_frame", "per_step" if rule == "train" else "per_frame"}
                allowed |= {"per_gflop"} if rule in WITH_NETWORKS else set()
                allowed |= {"per_megapixel"} if pixels != "none" and sizes > 1 else set()
            elif quantity == "bytes":
                allowed |= {"per_frame" if pixels == "none" else "per_megapixel"}
            elif quantity == "mib":
                allowed |= {"per_frame"}
            works = [work_of(row, quantity) for row in own]
            values = [value_of(row, quantity) for row in own]
            if quantity == "cores":  # other programs on the machine make it less, never more
                values = [max(values)] * len(values)
            pixels = pixels if "per_megapixel" in allowed else "none"
            found[rule, "cpu", quantity] = fit(works, values, allowed, growth.frames, pixels)
    return found


def work_of(row: Row, quantity: str) -> Work:
    """What a job had to do, as a quantity grows with it."""
    megapixels = row.stored_megapixels if quantity == "bytes" else row.megapixels
    return Work(row.frames, megapixels, row.steps, row.gflop)


def value_of(row: Row, quantity: str) -> float:
    """What a job took."""
    return {
        "cpu_seconds": row.cpu_seconds,
        "cores": row.cpu_seconds / row.seconds,
        "mib": max(1.0, row.peak_mib - row.training_mib),
        "bytes": row.bytes,
    }[quantity]


def fit(
    works: Sequence[Work], values: Sequence[float], allowed: set[str], frames: str, pixels: str
) -> Cost:
    """Least squares of relative errors, coefficients of 0 and more."""
    from scipy.optimize import nnls

    target = np.maximum(np.array(values), 1e-3)
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
    sums = []
    if not known:
        return math.nan, math.nan, math.nan
    for quantity in ("cpu_seconds", "mib", "bytes"):
        estimates = [
            table[row.rule, "cpu", quantity].of(work_of(row, quantity))
            + (row.training_mib if quantity == "mib" else 0)
            for row in known
        ]
        took = [row.peak_mib if quantity == "mib" else value_of(row, quantity) for row in known]
        total = max if quantity == "mib" else sum
        sums.append(total(estimates) / total(took))
    return sums[0], sums[1], sums[2]


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
