"""What training wrote down: losses, and how many rays each class was given (eq. 5)."""

import csv
from pathlib import Path
from typing import Any

from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file
from ssp_nerf.parsing_map import CLASSES
from ssp_nerf.report.figures import as_number

MADE_BY = "The rule train makes it."
LOSSES = ("loss", "photometric", "semantic")


def read_history(path: Path) -> dict[str, Any]:
    """The columns of history.csv: lists as long as `step`; those that are not there are empty.

    Returns:
        step; loss, photometric, semantic, psnr; share and class_loss: for each class a list.

    Raises:
        InputError: no table, or one without steps.
    """
    require_file(path, "the history of a training", MADE_BY)
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    def column(name: str) -> list[float | None]:
        return [as_number(row[name]) for row in rows] if rows and name in rows[0] else []

    steps = column("step")
    if not steps or None in steps:
        raise InputError(f"{path}: expected a column `step` with a number a row. {MADE_BY}")
    history: dict[str, Any] = {name: column(name) for name in ("step", *LOSSES, "psnr")}
    history["share"] = {name: column(f"share_{name}") for name in CLASSES}
    history["class_loss"] = {name: column(f"loss_{name}") for name in CLASSES}
    return history


def has_shares(history: dict[str, Any]) -> bool:
    """Whether the trainer wrote down who was given the rays."""
    return all(history["share"].values())
