"""Train the portrait: dataset.h5 in, model bundle, loss curves and a preview out.

Checkpoints go to a folder of their own, under a key of all that training depends on. Started again
after an interruption, with the same inputs, training continues from the last one and ends in the
same weights; with more `steps` it goes on where it had ended.
"""

import csv
import dataclasses
import time
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ssp_nerf import cli, provenance
from ssp_nerf.bundle import save_bundle
from ssp_nerf.config import ModelConfig, TrainingConfig, add_flags, from_flags
from ssp_nerf.curves import plot_training
from ssp_nerf.dataset import PortraitDataset
from ssp_nerf.device import DEVICES, pick_device
from ssp_nerf.errors import InputError
from ssp_nerf.files import sha256, whole_output
from ssp_nerf.model import parameter_count
from ssp_nerf.preview import save_preview
from ssp_nerf.progress import Progress
from ssp_nerf.trainer import StepResult, Trainer

HISTORY_ROWS = 500
"""About how many rows the history has: each is a mean over steps / 500 steps."""

HISTORY_COLUMNS = ("step", "loss", "photometric", "semantic", "psnr")
SCHEDULE_ONLY = ("steps", "checkpoint_seconds", "preview_steps")
"""Training settings that change how far or how often, not where to: they stay out of the key."""


@dataclass
class History:
    """Losses over training: rows of step and means, and the steps since the last row."""

    rows: list[list[float]] = field(default_factory=list)
    running: list[list[float]] = field(default_factory=list)

    def add(self, result: StepResult) -> None:
        self.running.append([result.loss, result.photometric, result.semantic, result.psnr])

    def end_row(self, step: int) -> None:
        """Close a row at `step` with the means of the steps since the last."""
        if self.running:
            self.rows.append([step, *torch.tensor(self.running).mean(0).tolist()])
            self.running = []


def train(
    dataset_path: Path,
    model_path: Path,
    history_path: Path,
    curves_path: Path,
    preview_path: Path,
    checkpoints: Path,
    model: ModelConfig,
    training: TrainingConfig,
    device: torch.device,
) -> None:
    """Train to `training.steps` and write the bundle.

    Raises:
        InputError: bad dataset, damaged checkpoint, or a loss that is no number.
    """
    dataset = PortraitDataset(dataset_path, device)
    trainer = Trainer(dataset, model, training)
    key = training_key(dataset_path, model, training)
    checkpoint = checkpoints / key / "checkpoint.pt"
    history = History()
    if checkpoint.exists():
        load_checkpoint(checkpoint, trainer, history)
        print(f"train: continues at step {trainer.step_number} from {checkpoint}")
    if trainer.step_number > training.steps:
        raise InputError(
            f"training.steps: {training.steps}, but {checkpoint} is already at step "
            f"{trainer.step_number}. Ask for as many at least, or delete {checkpoint.parent} to "
            "train anew."
        )
    print(
        f"train: {parameter_count(trainer.model):,} parameters, {len(dataset.training_frames)} "
        f"frames of {dataset.width}x{dataset.height}, on {device}, key {key}"
    )

    every = max(1, training.steps // HISTORY_ROWS)
    shown = Progress("train", training.steps, "step", done=trainer.step_number)
    last_checkpoint = time.monotonic()
    started, first = time.monotonic(), trainer.step_number
    while trainer.step_number < training.steps:
        result = trainer.step()
        step = trainer.step_number
        if not result.loss < float("inf"):
            raise InputError(
                f"training: the loss became {result.loss} at step {step}. The next run continues "
                f"from the last checkpoint in {checkpoint.parent}, if there is one; lower "
                "training.learning_rate or set training.precision to fp32."
            )
        history.add(result)
        if step % every == 0:
            history.end_row(step)
        if time.monotonic() - last_checkpoint >= training.checkpoint_seconds:
            save_checkpoint(checkpoint, trainer, history)
            last_checkpoint = time.monotonic()
        if step % training.preview_steps == 0:
            save_preview(checkpoint.parent / f"preview_{step:07}.png", dataset, trainer.model)
        rate = (step - first) * training.rays / (time.monotonic() - started)
        shown.advance(note=f"| {rate:,.0f} rays/s, loss {result.loss:.4f}, {result.psnr:.1f} dB")
    shown.close()
    save_checkpoint(checkpoint, trainer, history)

    history.end_row(trainer.step_number)  # of the steps since the last row, if there are any
    with whole_output(history_path) as partial, open(partial, "w", newline="") as file:
        csv.writer(file).writerows([HISTORY_COLUMNS, *history.rows])
    plot_training(curves_path, history.rows)
    save_preview(preview_path, dataset, trainer.model)
    save_bundle(
        model_path, trainer.model, dataset, training,
        {"dataset_sha256": sha256(dataset_path), "training_key": key},
    )  # fmt: skip


def training_key(dataset: Path, model: ModelConfig, training: TrainingConfig) -> str:
    """Key of all that a training run's weights depend on, save for how many steps it takes."""
    schedule = {
        name: value
        for name, value in dataclasses.asdict(training).items()
        if name not in SCHEDULE_ONLY
    }
    return provenance.value_key(
        {
            "dataset": sha256(dataset),
            "model": dataclasses.asdict(model),
            "training": schedule,
            "code": provenance.source_key("ssp_nerf.trainer"),
        }
    )


def save_checkpoint(path: Path, trainer: Trainer, history: History) -> None:
    """Write the trainer's state and the loss history; the old file stays until the new is whole."""
    with whole_output(path) as partial:
        torch.save({**trainer.state(), "history": dataclasses.asdict(history)}, partial)


def load_checkpoint(path: Path, trainer: Trainer, history: History) -> None:
    """Restore the trainer and the loss history.

    Raises:
        InputError: not a checkpoint of this model.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        trainer.restore(state)
        history.rows, history.running = state["history"]["rows"], state["history"]["running"]
    except Exception as error:  # torch raises many kinds for damaged files
        raise InputError(
            f"{path}: cannot continue from this checkpoint ({type(error).__name__}: {error}). "
            "Delete it to start over."
        ) from error


def main(arguments: list[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.train", __doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.h5 of pack_dataset")
    parser.add_argument("--bundle", type=Path, required=True, help="folder for the trained model")
    parser.add_argument("--history", type=Path, required=True, help="CSV of the losses")
    parser.add_argument("--curves", type=Path, required=True, help="PNG of the loss curves")
    parser.add_argument("--preview", type=Path, required=True, help="PNG of a held-out frame")
    parser.add_argument(
        "--checkpoints", type=Path, required=True, help="folder in which runs are continued"
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute")
    add_flags(parser, ModelConfig)
    add_flags(parser, TrainingConfig)

    def command(options: Namespace) -> None:
        train(
            options.dataset,
            options.bundle,
            options.history,
            options.curves,
            options.preview,
            options.checkpoints,
            from_flags(options, ModelConfig),
            from_flags(options, TrainingConfig),
            pick_device(options.device),
        )

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
