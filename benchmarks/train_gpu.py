"""How good a portrait is after some seconds of training: held-out frames against the truth.

    python -m benchmarks.train_gpu results/me/dataset.h5 --seconds 300 --output quality \\
        --rays 2048 --frames-per-step 4 --learning-rate 0.002 --learning-rate-decay 0.05 \\
        --warmup-steps 200

The clock runs while training does, and stands while frames are drawn. On the way a few held-out
frames are scored, at the end all of them: `scores.csv` (a row for each look), `frames.csv` (a row
for each held-out frame), `curve.png`, the bundle, and the rendered parts for `ssp_nerf.evaluate`,
which adds the landmark distance; `benchmarks.quality_curves` draws several runs' curves into one
picture. Called again with more `--seconds`, it goes on where it ended.

The learning rate decays over `--seconds`, or over `--decay-seconds` if that is given: with more
seconds it rises to where it would be on the longer schedule. `--steps` ends by steps instead of the
clock, and leaves `--decay-steps` as it is. Other flags are those of `ssp_nerf.train`.
"""

import csv
import dataclasses
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path

import numpy as np
import torch

from benchmarks.quality_curves import plot
from ssp_nerf.bundle import save_bundle
from ssp_nerf.config import ModelConfig, TrainingConfig, add_flags, from_flags
from ssp_nerf.cuda_graph import WARM_UP
from ssp_nerf.dataset import PortraitDataset
from ssp_nerf.device import pick_device, pick_precision
from ssp_nerf.files import whole_output
from ssp_nerf.frame_renderer import ExactRenderer, FrameImage
from ssp_nerf.metrics.image_scores import ImageScores, image_scores
from ssp_nerf.model import parameter_count
from ssp_nerf.parsing_map import head_mask
from ssp_nerf.schema import RENDER
from ssp_nerf.train import STEPS_AT_ONCE
from ssp_nerf.trainer import Trainer

SECONDS_TO_KNOW_THE_SPEED = 10.0
LOOKED_AT = 5  # held-out frames that are scored on the way
PARTS = 4


def train(trainer: Trainer, options: Namespace, clock: float, rows: list[dict]) -> float:
    """Train until the clock or the steps are over; returns the clock."""
    marks = [mark for mark in options.look_at if mark > clock]
    planned = options.decay_seconds or options.seconds
    begin, first, first_clock = time.monotonic() - clock, trainer.step_number, clock
    speed_known = clock > 0 or options.steps is not None
    shown = time.monotonic()
    while clock < options.seconds and trainer.step_number < (options.steps or float("inf")):
        left = (options.steps or float("inf")) - trainer.step_number
        result = trainer.steps(int(min(STEPS_AT_ONCE[trainer.device.type], left)))[-1]
        clock = time.monotonic() - begin
        if result.collapsed:
            raise SystemExit("error: this start collapsed; take another --seed")
        if not speed_known and clock > SECONDS_TO_KNOW_THE_SPEED:
            steps = round(trainer.step_number * planned / clock)
            trainer.config = dataclasses.replace(trainer.config, decay_steps=steps)
            speed_known = True
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            rate = (trainer.step_number - first) * trainer.config.rays / (clock - first_clock)
            print(
                f"{clock:6.1f} s, step {trainer.step_number}, {rate:,.0f} rays/s, "
                f"loss {result.loss:.4f}, rays {result.psnr:.2f} dB",
                flush=True,
            )
        if marks and clock >= marks[0]:
            rows.append(look(trainer, clock))
            begin = time.monotonic() - clock
            marks.pop(0)
    return clock


def look(trainer: Trainer, clock: float) -> dict:
    """Mean scores of a few held-out frames now."""
    held_out = torch.nonzero(trainer.dataset.held_out).squeeze(1)
    few = held_out[torch.linspace(0, len(held_out) - 1, LOOKED_AT).long()]
    renderer = renderer_of(trainer)
    scores = [score(trainer, frame, renderer.draw(frame, frame)) for frame in few.tolist()]
    mean = ImageScores(*np.mean(scores, axis=0).tolist())
    row = {"seconds": round(clock, 1), "step": trainer.step_number, **mean._asdict()}
    print("  ".join(f"{name} {value:.2f}" for name, value in row.items()), flush=True)
    return row


def renderer_of(trainer: Trainer) -> ExactRenderer:
    """Draws frames of the clip with the weights of now."""
    data = trainer.dataset
    config = trainer.config
    return ExactRenderer(
        trainer.model, data, data.audio, arithmetic=config.precision, kernels=config.kernels
    )


def score(trainer: Trainer, frame: int, drawn: FrameImage) -> ImageScores:
    """A drawn frame against the truth."""
    data = trainer.dataset
    truth, parsing = (part[0].cpu().numpy() for part in data.images(torch.tensor([frame])))
    size = data.height, data.width
    return image_scores(drawn.picture(), truth.reshape(*size, 3), head_mask(parsing.reshape(size)))


def draw_held_out(trainer: Trainer, options: Namespace) -> list[dict]:
    """Draw the held-out frames into parts of a rendering; scores of each."""
    data, renderer = trainer.dataset, renderer_of(trainer)
    rows: list[dict] = []
    frames = torch.nonzero(data.held_out).squeeze(1)[:: options.every].cpu()
    for number, part in enumerate(frames.tensor_split(PARTS), start=1):
        sizes = {"N": len(part), "H": data.height, "W": data.width}
        path = options.output / f"{number}-of-{PARTS}.h5"
        attributes = {"take": "heldout", "model": "", "mode": "exact", "psnr_to_exact": []}
        with RENDER.create(path, sizes, attributes, {"take": "heldout"}) as file:
            for i, frame in enumerate(part.tolist()):
                drawn = renderer.draw(frame, frame)
                file["frames"][i] = drawn.picture()
                file["parsing"][i] = drawn.parsing.cpu().numpy()
                file["displacement"][i] = drawn.displacement_steps().cpu().numpy()
                file["index"][i] = file["speech"][i] = frame
                rows.append({"frame": frame, **score(trainer, frame, drawn)._asdict()})
    return rows


def write_rows(path: Path, rows: list[dict]) -> None:
    with whole_output(path) as partial, open(partial, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="dataset.h5")
    parser.add_argument("--output", type=Path, required=True, help="folder for all results")
    parser.add_argument("--seconds", type=float, default=300.0, help="of training, all in all")
    parser.add_argument("--decay-seconds", type=float, help="in which the learning rate decays")
    parser.add_argument(
        "--look-at", type=float, nargs="*", default=[], help="seconds at which a few are scored"
    )
    parser.add_argument("--every", type=int, default=1, help="render every n-th held-out frame")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    add_flags(parser, ModelConfig)
    add_flags(parser, TrainingConfig)
    parser.set_defaults(steps=None)
    options = parser.parse_args()
    model = from_flags(options, ModelConfig)
    flags = Namespace(**{**vars(options), "steps": options.steps or TrainingConfig.steps})
    training = from_flags(flags, TrainingConfig)

    device = pick_device(options.device)
    dataset = PortraitDataset(options.dataset, device)
    dataset.hold()
    trainer = Trainer(dataset, model, training)
    print(
        f"{torch.cuda.get_device_name() if device.type == 'cuda' else device}, "
        f"{pick_precision(device, training.precision)}, {training.rays} rays on "
        f"{training.frames_per_step} frames a step, {parameter_count(trainer.model):,} parameters",
        flush=True,
    )
    checkpoint, clock, rows = options.output / "checkpoint.pt", 0.0, []
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        clock, rows = saved["clock"], saved["rows"]
        trainer.restore(saved["trainer"])
        if options.steps is None:
            decay = options.decay_seconds or options.seconds
            steps = round(trainer.step_number * decay / clock)
            trainer.config = dataclasses.replace(trainer.config, decay_steps=steps)
        print(f"continues at {clock:.1f} s, step {trainer.step_number}")
    else:
        for _ in range(WARM_UP + 1):  # set up the libraries, and are thrown away
            trainer.step()
        trainer = Trainer(dataset, model, training)
    clock = train(trainer, options, clock, rows)
    rows.append(look(trainer, clock))
    with whole_output(checkpoint) as partial:
        torch.save({"trainer": trainer.state(), "clock": clock, "rows": rows}, partial)
    write_rows(options.output / "scores.csv", rows)
    plot(options.output / "curve.png", {options.output.name: rows})

    save_bundle(
        options.output / "model", trainer.model, dataset, trainer.config, {"seconds": clock}
    )
    started = time.monotonic()
    frames = draw_held_out(trainer, options)
    print(f"{len(frames)} frames drawn and scored in {time.monotonic() - started:.1f} s")
    write_rows(options.output / "frames.csv", frames)
    means = {name: np.mean([f[name] for f in frames]) for name in ImageScores._fields}
    print(
        f"after {clock:.1f} s, {trainer.step_number} steps, {len(frames)} held-out frames: "
        + ", ".join(f"{name} {value:.3f}" for name, value in means.items()),
        flush=True,
    )


if __name__ == "__main__":
    main()
