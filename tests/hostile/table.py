"""What the cases gave, as the table of docs/robustness.md."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.markdown import table

TITLES = {
    "video": "Videos",
    "name": "File names",
    "sound": "Sound",
    "config": "Configs",
    "data": "Data: files of the pipeline, checkpoints, weights",
}

HEAD = """\
# Robustness

Made by `make test-hostile`; not to be edited. Each row was run as a user runs it, and held to this:
one line of error that says what is wrong, exit status 2 (1 from Snakemake), no traceback, nothing
written, the inputs as they were, no code run from them. Or, where the input is odd but usable: the
right result.

One thing is no data, though it looks like it: a config. Snakemake runs Python that a config holds
under `__use_yte__: true` (YTE, a template language), before this project sees the config, as it
runs the Snakefile. Use configs of people whom you would let run programs.
"""


@dataclass(frozen=True)
class Row:
    """One case and what it gave."""

    kind: str
    what: str
    command: str
    outcome: str


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Write all rows as Markdown, a section for each kind."""
    rows = list(rows)
    refused = sum(not row.outcome.startswith("works") for row in rows)
    parts = [HEAD, f"{len(rows)} inputs: {refused} refused, {len(rows) - refused} used rightly.\n"]
    for kind, title in TITLES.items():
        of_kind = [row for row in rows if row.kind == kind]
        if of_kind:
            cells = [(row.what, f"`{row.command}`", row.outcome) for row in of_kind]
            parts.append(f"## {title}\n\n{table(('input', 'command', 'outcome'), cells)}\n")
    path.write_text("\n".join(parts), encoding="utf-8")
