"""A table of methods like the paper's tables 1 and 2, out of what `ssp_nerf.evaluate` wrote.

    python -m ssp_nerf.method_table --metrics ours.json other.json --csv t.csv --markdown t.md

Full frame (table 2), face crop (table 1), and all other figures; speech of others in a table of its
own. The truth's own score is the first line of each. What could not be measured is said below.
"""

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssp_nerf import cli
from ssp_nerf.baselines import NEAREST
from ssp_nerf.errors import InputError
from ssp_nerf.evaluation_report import OURS, TRUTH, not_measured
from ssp_nerf.figure_columns import COLUMNS
from ssp_nerf.files import require_file, whole_output
from ssp_nerf.table_writer import MISSING, Row, Table, latex, markdown

LABELS = {OURS: "SSP-NeRF (this one)", TRUTH: "Ground truth", NEAREST: "Nearest training frame"}
SYNC = ("sync_confidence", "mouth_sync")
FULL = ("psnr", "ssim", "lmd", *SYNC)
CROP = ("psnr_crop", "ssim_crop", "lmd_crop", *SYNC)
CROSS = ("lmd", *SYNC, "mouth_sync_peak", "mouth_sync_lag", "cpbd", "jitter")


def read_metrics(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """What `ssp_nerf.evaluate` wrote, checked as far as tables use it.

    Raises:
        InputError: a file is missing or something else, or two are of one method and setting.
    """
    found: list[dict[str, Any]] = []
    for path in paths:
        require_file(path, "metrics of a method", "`python -m ssp_nerf.evaluate` makes it.")
        try:
            totals = json.loads(path.read_text(encoding="utf-8"))
            assert totals["setting"] in ("full", "cross") and totals["resolution"]["width"]
            found.append({**totals, "figures": totals[totals["method"]]})
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise InputError(
                f"{path}: expected what `ssp_nerf.evaluate` writes, but {error!r}. Delete it and "
                "evaluate again."
            ) from error
    names = [(totals["method"], totals["setting"]) for totals in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--metrics: two files of the method {name[0]!r}, expected one each.")
    return found


def tables(metrics: Sequence[dict[str, Any]], parameters: str = MISSING) -> list[Table]:
    """Tables of the methods.

    Args:
        metrics: of `read_metrics`.
        parameters: number of this project's network, as it is written.
    """
    made = []
    full = [totals for totals in metrics if totals["setting"] == "full"]
    cross = [totals for totals in metrics if totals["setting"] == "cross"]
    if full:
        own = full[0].get(TRUTH, {})
        first = full[0]["resolution"]
        size = f"{first['width']}x{first['height']}"
        side = full[0]["crop_size"]
        rest = [
            name
            for name in COLUMNS
            if name not in (*FULL, *CROP) and any(name in t["figures"] for t in full)
        ]
        made += [
            Table(
                f"Full frame, {size} (the setting of the paper's table 2)",
                *(FULL, _rows(full, FULL, parameters)),
                more=("parameters",),
                own=own,
            ),
            Table(
                f"Face crop resized to {side}x{side} (the setting of the paper's table 1)",
                *(CROP, _rows(full, CROP)),
                own=own,
            ),
            *(
                Table("Other figures", part, _rows(full, part), own=own)
                for part in (rest[i : i + 6] for i in range(0, len(rest), 6))
            ),
        ]
    if cross:
        rows = [Row(_label(totals), totals["figures"]) for totals in cross]
        made.append(Table("Driven by the speech of others", CROSS, rows))
    return made


def _rows(
    metrics: Sequence[dict[str, Any]], shown: Sequence[str], parameters: str | None = None
) -> list[Row]:
    def more(name: str) -> tuple[str, ...]:
        if parameters is None:
            return ()
        return (parameters if name == OURS else MISSING,)

    perfect = {
        name: COLUMNS[name].perfect
        for name in shown
        if COLUMNS[name].perfect not in (None, float("inf"))
    }
    rows = [Row(LABELS[TRUTH], {**perfect, **metrics[0].get(TRUTH, {})}, False, more(TRUTH))]
    for totals in metrics:
        nearest = totals.get("baselines", {}).get(NEAREST)
        if nearest and any(nearest.get(name) is not None for name in shown):
            rows.append(Row(LABELS[NEAREST], nearest, True, more(NEAREST)))
    return [*rows, *(Row(_label(t), t["figures"], True, more(t["method"])) for t in metrics)]


def _label(totals: dict[str, Any]) -> str:
    return LABELS.get(totals["method"], totals["method"])


def remarks(metrics: Sequence[dict[str, Any]]) -> list[str]:
    """What readers must know: frames, intervals, what was not measured and what was done."""
    said: dict[str, list[str]] = {}
    for totals in metrics:
        size = totals["resolution"]
        lines = [
            f"{totals['frames']} frames of {size['width']}x{size['height']}",
            *not_measured(totals),
            *totals["notes"],
        ]
        for line in lines:
            said.setdefault(line, []).append(_label(totals))
    return [f"{', '.join(labels)}: {line.rstrip('.')}." for line, labels in said.items()]


def write_csv(path: Path, metrics: Sequence[dict[str, Any]]) -> None:
    """A line for each method and one for the truth, with the ends of the intervals."""
    used = [
        name
        for name in COLUMNS
        if any(name in t["figures"] or name in t.get(TRUTH, {}) for t in metrics)
    ]
    with whole_output(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        ends = [f"{name}{end}" for name in used for end in ("", "_low", "_high")]
        writer.writerow(["method", "setting", "frames", "width", "height", *ends])
        for totals in metrics:
            size = totals["resolution"]
            about = [totals["setting"], totals["frames"], size["width"], size["height"]]
            for name in (TRUTH, totals["method"]):
                if name == TRUTH and (TRUTH not in totals or totals is not metrics[0]):
                    continue
                intervals = totals["intervals"].get(name, {})
                cells = [
                    part
                    for metric in used
                    for part in (totals[name].get(metric), *(intervals.get(metric) or (None, None)))
                ]
                writer.writerow([name, *about, *cells])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.method_table", __doc__, verbatim=True)
    parser.add_argument(
        "--metrics", type=Path, nargs="+", required=True, help="metrics.json of each method"
    )
    parser.add_argument("--model", type=Path, help="this project's model, to count its parameters")
    parser.add_argument("--csv", type=Path, help="all figures and intervals, written")
    parser.add_argument("--markdown", type=Path, help="the tables, written")
    parser.add_argument("--latex", type=Path, help="the tables with booktabs, written")

    def command(options: argparse.Namespace) -> None:
        metrics = read_metrics(options.metrics)
        made = tables(metrics, MISSING if options.model is None else _parameters(options.model))
        text = [
            line for table in made for line in (f"## {table.caption}", "", *markdown(table), "")
        ]
        text += [f"- {line}" for line in remarks(metrics)]
        if options.csv:
            write_csv(options.csv, metrics)
        if options.markdown:
            _write(options.markdown, text)
        if options.latex:
            notes = [f"% {line}" for line in remarks(metrics)]
            _write(options.latex, [*notes, *(line for table in made for line in latex(table))])
        print("\n".join(text))

    cli.run(parser, command, arguments)


def _parameters(model: Path) -> str:
    import torch

    from ssp_nerf.bundle import load_bundle
    from ssp_nerf.model import parameter_count

    count = parameter_count(load_bundle(model, torch.device("cpu")).model)
    return f"{count / 1e6:.2f}M"


def _write(path: Path, lines: Sequence[str]) -> None:
    with whole_output(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
