"""What SLURM ran, as a table in Markdown."""

import csv
from collections.abc import Iterable
from pathlib import Path

from tests.slurm.cluster import Attempt


def peak_memory(project: Path, attempt: Attempt) -> str:
    """MiB that a job's stage took at most, from Snakemake's table of it, where the rule has one."""
    words = attempt.wildcards.split("_") if attempt.wildcards else []
    for path in sorted(project.glob(f"results/**/benchmarks/**/{attempt.rule}*")):
        tables = sorted(path.rglob("*.tsv")) if path.is_dir() else [path]
        for table in tables:
            if not words or all(word in str(table) for word in words):
                with open(table) as file:
                    (row,) = csv.DictReader(file, delimiter="\t")
                return row["max_rss"]
    return ""


def write_jobs(attempts: Iterable[Attempt], project: Path, path: Path) -> None:
    """A line for each run of a job: what, where, how it ended, how long, how much memory."""
    lines = [
        "| job | rule | of | partition | GPU | state | s | peak MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in attempts:
        # SLURM keeps one comment for a whole array, which says what its first task is of.
        one_of_many = "_" in each.job
        of = "(of an array)" if one_of_many else each.wildcards
        memory = "" if one_of_many else peak_memory(project, each)
        cells = (
            *(each.job, each.rule, of, each.partition, "1" if each.gpu else "", each.state),
            *(f"{each.seconds:.0f}", memory),
        )
        lines.append(f"| {' | '.join(cells)} |")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
