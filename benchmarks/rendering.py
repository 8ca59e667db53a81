"""How fast a portrait is drawn on this machine, exactly and fast, and how far apart both are.

    python -m benchmarks.rendering --bundle results/me/model \
        --audio-features results/me/audio_features.h5 --frames 50

Prints frames a second of both ways, as they arrive in the processor's memory; of the fast one the
PSNR to the exact frames, and what share of rays and samples it computes.
"""

import argparse
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ssp_nerf import cuda_graph
from ssp_nerf.bundle import load_bundle
from ssp_nerf.config import RenderingConfig, add_flags, from_flags
from ssp_nerf.device import DEVICES, pick_device
from ssp_nerf.fast_renderer import FastRenderer, Work
from ssp_nerf.frame_renderer import ExactRenderer, FrameRenderer
from ssp_nerf.frame_writer import FrameWriter
from ssp_nerf.metrics.psnr import psnr
from ssp_nerf.render import TAKES, read_speech, take_frames

WARM_UP = cuda_graph.WARM_UP + 1  # frames, with the one that is recorded
GIB = 1 << 30  # bytes


def frames_per_second(
    renderer: FrameRenderer, frames: Sequence[tuple[int, int]]
) -> tuple[float, list[np.ndarray]]:
    """Frames a second with the thread that takes them to the processor, and the pictures."""
    pictures: list[np.ndarray] = []
    with FrameWriter(lambda row, frame: None) as writer:
        for frame in itertools.islice(itertools.cycle(frames), WARM_UP):
            writer.put(0, renderer.draw(*frame))
    started = time.perf_counter()
    with FrameWriter(lambda row, frame: pictures.append(frame.picture)) as writer:
        for row, frame in enumerate(frames):
            writer.put(row, renderer.draw(*frame))
    return len(frames) / (time.perf_counter() - started), pictures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, required=True, help="trained model folder")
    parser.add_argument("--audio-features", type=Path, required=True, help="speech that drives it")
    parser.add_argument("--take", choices=TAKES, default="driven", help="poses and moments")
    parser.add_argument("--frames", type=int, default=20, help="drawn in each way")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute")
    add_flags(parser, RenderingConfig)
    options = parser.parse_args()
    config = from_flags(options, RenderingConfig)
    device = pick_device(options.device)
    cuda = device.type == "cuda"

    bundle = load_bundle(options.bundle, device)
    windows = read_speech(options.audio_features, bundle)
    poses, speech = take_frames(options.take, bundle, len(windows))
    chosen = torch.linspace(0, len(poses) - 1, min(options.frames, len(poses))).long()
    frames = list(zip(poses.cpu()[chosen].tolist(), speech.cpu()[chosen].tolist(), strict=True))

    name = torch.cuda.get_device_name() if cuda else "CPU"
    print(
        f"{name}, torch {torch.__version__}, {bundle.width}x{bundle.height}, {len(frames)} frames"
    )
    started = time.perf_counter()
    exact = ExactRenderer(
        bundle.model, bundle, windows, config.rays_per_chunk, config.precision, config.kernels
    )
    print(f"prepare: {time.perf_counter() - started:.2f} s, {exact.rays_per_chunk} rays at once")
    started = time.perf_counter()
    fast = FastRenderer(exact, poses)
    if cuda:
        torch.cuda.synchronize()
    print(f"empty space: {time.perf_counter() - started:.2f} s")

    drawn = {}
    print("way     frames/s   ms/frame   peak GiB")
    for way, renderer in (("exact", exact), ("fast", fast)):
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        speed, drawn[way] = frames_per_second(renderer, frames)
        peak = torch.cuda.max_memory_allocated() / GIB if cuda else 0
        print(f"{way:7} {speed:8.2f} {1000 / speed:10.1f} {peak:10.2f}", flush=True)
    differences = [psnr(a, b) for a, b in zip(drawn["fast"], drawn["exact"], strict=True)]
    print(
        f"PSNR of fast to exact: mean {np.mean(differences):.1f}, least {min(differences):.1f} dB"
    )

    work = []
    for frame in frames:
        fast.draw(*frame)
        work.append(fast.work)
    shares = Work(*np.mean(work, axis=0))
    print(
        f"computed: rays {shares.rays:.1%}, coarse samples {shares.coarse_samples:.1%}, "
        f"fine samples {shares.fine_samples:.1%}"
    )


if __name__ == "__main__":
    main()
