"""Train the portrait: dataset.h5 in, model bundle, loss curves and a preview out.

Checkpoints go to a folder of their own, under a key of all that training depends on. Started again
after an interruption, with the same inputs, training continues from the last one and ends in the
same weights; with more `steps` it goes on where it had ended. SIGTERM and Ctrl-C save one and end.

On several GPUs: `torchrun --standalone --nproc-per-node 4 -m ssp_nerf.train ...`. Where training
ends early, torchrun adds a traceback of its own; what counts is the line above it.
"""

import csv
import dataclasses
import shutil
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ssp_nerf import cli, keys
from ssp_nerf.bundle import save_bundle
from ssp_nerf.config import ModelConfig, TrainingConfig, add_flags, from_flags
from ssp_nerf.curves import plot_training
from ssp_nerf.dataset import PortraitDataset
from ssp_nerf.device import DEVICES, pick_device, pick_precision
from ssp_nerf.errors import InputError, first_line
from ssp_nerf.exclusive import exclusive
from ssp_nerf.files import sha256, whole_output
from ssp_nerf.free_memory import free_memory
from ssp_nerf.memory import estimate_memory
from ssp_nerf.model import parameter_count
from ssp_nerf.parsing_map import CLASSES
from ssp_nerf.preview import save_preview
from ssp_nerf.progress import Progress
from ssp_nerf.ranks import Ranks, join_ranks, leave_ranks
from ssp_nerf.trainer import NonFiniteError, StepResult, Trainer

HISTORY_ROWS = 500
"""About how many rows the history has: each is a mean over steps / 500 steps."""

HISTORY_COLUMNS = (
    *("step", "loss", "photometric", "semantic", "psnr"),
    *(f"share_{name}" for name in CLASSES),
    *(f"loss_{name}" for name in CLASSES),
)
"""Means over the rays of a row's steps; each class's share of them, and its mean loss (eq. 5)."""
SCHEDULE_ONLY = ("steps", "checkpoint_seconds", "preview_steps")
"""Training settings that change how far or how often, not where to: they stay out of the key."""

MEMORY_SHARE = 0.9
"""Share of the free memory that is planned with; the rest is other programs' and fragments."""
GIB = 1 << 30  # bytes
STEPS_AT_ONCE = {"cuda": 16, "cpu": 1}
"""Before a GPU is waited for: it would stand still meanwhile."""


@dataclass
class History:
    """Training as rows of `HISTORY_COLUMNS`, and the steps since the last row."""

    rows: list[list[float]] = field(default_factory=list)
    running: list[list[float]] = field(default_factory=list)

    def add(self, result: StepResult) -> None:
        means = [result.loss, result.photometric, result.semantic, result.psnr]
        self.running.append([*means, *result.class_rays, *result.class_losses])

    def end_row(self, step: int) -> None:
        """Close a row at `step` with the means of the steps since the last.

        The mean loss of a class that no ray showed is nan.
        """
        if self.running:
            sums = torch.tensor(self.running).mean(0)
            rays, losses = sums[-2 * len(CLASSES) :].view(2, -1)
            means = torch.cat([sums[: -2 * len(CLASSES)], rays / rays.sum(), losses / rays])
            self.rows.append([step, *means.tolist()])
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
    ranks: Ranks,
) -> None:
    """Train to `training.steps` and write the bundle.

    Raises:
        InputError: bad dataset, damaged checkpoint, too little memory, or a loss that is no number.
    """
    dataset = PortraitDataset(dataset_path, device)
    trainer = Trainer(dataset, model, training, ranks)
    key = training_key(dataset_path, model, training)
    say(
        ranks,
        f"{parameter_count(trainer.model):,} parameters, {len(dataset.training_frames)} frames of "
        f"{dataset.width}x{dataset.height}, on {device} in "
        f"{pick_precision(device, training.precision)}"
        f"{f', {ranks.size} processes' if ranks.size > 1 else ''}, key {key}",
    )
    plan_memory(trainer)
    with alone(checkpoints, ranks):
        checkpoint = checkpoints / key / "checkpoint.pt"
        history = History()
        if checkpoint.exists():
            load_checkpoint(checkpoint, trainer, history)
            say(ranks, f"continues at step {trainer.step_number} from {checkpoint}")
        if trainer.step_number > training.steps:
            raise InputError(
                f"training.steps: {training.steps}, but {checkpoint} is already at step "
                f"{trainer.step_number}. Ask for as many at least, or delete {checkpoint.parent} "
                "to train anew."
            )
        with stopped_by_signals(trainer):
            step_until_done(trainer, history, checkpoint)
        if not ranks.first:
            return
        history.end_row(trainer.step_number)  # of the steps since the last row, if there are any
        with whole_output(history_path) as partial, open(partial, "w", newline="") as file:
            csv.writer(file).writerows([HISTORY_COLUMNS, *history.rows])
        plot_training(curves_path, history.rows)
        save_preview(preview_path, dataset, trainer.model, training)
        save_bundle(
            model_path, trainer.model, dataset, training,
            {"dataset_sha256": sha256(dataset_path), "training_key": key},
        )  # fmt: skip


def step_until_done(trainer: Trainer, history: History, checkpoint: Path) -> None:
    """Train to the last step, with checkpoints, previews and progress on the way.

    Raises:
        InputError: a loss or gradient that is no number, or every start has collapsed.
        SystemExit: the trainer was asked to stop; a checkpoint is saved.
    """
    config, ranks = trainer.config, trainer.ranks
    every = max(1, config.steps // HISTORY_ROWS)
    shown = Progress("train", config.steps, "step", done=trainer.step_number, quiet=not ranks.first)
    most = STEPS_AT_ONCE[trainer.device.type]
    last_checkpoint = time.monotonic()
    started, steps = time.monotonic(), 0
    while trainer.step_number < config.steps:
        begun = trainer.step_number
        marks = (config.steps, *(begun - begun % n + n for n in (every, config.preview_steps)))
        try:
            results = trainer.steps(min(most, min(marks) - begun))
        except NonFiniteError as error:
            raise failed(error, trainer, checkpoint.parent) from error
        result = results[-1]
        if result.collapsed:
            say(
                ranks,
                "the field was empty: this start had collapsed. Training begins again with other "
                f"initial weights (draw {trainer.start_number + 1}).",
            )
            history.rows, history.running = [], []
            shown.start_again()
            continue
        step, steps = trainer.step_number, steps + len(results)
        for each in results:
            history.add(each)
        if step % every == 0:
            history.end_row(step)
        if ranks.first:
            due = time.monotonic() - last_checkpoint >= config.checkpoint_seconds
            if due or result.stop or step == config.steps:
                save_checkpoint(checkpoint, trainer, history)
                last_checkpoint = time.monotonic()
            if step % config.preview_steps == 0:
                preview = checkpoint.parent / f"preview_{step:07}.png"
                save_preview(preview, trainer.dataset, trainer.model, config)
        if not trainer.stop_requested:  # else who reads the log may be gone, too
            rate = steps * config.rays / (time.monotonic() - started)
            note = f"| {rate:,.0f} rays/s, loss {result.loss:.4f}, {result.psnr:.1f} dB"
            shown.advance(len(results), note=note)
        if result.stop and step < config.steps:
            say(ranks, f"stopped at step {step}, saved in {checkpoint}; started again, it goes on.")
            sys.exit(cli.EXIT_TERMINATED)
    shown.close()


def failed(error: NonFiniteError, trainer: Trainer, folder: Path) -> InputError:
    """Save the step that failed, each rank its own rays; what to say of it."""
    rank = f"_{trainer.ranks.rank}" if trainer.ranks.size > 1 else ""
    path = folder / f"failed_step{rank}.pt"
    with whole_output(path) as partial:
        torch.save({**error.state, "batch": error.batch}, partial)
    return InputError(
        f"training: the loss or its gradient is no number (NaN or infinite) at step "
        f"{trainer.step_number + 1}. Nothing was updated by it; {path} has its frames, pixels and "
        "colours under `batch`, and the state of the trainer before it, which repeats the step. "
        "The next run continues from the last checkpoint beside it, if there is one; lower "
        "training.learning_rate or set training.precision: fp32."
    )


def plan_memory(trainer: Trainer) -> None:
    """Say what training will need, and take the frames to the device if they fit beside it.

    Raises:
        InputError: more rays than the device has memory for.
    """
    dataset, config, ranks = trainer.dataset, trainer.config, trainer.ranks
    estimate = estimate_memory(trainer)
    rays = config.rays // ranks.size
    sharing = ranks.size if dataset.device.type == "cpu" else 1  # a GPU is a rank's own
    need = estimate.of(rays)
    free = ranks.least(MEMORY_SHARE * free_memory(dataset.device) / sharing)
    if need > free:
        most = max(0, int((free - estimate.fixed) / estimate.per_ray)) * ranks.size
        raise InputError(
            f"training.rays: {config.rays} rays need about {need / GIB:.1f} GiB on "
            f"{dataset.device}, which has {free / GIB:.1f} GiB to spare. About {most} would fit: "
            "lower training.rays, or share them between more GPUs (gpus)."
        )
    held = need + dataset.frame_bytes <= free
    say(
        ranks,
        f"about {need / GIB:.2f} GiB for {rays} rays; "
        f"{dataset.frame_bytes / GIB:.2f} GiB of frames "
        f"{'held on the device' if held else 'read from disk as they are needed'}, "
        f"{free / GIB:.1f} GiB to spare",
    )
    if held:
        dataset.hold(quiet=not ranks.first)


@contextmanager
def alone(checkpoints: Path, ranks: Ranks) -> Iterator[None]:
    """Keep other runs out of the checkpoints, and out of the outputs, until all is written.

    A scheduler may begin a job anew while its old run still saves: it would start from an older
    checkpoint.
    """
    with exclusive(checkpoints, lambda what: say(ranks, what)) if ranks.first else nullcontext():
        ranks.least(0)  # the others wait for the first
        yield


@contextmanager
def stopped_by_signals(trainer: Trainer) -> Iterator[None]:
    """SIGTERM and Ctrl-C end training after the steps that are running instead of in one."""

    def request_stop(*_: object) -> None:
        trainer.stop_requested = True

    before = {s: signal.signal(s, request_stop) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say(ranks: Ranks, what: str) -> None:
    """One line from the first rank."""
    if ranks.first:
        print(f"train: {what}", flush=True)


def training_key(dataset: Path, model: ModelConfig, training: TrainingConfig) -> str:
    """Key of all that a training run's weights depend on, save for how many steps it takes."""
    schedule = {
        name: value
        for name, value in dataclasses.asdict(training).items()
        if name not in SCHEDULE_ONLY
    }
    return keys.value_key(
        {
            "dataset": sha256(dataset),
            "model": dataclasses.asdict(model),
            "training": schedule,
            "code": keys.source_key("ssp_nerf.trainer"),
        }
    )


def save_checkpoint(path: Path, trainer: Trainer, history: History) -> None:
    """Write the trainer's state and the loss history; the old file stays until the new is whole.

    Raises:
        InputError: the disk is full.
    """
    state = {**trainer.state(), "history": dataclasses.asdict(history)}
    with whole_output(path) as partial:
        try:
            torch.save(state, partial)
        except RuntimeError as error:  # PyTorch's word for a write that failed
            free = shutil.disk_usage(path.parent).free
            raise InputError(
                f"{path}: No space left for the checkpoint ({free / 1e6:.1f} MB are free; "
                f"{first_line(error)}). Make room and run it again: it continues from the last "
                "checkpoint, if there is one."
            ) from error


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
        ranks, device = join_ranks(pick_device(options.device))
        try:
            train(
                options.dataset,
                options.bundle,
                options.history,
                options.curves,
                options.preview,
                options.checkpoints,
                from_flags(options, ModelConfig),
                from_flags(options, TrainingConfig),
                device,
                ranks,
            )
        finally:
            leave_ranks()

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
