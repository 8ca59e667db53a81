"""What the portraits of a config need, from nothing: time, memory and disk.

    python -m ssp_nerf.estimate --configfile me.yaml --cores 8
    python -m ssp_nerf.estimate --minutes 1 5 30 --subjects 1 10 100 --speeches 4 --gpus 1

The first is what `snakemake --configfile me.yaml` says before it starts, of what is not made yet.
The second is a table of videos that need not be there.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssp_nerf import cli
from ssp_nerf.errors import InputError, first_line
from ssp_nerf.estimate.clips import Clip, Subject
from ssp_nerf.estimate.plan import estimated, jobs_of, plan, this_machine
from ssp_nerf.estimate.words import gib, lines_of, rough, size

DEFAULTS = Path(__file__).resolve().parents[2] / "config.yaml"
SPEECH_SECONDS = 30.0  # of each speech in the table
MEGAPIXELS = 2.07  # of a picture in the table: 1920x1080


def read_config(paths: Sequence[Path]) -> dict[str, Any]:
    """config.yaml, with what files of changes say in its place, as Snakemake merges them.

    Raises:
        InputError: no such file, or no YAML of a config.
    """
    import yaml  # machines that only train and render need not have it

    config: dict[str, Any] = {}
    for path in (DEFAULTS, *paths):
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeError, yaml.YAMLError) as error:
            raise InputError(
                f"{path}: expected a YAML file of settings (--configfile), but it cannot be read "
                f"({first_line(error)})."
            ) from error
        if not isinstance(values, Mapping):
            raise InputError(f"{path}: expected settings as in config.yaml, got {values!r:.80}.")
        _merge(config, values)
    return config


def _merge(config: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(config.get(key), dict):
            _merge(config[key], value)
        else:
            config[key] = dict(value) if isinstance(value, Mapping) else value


def table(config: Mapping[str, Any], options: argparse.Namespace) -> str:
    """Needs of so many subjects with videos of so many minutes, as Markdown."""
    machine = this_machine(config, options.cores, options.folder)
    if options.gpus is not None:
        machine = replace(machine, gpus=options.gpus)
    lines = ["| subjects | minutes each | jobs | disk | memory | time | training |"]
    lines.append("| ---: " * 7 + "|")
    for count in options.subjects:
        for minutes in options.minutes:
            speeches = {f"s{i}": Clip(SPEECH_SECONDS, 0) for i in range(options.speeches)}
            subject = Subject(Clip(60 * minutes, MEGAPIXELS), speeches)
            subjects = {f"subject{i}": subject for i in range(count)}
            about = {"video": "", "speeches": dict.fromkeys(speeches, "")}
            jobs = jobs_of({**config, "subjects": dict.fromkeys(subjects, about)})
            made = plan(config, subjects, jobs, machine)
            assert made.largest is not None
            figures = (
                *(f"{count}", f"{minutes:g}", f"{len(jobs):,}", size(made.bytes)),
                f"{gib(made.largest.mib)} ({made.largest.job.rule})",
                *(rough(made.seconds), rough(made.seconds_of("train"))),
            )
            lines.append(f"| {' | '.join(figures)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.estimate", __doc__, verbatim=True)
    parser.add_argument(
        "--configfile", type=Path, nargs="+", default=[], help="files of settings, as Snakemake's"
    )
    parser.add_argument(
        "--cores", type=int, default=os.cpu_count() or 1, help="that jobs may use together"
    )
    parser.add_argument("--gpus", type=int, help="in the table; without it, those of this machine")
    parser.add_argument("--minutes", type=float, nargs="+", help="a table, of videos this long")
    parser.add_argument("--subjects", type=int, nargs="+", default=[1], help="in the table")
    parser.add_argument("--speeches", type=int, default=0, help="of 30 s each, in the table")
    parser.add_argument(
        "--folder", type=Path, default=Path("results"), help="whose disk has to have room"
    )

    def command(options: argparse.Namespace) -> None:
        if options.cores < 1:
            raise InputError(f"--cores is {options.cores}, expected 1 or more.")
        config = read_config(options.configfile)
        if options.minutes:
            print(table(config, options))
            return
        if not config["subjects"]:
            raise InputError(
                "no subject in the config: name a file that has one (--configfile), or ask for a "
                "table with --minutes."
            )
        machine = this_machine(config, options.cores, options.folder)
        print("\n".join(lines_of(*estimated(config, jobs_of(config), machine))))

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
