"""How fast training and rendering are on this machine, on a synthetic clip of the paper's size.

    python -m benchmarks.speed --rays 1024 4096 16384 --precision fp32 tf32 bf16
    python -m benchmarks.speed --dataset results/me/dataset.h5
    python -m benchmarks.speed --device cpu --demo --rays 512

Prints a row for each combination: milliseconds a step, rays a second, how often the first row's
speed that is, the peak memory of a GPU and what was estimated before; then, for each precision, the
seconds that a frame takes to draw and how near it is to the same frame in fp32.
"""

import argparse
import gc
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import yaml

from ssp_nerf.config import ModelConfig, TrainingConfig, section_from_mapping
from ssp_nerf.dataset import PortraitDataset
from ssp_nerf.device import pick_device
from ssp_nerf.frame_renderer import ExactRenderer
from ssp_nerf.memory import estimate_memory
from ssp_nerf.model import parameter_count
from ssp_nerf.parsing_map import CLASSES
from ssp_nerf.schema import DATASET
from ssp_nerf.trainer import Trainer

FRAMES, CHANNELS, VERTICES = 16, 32, 1790
WARM_UP = 5  # steps
GIB = 1 << 30  # bytes


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
    for _ in range(WARM_UP):
        trainer.step()
    started = time.perf_counter()
    for _ in range(steps):
        trainer.step()  # reads its losses back, so the device is done when it returns
    return (time.perf_counter() - started) / steps


def seconds_per_frame(trainer: Trainer, precision: str) -> tuple[float, torch.Tensor]:
    """The first frame, the second time it is drawn: seconds, and colours (H, W, 3)."""
    data, elapsed = trainer.dataset, 0.0
    renderer = ExactRenderer(trainer.model, data, data.audio, arithmetic=precision)
    for _ in range(2):
        started = time.perf_counter()
        colour = renderer.draw(0, 0).colour.cpu()
        elapsed = time.perf_counter() - started
    return elapsed, colour


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--dataset", type=Path, help="a real one instead of a synthetic clip")
    parser.add_argument("--demo", action="store_true", help="config/demo.yaml, not the paper's")
    parser.add_argument("--rays", type=int, nargs="+", default=[1024], help="rays of a step")
    parser.add_argument("--precision", nargs="+", default=["fp32"], help="fp32, tf32, bf16")
    parser.add_argument("--frames-per-step", type=int, default=1, help="frames of a step")
    parser.add_argument("--steps", type=int, default=20, help="timed steps")
    options = parser.parse_args()

    device = pick_device(options.device)
    preset: dict = {"model": {}, "pack": {"size": 450}}
    if options.demo:
        preset = yaml.safe_load((Path(__file__).parents[1] / "config" / "demo.yaml").read_text())
    model = section_from_mapping(ModelConfig, preset["model"])
    first = None
    with tempfile.TemporaryDirectory() as folder:
        clip = options.dataset or Path(folder) / "dataset.h5"
        if not options.dataset:
            write_clip(clip, preset["pack"]["size"])
        dataset = PortraitDataset(clip, device)
        dataset.hold()
        name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
        print(f"{name}, torch {torch.__version__}, {options.steps} steps each")
        print("precision   rays   ms/step    rays/s   ratio   peak GiB   estimated")
        for precision in options.precision:
            for rays in options.rays:
                gc.collect()
                if device.type == "cuda":
                    torch.cuda.empty_cache()
                    torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
                training = TrainingConfig(
                    rays=rays, precision=precision, frames_per_step=options.frames_per_step
                )
                trainer = Trainer(dataset, model, training)
                estimate = estimate_memory(trainer).of(rays)
                trainer.sampler.record(*torch.rand(2, len(CLASSES), device=device).double())
                trainer.sampler.end_epoch()  # dynamic from the first step on
                seconds = seconds_per_step(trainer, options.steps)
                speed = rays / seconds
                first = first or speed
                peak = torch.cuda.max_memory_allocated() - before if device.type == "cuda" else 0
                print(
                    f"{precision:9} {rays:6} {seconds * 1e3:9.1f} {speed:9,.0f} "
                    f"{speed / first:7.2f} {peak / GIB:10.2f} {estimate / GIB:11.2f}",
                    flush=True,
                )
        print(f"{parameter_count(trainer.model):,} parameters")
        print("precision   s/frame   dB to fp32")
        _, exact = seconds_per_frame(trainer, "fp32")
        for precision in options.precision:
            seconds, colour = seconds_per_frame(trainer, precision)
            error = float(((colour - exact).double() ** 2).mean())
            near = -10 * np.log10(error) if error else float("inf")
            print(f"{precision:9} {seconds:9.2f} {near:12.1f}", flush=True)


if __name__ == "__main__":
    main()
