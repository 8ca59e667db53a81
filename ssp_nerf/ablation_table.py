"""The figures of the ablations: read and checked, as CSV, as a table in Markdown."""

import csv
import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ssp_nerf import table_writer
from ssp_nerf.bundle import load_bundle
from ssp_nerf.config import Checked, ModelConfig, TrainingConfig
from ssp_nerf.errors import InputError
from ssp_nerf.evaluation_report import OURS
from ssp_nerf.figure_columns import COLUMNS
from ssp_nerf.files import require_file, whole_output
from ssp_nerf.model import parameter_count
from ssp_nerf.table_writer import ARROWS, Table, markdown, markdown_lines
from ssp_nerf.variants import FULL, Variant

SYNC = "sync_confidence"
FIGURES = ("psnr", "ssim", "psnr_head", "ssim_head", "lmd", "mouth_opening_correlation", SYNC)
COMPARED_WITH_PAPER = ("psnr", "ssim", "lmd", SYNC)


@dataclass(frozen=True)
class Row:
    """A variant as it was trained and what its evaluation found.

    Attributes:
        bundle: folder of its model.
        model, training: what it was trained with.
        dataset: SHA-256 of what it was trained on.
        parameters: trained numbers.
        frames: how many held-out frames were scored.
        size: their width and height, pixels.
        figures: those of `FIGURES`, None where one is not defined.
    """

    variant: Variant
    bundle: Path
    model: ModelConfig
    training: TrainingConfig
    dataset: str
    parameters: int
    frames: int
    size: tuple[int, int]
    figures: Mapping[str, float | None]


def read_row(variant: Variant, bundle: Path, metrics: Path) -> Row:
    """A variant's model folder and metrics.json.

    Raises:
        InputError: a file is missing, damaged or not what it should be.
    """
    network = load_bundle(bundle, torch.device("cpu")).model
    about = _read(bundle / "bundle.json", "train")
    found = _read(metrics, "evaluate")
    try:
        return Row(
            variant=variant,
            bundle=bundle,
            model=network.config,
            training=TrainingConfig(**about["training"]),
            dataset=about["dataset_sha256"],
            parameters=parameter_count(network),
            frames=found["frames"],
            size=(found["resolution"]["width"], found["resolution"]["height"]),
            figures={name: found[OURS].get(name) for name in FIGURES},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{bundle / 'bundle.json'} or {metrics}: expected what the rules train and evaluate "
            f"write, but {error!r}. Delete both and run the workflow again."
        ) from error


def _read(path: Path, rule: str) -> dict[str, Any]:
    remedy = f"The rule {rule} makes it."
    require_file(path, "JSON of a variant", remedy)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}). Delete it. {remedy}") from error


def require_comparable(rows: Sequence[Row]) -> None:
    """Check that nothing but its own switch tells a variant from the full method.

    Raises:
        InputError: names what differs.
    """
    (full,) = (row for row in rows if row.variant is FULL)
    steps = full.training.steps
    for row in rows:
        differences = [
            *_differences(row.model, row.variant.configured(full.model, steps)),
            *_differences(row.training, row.variant.configured(full.training, steps)),
        ]
        for name in ("dataset", "frames", "size"):
            found, expected = getattr(row, name), getattr(full, name)
            if found != expected:
                differences.append(f"{name} is {found}, expected {expected}")
        if differences:
            raise InputError(
                f"{row.bundle}: not comparable with {full.bundle}: {'; '.join(differences)}. "
                "Train and evaluate all variants on one dataset with one config."
            )


def _differences(found: Checked, expected: Checked) -> list[str]:
    return [
        f"{found.section}.{field.name} is {getattr(found, field.name)!r}, expected "
        f"{getattr(expected, field.name)!r}"
        for field in dataclasses.fields(found)
        if getattr(found, field.name) != getattr(expected, field.name)
    ]


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """One line a variant; an empty cell is a figure that is not defined."""
    with whole_output(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["variant", "steps", "seed", "parameters", *FIGURES])
        for row in rows:
            schedule = (row.training.steps, row.training.seed)
            writer.writerow([row.variant.name, *schedule, row.parameters, *row.figures.values()])


def figures_table(rows: Sequence[Row]) -> Table:
    """The figures of the variants."""
    full = next(row for row in rows if row.variant is FULL)
    width, height = full.size
    return Table(
        f"Ablations (the paper's tables 4 and 5): {full.training.steps:,} steps each, "
        f"{full.frames} held-out frames of {width}x{height}",
        FIGURES,
        [
            table_writer.Row(
                row.variant.title,
                row.figures,
                more=(str(row.variant.table or "4, 5"), f"{row.parameters:,}"),
            )
            for row in rows
        ],
        more=("paper's table", "parameters"),
    )


def table(rows: Sequence[Row]) -> str:
    """The table in Markdown, best figures in bold, and below it the change beside the paper's."""
    full = next(row for row in rows if row.variant is FULL)
    width, height = full.size
    lines = [
        "# Ablations",
        "",
        *markdown(figures_table(rows)),
        "",
        f"{full.training.steps:,} steps each, seed {full.training.seed}, {full.frames} held-out "
        f"frames of {width}x{height}. Mouth r: correlation of the mouth's opening with the "
        "truth's; Sync: SyncNet's confidence, where its weights are given. One seed: a small "
        "difference may be chance.",
        "",
        "## Change against the full method, and the paper's",
        "",
    ]
    heads = [
        f"{COLUMNS[name].title} {ARROWS[COLUMNS[name].better]}" for name in COMPARED_WITH_PAPER
    ]
    lines += markdown_lines(
        ["", *(f"{head}, {whose}" for head in heads for whose in ("here", "paper"))],
        [
            [
                row.variant.title,
                *(
                    _change(name, figures[name], whole[name])
                    for name in COMPARED_WITH_PAPER
                    for figures, whole in (
                        (row.figures, full.figures),
                        (row.variant.paper, FULL.paper),
                    )
                ),
            ]
            for row in rows
            if row.variant is not FULL
        ],
    )
    lines += [
        "",
        "The paper's are those of its tables 4 and 5: another clip, 450x450, 400,000 steps, LMD "
        "in a unit of its own. Signs and order can be compared, sizes cannot.",
    ]
    return "\n".join(lines) + "\n"


def _change(name: str, value: float | None, full: float | None) -> str:
    if value is None or full is None:
        return "-"
    return f"{value - full:+.{COLUMNS[name].decimals}f}"
