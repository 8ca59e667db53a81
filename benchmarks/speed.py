"""How fast training and rendering are on this machine, on a synthetic clip of the paper's size.

    python -m benchmarks.speed --rays 1024 4096 16384 --way plain compiled kernels
    python -m benchmarks.speed --dataset results/me/dataset.h5 --train 2000
    python -m benchmarks.speed --device cpu --demo --rays 512 --way plain --precision fp32

Prints a row for each combination: milliseconds a step, rays a second, how often the first row's
speed of as many rays that is, the share of the device's products that the networks' arithmetic
makes of it, the samples that go back, the peak memory of a GPU and what was estimated before; then,
for each way and precision, the seconds that a frame takes to draw and how near it is to the same
frame in fp32.

The kernels' speed depends on how many samples have a gradient worth going back for, which falls
while training runs: `--train` trains that many steps before they are timed.
"""

import argparse
import gc
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch
import yaml

from ssp_nerf.config import ModelConfig, TrainingConfig, section_from_mapping
from ssp_nerf.dataset import PortraitDataset
from ssp_nerf.device import pick_device
from ssp_nerf.frame_renderer import ExactRenderer
from ssp_nerf.memory import estimate_memory
from ssp_nerf.model import SSPNeRF, parameter_count
from ssp_nerf.parsing_map import CLASSES
from ssp_nerf.schema import DATASET
from ssp_nerf.train import STEPS_AT_ONCE
from ssp_nerf.trainer import Trainer

FRAMES, CHANNELS, VERTICES = 16, 32, 1790
WARM_UP = 5  # steps
GIB = 1 << 30  # bytes
CEILING = 790e12  # operations a second: a product of 8,192 x 8,192 bf16 matrices on an H100
KERNELS = {"plain": "plain", "compiled": "plain", "kernels": "auto"}
"""Ways to compute, and what training.kernels says for them."""


def write_clip(path: Path, size: int) -> None:
    """A dataset of noise with the shapes and the geometry of a real one."""
    rng = np.random.default_rng(0)
    sizes = {"N": FRAMES, "H": size, "W": size, "C": CHANNELS, "V": VERTICES, "F": 1}
    attributes = {"focal": 2.4 * size, "near": 4.5, "far": 9.3, "audio_extractor": "noise"}
    x, y = rng.uniform(-0.7, 0.7, (2, VERTICES))
    c2w = np.tile(np.eye(4, dtype=np.float32)[:3], (FRAMES, 1, 1))
    c2w[:, :, 3] = (0, 0, 6) + rng.normal(0, 0.1, (FRAMES, 3))
    stripes = np.arange(size) * len(CLASSES) // size
    with DATASET.create(path, sizes, attributes, {}) as file:
        for i in range(FRAMES):
            file["frames"][i] = rng.integers(0, 256, (size, size, 3), np.uint8)
            file["parsing"][i] = np.broadcast_to(stripes[:, None], (size, size))
        file["c2w"][...] = c2w
        file["time"][...] = np.linspace(0, 1, FRAMES)
        file["audio"][...] = rng.normal(size=(FRAMES, 16, CHANNELS))
        file["held_out"][-1] = True
        file["vertices"][...] = np.stack([x, y, 0.4 - 0.5 * x**2], axis=1)


def seconds_per_step(trainer: Trainer, steps: int) -> float:
    """Mean over `steps`, after some to warm up."""
    run_steps(trainer, WARM_UP)
    started = time.perf_counter()
    run_steps(trainer, steps)
    return (time.perf_counter() - started) / steps


def run_steps(trainer: Trainer, steps: int) -> None:
    """As `ssp_nerf.train` runs them; they are done when it returns."""
    last = trainer.step_number + steps
    while trainer.step_number < last:
        trainer.steps(min(STEPS_AT_ONCE[trainer.device.type], last - trainer.step_number))


def seconds_per_frame(trainer: Trainer, precision: str, way: str) -> tuple[float, torch.Tensor]:
    """The first frame, the second time it is drawn: seconds, and colours (H, W, 3)."""
    data, elapsed = trainer.dataset, 0.0
    renderer = ExactRenderer(
        trainer.model, data, data.audio, arithmetic=precision, kernels=KERNELS[way]
    )
    for _ in range(2):
        started = time.perf_counter()
        colour = renderer.draw(0, 0).colour.cpu()
        elapsed = time.perf_counter() - started
    return elapsed, colour


def operations_per_ray(model: SSPNeRF) -> float:
    """Floating point operations of the networks' products for a ray, there and back.

    Two for each weight and sample, and twice as many back, for the gradients of the weights and of
    what they multiply. What is the same for a frame's samples is left out.
    """
    c = model.config
    samples = {model.coarse: c.coarse_samples, model.fine: c.coarse_samples + c.fine_samples}
    total = 0
    for level, count in samples.items():
        weights = [w for name, w in level.named_parameters() if not name.endswith("bias")]
        shared = [field.mlp.condition for field in (level.field, level.deformation) if field]
        total += count * (sum(w.numel() for w in weights) - sum(w.numel() for w in shared))
    return 6 * total


def start(
    dataset: PortraitDataset, model: ModelConfig, training: TrainingConfig, way: str
) -> Trainer:
    """A trainer whose pixels are chosen by eq. 5 from the first step on."""
    trainer = Trainer(dataset, model, training)
    if way == "compiled":
        trainer.model.forward = torch.compile(trainer.model.forward)  # type: ignore[method-assign]
    trainer.sampler.record(*torch.rand(2, len(CLASSES), device=dataset.device).double())
    trainer.sampler.end_epoch()
    return trainer


def share_that_goes_back(trainer: Trainer) -> float:
    """Of all samples of a step's rays; the step is computed and thrown away."""
    from ssp_nerf.kernels import roulette_triton

    select, counts, all_samples = roulette_triton.select, [], 0

    def noting(*arguments, **named) -> roulette_triton.Selection:
        nonlocal all_samples
        selection = select(*arguments, **named)
        counts.append(selection.counts.sum())
        all_samples += selection.ray.numel()
        return selection

    roulette_triton.select = noting
    try:
        trainer._compute_gradients()
    finally:
        roulette_triton.select = select
    return float(sum(counts)) / all_samples if counts else 1.0  # in fp32 all do


def measure(trainer: Trainer, way: str, options: argparse.Namespace) -> dict[str, float]:
    """Seconds a step, bytes at the peak and as estimated, share of samples that go back."""
    gpu = trainer.device.type == "cuda"
    gc.collect()
    if gpu:
        torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated() if gpu else 0
    estimate = estimate_memory(trainer).of(trainer.config.rays)
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    if way == "kernels":
        run_steps(trainer, options.train)
    seconds = seconds_per_step(trainer, options.steps)
    peak = torch.cuda.max_memory_allocated() - before if gpu else 0
    back = share_that_goes_back(trainer) if gpu and way == "kernels" else 1.0
    return {"seconds": seconds, "peak": peak, "estimate": estimate, "back": back}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--dataset", type=Path, help="a real one instead of a synthetic clip")
    parser.add_argument("--demo", action="store_true", help="config/demo.yaml, not the paper's")
    parser.add_argument("--rays", type=int, nargs="+", default=[1024], help="rays of a step")
    parser.add_argument("--way", nargs="+", choices=KERNELS, default=["plain", "kernels"])
    parser.add_argument("--precision", nargs="+", default=["bf16"], help="fp32, tf32, bf16")
    parser.add_argument("--tolerance", type=float, help="training.gradient_tolerance")
    parser.add_argument("--frames-per-step", type=int, default=1, help="frames of a step")
    parser.add_argument(
        "--train", type=int, default=0, help="steps before the timed ones, with kernels"
    )
    parser.add_argument("--steps", type=int, default=20, help="timed steps")
    options = parser.parse_args()

    device = pick_device(options.device)
    preset: dict = {"model": {}, "pack": {"size": 450}}
    if options.demo:
        preset = yaml.safe_load((Path(__file__).parents[1] / "config" / "demo.yaml").read_text())
    model = section_from_mapping(ModelConfig, preset["model"])
    tolerance = (
        TrainingConfig.gradient_tolerance if options.tolerance is None else options.tolerance
    )
    first: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        clip = options.dataset or Path(folder) / "dataset.h5"
        if not options.dataset:
            write_clip(clip, preset["pack"]["size"])
        dataset = PortraitDataset(clip, device)
        dataset.hold()
        name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
        print(f"{name}, torch {torch.__version__}, {options.steps} steps after {options.train}")
        print(
            "way       precision   rays   ms/step    rays/s   ratio   of ceiling   go back   "
            "peak GiB   estimated"
        )
        for way, precision, rays in product(options.way, options.precision, options.rays):
            training = TrainingConfig(
                rays=rays,
                precision=precision,
                frames_per_step=options.frames_per_step,
                kernels=KERNELS[way],
                gradient_tolerance=tolerance,
            )
            trainer = start(dataset, model, training, way)
            found = measure(trainer, way, options)
            speed = rays / found["seconds"]
            ratio = speed / first.setdefault(rays, speed)
            ceiling = speed * operations_per_ray(trainer.model) / CEILING
            print(
                f"{way:9} {precision:9} {rays:6} {found['seconds'] * 1e3:9.2f} {speed:9,.0f} "
                f"{ratio:7.2f} {ceiling:12.1%} {found['back']:9.1%} {found['peak'] / GIB:10.2f} "
                f"{found['estimate'] / GIB:11.2f}",
                flush=True,
            )
        print(f"{parameter_count(trainer.model):,} parameters; products are those of every sample,")
        print(f"there and back: {operations_per_ray(trainer.model) / 1e9:.3f} GFLOP a ray")
        print("way       precision   s/frame   dB to fp32")
        _, exact = seconds_per_frame(trainer, "fp32", "plain")
        for way, precision in product(options.way, options.precision):
            seconds, colour = seconds_per_frame(trainer, precision, way)
            error = float(((colour - exact).double() ** 2).mean())
            near = -10 * np.log10(error) if error else float("inf")
            print(f"{way:9} {precision:9} {seconds:9.3f} {near:12.1f}", flush=True)


if __name__ == "__main__":
    main()
