"""What each rule was measured to take: `costs.csv`, as benchmarks/scaling.py fits it."""

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ssp_nerf.estimate.work import Work

TABLE = Path(__file__).with_name("costs.csv")


class Cost(NamedTuple):
    """One quantity of a rule, linear in its job's work.

    Attributes:
        frames, pixels: which of them count, see `Settings.work`.
        fixed, per_frame, per_megapixel, per_step, per_gflop: coefficients.
        measured: where.
    """

    frames: str
    pixels: str
    fixed: float
    per_frame: float
    per_megapixel: float
    per_step: float
    per_gflop: float
    measured: str

    def of(self, work: Work) -> float:
        """The quantity of a job."""
        return (
            self.fixed
            + self.per_frame * work.frames
            + self.per_megapixel * work.megapixels
            + self.per_step * work.steps
            + self.per_gflop * work.gflop
        )


Key = tuple[str, str, str]
"""Rule; device: cpu or gpu; quantity: cpu_seconds, cores (busy on average, at the most), mib (peak
resident memory) or bytes (of outputs)."""


@cache
def costs() -> dict[Key, Cost]:
    """The table."""
    with open(TABLE, newline="", encoding="utf-8") as file:
        return {
            (row["rule"], row["device"], row["quantity"]): Cost(
                frames=row["frames"],
                pixels=row["pixels"],
                measured=row["measured"],
                **{name: float(row[name]) for name in Cost._fields[2:-1]},
            )
            for row in csv.DictReader(file)
        }


def cost_of(rule: str, device: str, quantity: str) -> Cost | None:
    """Of a rule on a device; of one that was measured without a GPU only, its cost there."""
    table = costs()
    return table.get((rule, device, quantity)) or table.get((rule, "cpu", quantity))
