"""One table of a whole config: a line for each subject and speech, with its video and figures.

    python -m ssp_nerf.batch_table --videos a/video.mp4 b/video.mp4 \\
        --metrics a/metrics.json b/metrics.json \\
        --subjects a b --speeches heldout heldout --csv summary.csv

Reads what `ssp_nerf.evaluate` wrote. A figure that could not be measured is an empty cell.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.figure_columns import COLUMNS
from ssp_nerf.files import require_file, whole_output
from ssp_nerf.method_table import read_metrics

ABOUT = ("subject", "speech", "video", "setting", "frames", "width", "height")


def rows(
    subjects: Sequence[str],
    speeches: Sequence[str],
    videos: Sequence[Path],
    metrics: Sequence[Path],
) -> list[dict[str, Any]]:
    """A line for each video, all four of one length and in one order.

    Raises:
        InputError: lengths differ, or a file is missing or something else.
    """
    counts = [len(values) for values in (subjects, speeches, videos, metrics)]
    if len(set(counts)) > 1:
        raise InputError(
            "--subjects, --speeches, --videos, --metrics: expected as many of each, got "
            f"{', '.join(map(str, counts))}."
        )
    made = []
    for subject, speech, video, path in zip(subjects, speeches, videos, metrics, strict=True):
        require_file(video, "a video of the portrait", "`snakemake summary` makes it.")
        (totals,) = read_metrics([path])
        about = (subject, speech, video, totals["setting"], totals["frames"])
        size = totals["resolution"]
        made.append(
            dict(zip(ABOUT, (*about, size["width"], size["height"]), strict=True))
            | {name: totals["figures"][name] for name in COLUMNS if name in totals["figures"]}
        )
    return made


def write_csv(path: Path, made: Sequence[dict[str, Any]]) -> None:
    """The lines, with a column for each figure that any of them has."""
    used = [name for name in COLUMNS if any(name in row for row in made)]
    with whole_output(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*ABOUT, *used], lineterminator="\n")
        writer.writeheader()
        writer.writerows(made)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.batch_table", __doc__, verbatim=True)
    parser.add_argument(
        "--subjects", nargs="+", required=True, help="whose portrait, of each video"
    )
    parser.add_argument("--speeches", nargs="+", required=True, help="what each says, or heldout")
    parser.add_argument("--videos", type=Path, nargs="+", required=True, help="the videos")
    parser.add_argument(
        "--metrics", type=Path, nargs="+", required=True, help="metrics.json of each video"
    )
    parser.add_argument("--csv", type=Path, required=True, help="the table, written")

    def command(options: argparse.Namespace) -> None:
        made = rows(options.subjects, options.speeches, options.videos, options.metrics)
        write_csv(options.csv, made)
        print(f"{len(made)} videos of {len(set(options.subjects))} subjects: {options.csv}")

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
