"""What the faults gave, as the tables of docs/faults.md."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from tests.markdown import table

HEAD = """\
# Faults

Made by `make test-faults`; not to be edited. The pipeline of `tests/workflow/tiny.yaml` runs once
undisturbed. Then something goes wrong in copies of it, and what a user is told to do follows. Each
row was held to this: at no moment is anything half-written under its own name, and in the end the
results are those of the undisturbed run, file by file and byte by byte, with nothing lost and
nothing beside them. Only what tells times is not compared: `logs/`, `benchmarks/`, and in
`report/` the stages' times. Of a checkpoint, what it holds is compared: PyTorch packs that in other
bytes when training was continued.

Seed {seed} (`FAULTS_SEED`) drew the moments; {cores} cores; {minutes:.0f} minutes. {kills} kills
of {rules} rules, {inside} of them before all that the job makes was there; the others fell between
that and Snakemake's own end.
"""

SECTIONS = {
    "kill": (
        "Killed (`kill -9`)",
        ("rule", "killed", "after", "of", "outputs then there, whole", "left beside", "took"),
    ),
    "road": ("The pipeline from nothing, killed again and again", ("what", "outcome", "took")),
    "writers": ("Two at once", ("what", "outcome", "took")),
    "clock": ("Clocks and copies", ("what", "ran again, or was said", "took")),
    "signal": ("Training is asked to end", ("what", "outcome", "took")),
    "pipeline_disk": ("The pipeline on a full or read-only disk", ("disk", "outcome", "took")),
    "disk": (
        "Commands on a full or read-only disk (share of the room needed)",
        ("command", "disk", "outcome", "took"),
    ),
}  # fmt: skip


@dataclass
class Tables:
    """Rows of all sections.

    Attributes:
        seed: that drew what is random.
        rows: of each section, its cells.
    """

    seed: int
    rows: dict[str, list[list[str]]] = field(default_factory=dict)

    def add(self, section: str, *cells: str) -> None:
        assert len(cells) == len(SECTIONS[section][1]), cells
        self.rows.setdefault(section, []).append(list(cells))

    def write(self, path: Path, minutes: float) -> None:
        kills = self.rows.get("kill", [])
        there = [row[4].split(" of ") for row in kills]
        head = HEAD.format(
            seed=self.seed,
            cores=os.cpu_count(),
            minutes=minutes,
            kills=len(kills),
            rules=len({row[0] for row in kills}),
            inside=sum(found != outputs for found, outputs in there),
        )
        parts = [head]
        for section, (title, columns) in SECTIONS.items():
            if section in self.rows:
                parts.append(f"## {title}\n\n{table(columns, self.rows[section])}\n")
        path.write_text("\n".join(parts), encoding="utf-8")
