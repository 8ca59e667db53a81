"""The figures of the ablations: read and checked, as CSV, as a table in Markdown."""

import csv
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ssp_nerf.bundle import load_bundle
from ssp_nerf.config import Checked, ModelConfig, TrainingConfig
from ssp_nerf.errors import InputError
from ssp_nerf.evaluation_report import LOWER_IS_BETTER, OURS
from ssp_nerf.files import require_file, whole_output
from ssp_nerf.model import parameter_count
from ssp_nerf.variants import FULL, Variant


@dataclass(frozen=True)
class Column:
    """A figure in the tables: its heading and its decimals."""

    title: str
    decimals: int


COLUMNS = {
    "psnr": Column("PSNR", 2),
    "ssim": Column("SSIM", 3),
    "psnr_head": Column("PSNR head", 2),
    "ssim_head": Column("SSIM head", 3),
    "lmd": Column("LMD", 2),
    "mouth_opening_correlation": Column("mouth r", 2),
}
COMPARED_WITH_PAPER = ("psnr", "ssim", "lmd")


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
        figures: those of `COLUMNS`, None where one is not defined.
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
            figures={name: found[OURS].get(name) for name in COLUMNS},
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
        writer.writerow(["variant", "steps", "seed", "parameters", *COLUMNS])
        for row in rows:
            schedule = (row.training.steps, row.training.seed)
            writer.writerow([row.variant.name, *schedule, row.parameters, *row.figures.values()])


def table(rows: Sequence[Row]) -> str:
    """The table in Markdown, best figures in bold, and below it the change beside the paper's."""
    full = next(row for row in rows if row.variant is FULL)
    width, height = full.size
    head = [f"{column.title} {_arrow(name)}" for name, column in COLUMNS.items()]
    best = {name: _best(name, [row.figures[name] for row in rows]) for name in COLUMNS}
    lines = [
        "# Ablations",
        "",
        *_markdown(
            ["", "paper's table", *head, "parameters"],
            [
                [
                    row.variant.title,
                    str(row.variant.table or "4, 5"),
                    *(_bold(name, row.figures[name], best[name]) for name in COLUMNS),
                    f"{row.parameters:,}",
                ]
                for row in rows
            ],
        ),
        "",
        f"{full.training.steps:,} steps each, seed {full.training.seed}, {full.frames} held-out "
        f"frames of {width}x{height}. PSNR in dB, LMD in pixels; mouth r: correlation of the "
        "mouth's opening with the truth's. One seed: a small difference may be chance.",
        "",
        "## Change against the full method, and the paper's",
        "",
    ]
    heads = [f"{COLUMNS[name].title} {_arrow(name)}" for name in COMPARED_WITH_PAPER]
    lines += _markdown(
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


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return [f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in (head, rule, *rows)]


def _arrow(name: str) -> str:
    return "↓" if name in LOWER_IS_BETTER else "↑"


def _best(name: str, values: Sequence[float | None]) -> str | None:
    """The best of the values as it is shown, so that what looks the same is bold alike."""
    defined = [value for value in values if value is not None]
    choose: Callable[..., float] = min if name in LOWER_IS_BETTER else max
    return _cell(name, choose(defined)) if defined else None


def _bold(name: str, value: float | None, best: str | None) -> str:
    cell = _cell(name, value)
    return f"**{cell}**" if cell == best else cell


def _cell(name: str, value: float | None) -> str:
    return "-" if value is None else f"{value:.{COLUMNS[name].decimals}f}"


def _change(name: str, value: float | None, full: float | None) -> str:
    if value is None or full is None:
        return "-"
    return f"{value - full:+.{COLUMNS[name].decimals}f}"
