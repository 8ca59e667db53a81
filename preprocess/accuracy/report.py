"""The accuracies of several clips side by side: a table, JSON, CSV and a plot.

`python -m preprocess.accuracy.report --accuracy a.json b.json --names A B --json all.json
--csv all.csv --plot all.png`
"""

import argparse
import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocess.accuracy.measures import MEASURES, Figures, Measure, figure
from preprocess.accuracy.plot import write_plot
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file, whole_output, write_json

DECIMALS = 4  # of every figure written


def _largest(values: Iterable[float]) -> float:
    return max(values, key=abs)


WORST: dict[str, Callable[[Iterable[float]], float]] = {"high": min, "low": _largest}


@dataclass(frozen=True)
class Row:
    """A measure over the subjects.

    Attributes:
        values: one a subject, None where it is not defined.
        mean: of the values, of their sizes where low is better.
        worst: the value farthest from good, None where neither low nor high is.
        met: whether all that are defined meet the aim, None without aim or values.
    """

    measure: Measure
    values: tuple[float | None, ...]
    mean: float | None
    worst: float | None
    met: bool | None


def compare(figures: Sequence[Figures]) -> list[Row]:
    """A row for each measure over the subjects' figures, those of `preprocess.accuracy.compare`."""
    rows = []
    for measure in MEASURES:
        values = tuple(figure(subject, measure.key) for subject in figures)
        defined = [value for value in values if value is not None]
        sizes = [abs(value) for value in defined] if measure.better == "low" else defined
        worst = WORST.get(measure.better)
        rows.append(
            Row(
                measure,
                values,
                round(sum(sizes) / len(sizes), DECIMALS) if sizes else None,
                worst(defined) if worst and defined else None,
                all(map(measure.meets, defined)) if measure.aim is not None and defined else None,
            )
        )
    return rows


def table(names: Sequence[str], rows: Sequence[Row]) -> str:
    """The comparison for a terminal."""
    head = ["", "", *names, "mean", "worst", "aim", "met"]
    body = [
        [
            row.measure.title,
            row.measure.unit,
            *(_cell(value, row.measure.digits) for value in (*row.values, row.mean, row.worst)),
            _aim(row.measure),
            _met(row),
        ]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in (head, *body)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        left = (cell.ljust(width) for cell, width in zip(cells[:2], widths[:2], strict=True))
        right = (cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True))
        return "  ".join((*left, *right)).rstrip()

    missed = [row.measure.title.strip() for row in rows if row.met is False]
    notes = [
        "",
        "Errors with a sign go into the mean by size. An aim is met if every subject meets it.",
        f"Not met: {'; '.join(missed)}." if missed else "All aims are met.",
    ]
    return "\n".join((*map(line, (head, *body)), *notes))


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _aim(measure: Measure) -> str:
    if measure.aim is None:
        return ""
    return f"{'>=' if measure.better == 'high' else '<='} {measure.aim:g}"


def _met(row: Row) -> str:
    return "" if row.met is None else "yes" if row.met else "NO"


def write_csv(path: Path, names: Sequence[str], rows: Sequence[Row]) -> None:
    """One line a measure; an empty cell is a figure that is not defined."""
    with whole_output(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["measure", "unit", *names, "mean", "worst", "better", "aim", "met"])
        for row in rows:
            measure = row.measure
            tail = (row.mean, row.worst, measure.better, measure.aim, _met(row).lower())
            writer.writerow([measure.key, measure.unit, *row.values, *tail])


def summary(
    names: Sequence[str], rows: Sequence[Row], figures: Sequence[Figures]
) -> dict[str, Any]:
    """The comparison as it is written to JSON; the curves stay with the subjects."""
    return {
        "measures": {
            row.measure.key: {
                "unit": row.measure.unit,
                "meaning": f"{row.measure.title.strip()}: {row.measure.meaning}",
                "mean": row.mean,
                "worst": row.worst,
                "better": row.measure.better or None,
                "aim": row.measure.aim,
                "met": row.met,
            }
            for row in rows
        },
        "subjects": {
            name: {part: values for part, values in subject.items() if part != "curves"}
            for name, subject in zip(names, figures, strict=True)
        },
    }


def read_figures(path: Path) -> dict[str, Any]:
    """What `preprocess.accuracy.compare` wrote.

    Raises:
        InputError: not there, or something else.
    """
    path = require_file(path, "an accuracy.json", "`preprocess.accuracy.compare` makes it.")
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
        compare([figures])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: expected figures of `preprocess.accuracy.compare`, but {error!r}. "
            "Delete it and make it anew."
        ) from error
    return figures


def report(
    paths: Sequence[Path], names: Sequence[str], json_path: Path, csv_path: Path, plot: Path
) -> str:
    """Write the comparison of the subjects, and return it as a table.

    Raises:
        InputError: not a name for each file, or files of another program.
    """
    if len(names) != len(paths):
        raise InputError(
            f"--names has {len(names)} names and --accuracy {len(paths)} files, expected as many."
        )
    figures = [read_figures(path) for path in paths]
    rows = compare(figures)
    write_json(json_path, summary(names, rows, figures))
    write_csv(csv_path, names, rows)
    aims = {row.measure.key: row.measure.aim for row in rows if row.measure.aim is not None}
    write_plot(plot, dict(zip(names, figures, strict=True)), aims)
    return table(names, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.accuracy.report", __doc__)
    parser.add_argument(
        "--accuracy", type=Path, nargs="+", required=True, help="accuracy.json of each subject"
    )
    parser.add_argument("--names", nargs="+", required=True, help="the subjects, in that order")
    parser.add_argument("--json", type=Path, required=True, help="comparison, written")
    parser.add_argument("--csv", type=Path, required=True, help="one line a measure, written")
    parser.add_argument("--plot", type=Path, required=True, help="picture (PNG), written")

    def command(options: argparse.Namespace) -> None:
        print(report(options.accuracy, options.names, options.json, options.csv, options.plot))

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
