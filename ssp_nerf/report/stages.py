"""What the stages took, and what they were told: benchmark tables and attributes of the files."""

import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py

from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file
from ssp_nerf.report.figures import as_number

ASIDE = ("kind", "config", "software")
"""Attributes that are shown under names of their own."""


def read_benchmarks(folder: Path) -> list[dict[str, Any]]:
    """Time and memory of each stage, from Snakemake's tables in a folder and the folders in it.

    Jobs of a stage that was scattered add up in time; of their memory the largest counts.

    Returns:
        name, jobs, seconds, cpu_seconds and peak_mib of each, in the order in which they ended;
        figures that no table has are None.
    """
    jobs: dict[str, list[dict[str, str]]] = defaultdict(list)
    tables = sorted(folder.rglob("*.tsv"), key=lambda path: (path.stat().st_mtime_ns, str(path)))
    for path in tables:
        name = "/".join(path.relative_to(folder).with_suffix("").parts[:2])
        with open(path, newline="", encoding="utf-8") as file:
            jobs[name] += list(csv.DictReader(file, delimiter="\t"))
    return [
        {
            "name": name,
            "jobs": len(rows),
            "seconds": _total(rows, "s"),
            "cpu_seconds": _total(rows, "cpu_time"),
            "peak_mib": max(_numbers(rows, "max_rss"), default=None),
        }
        for name, rows in jobs.items()
        if rows
    ]


def _total(rows: list[dict[str, str]], column: str) -> float | None:
    numbers = _numbers(rows, column)
    return round(sum(numbers), 2) if numbers else None


def _numbers(rows: list[dict[str, str]], column: str) -> list[float]:
    numbers = [as_number(row.get(column)) for row in rows]
    return [number for number in numbers if number is not None]


def read_settings(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """What files of the road say of themselves: kind, config, software and their other attributes.

    Raises:
        InputError: no HDF5 file.
    """
    files = []
    for path in paths:
        require_file(path, "a file of the road")
        try:
            with h5py.File(path, "r") as file:
                attributes = dict(file.attrs)
        except OSError as error:
            raise InputError(
                f"{path}: expected HDF5, but it cannot be opened ({error})."
            ) from error
        files.append(
            {
                "name": str(attributes.get("kind", path.stem)),
                "config": _json(attributes.get("config")),
                "software": _json(attributes.get("software")),
                "attributes": {k: v for k, v in attributes.items() if k not in ASIDE},
            }
        )
    return files


def read_bundle(folder: Path) -> dict[str, Any]:
    """bundle.json of a trained model.

    Raises:
        InputError: no JSON object.
    """
    path = require_file(folder / "bundle.json", "the description of a trained model")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, but {error}. The rule train makes it.") from error
    if not isinstance(about, dict):
        raise InputError(f"{path}: expected an object. The rule train makes it.")
    return about


def _json(text: object) -> object:
    try:
        return json.loads(str(text)) if text is not None else {}
    except ValueError:
        return str(text)
