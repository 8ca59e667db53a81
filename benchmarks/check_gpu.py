"""What tests cannot show without a GPU: that it computes what the CPU and plain calls compute.

    python -m benchmarks.check_gpu

Prints a line for each fact, with the figure, and ends with status 1 if one does not hold.
"""

import dataclasses
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.speed import write_clip
from ssp_nerf import cuda_graph
from ssp_nerf.config import ModelConfig, TrainingConfig
from ssp_nerf.dataset import PortraitDataset
from ssp_nerf.fast_renderer import FastRenderer
from ssp_nerf.frame_renderer import ExactRenderer, FrameImage
from ssp_nerf.trainer import Trainer

SIZE = 450  # pixels: some of PyTorch's ways depend on the size
STEPS = 24  # of them 7 in the first epoch of 15 frames, whose pixels are uniform: both are recorded
TRAINING = TrainingConfig(rays=264, frames_per_step=2, precision="fp32", learning_rate=1e-4)


def trainer(clip: Path, device: str, hold: bool = True, **settings) -> Trainer:
    dataset = PortraitDataset(clip, torch.device(device))
    if hold:
        dataset.hold(quiet=True)
    return Trainer(dataset, ModelConfig(), dataclasses.replace(TRAINING, **settings))


def losses(running: Trainer, steps: int = STEPS) -> torch.Tensor:
    return torch.tensor([running.step().loss for _ in range(steps)])


def largest_difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Relative to the larger."""
    return float(((one - other).abs() / torch.maximum(one.abs(), other.abs())).max())


def recorded_and_called(clip: Path, precision: str = "fp32") -> float:
    """Losses of training from CUDA graphs, and of the same steps launched one by one."""
    recorded = losses(trainer(clip, "cuda", precision=precision))
    warm_up = cuda_graph.WARM_UP
    cuda_graph.WARM_UP = STEPS
    try:
        called = losses(trainer(clip, "cuda", precision=precision))
    finally:
        cuda_graph.WARM_UP = warm_up
    return largest_difference(recorded, called)


def recorded_and_called_in_bf16(clip: Path) -> float:
    """The same with the networks' kernels, which multiply in bf16."""
    return recorded_and_called(clip, "bf16")


def kernels_and_twins(clip: Path) -> float:
    """Losses in bf16 by Triton's kernels, every sample going back, and by PyTorch's operations."""
    ours, plain = (
        trainer(clip, "cuda", precision="bf16", kernels=kernels, gradient_tolerance=0.0)
        for kernels in ("triton", "plain")
    )
    return largest_difference(losses(ours), losses(plain))


def at_once_and_one_by_one(clip: Path) -> float:
    """Losses of steps that are waited for together, and of the same each waited for."""
    one, other = (trainer(clip, "cuda", precision="bf16") for _ in range(2))
    found: list[float] = []
    while len(found) < STEPS:
        found += [result.loss for result in one.steps(STEPS - len(found))]
    return largest_difference(torch.tensor(found), losses(other))


def streamed_and_held(clip: Path) -> float:
    """Losses with the frames read ahead from disk, and with all of them on the GPU."""
    return largest_difference(
        losses(trainer(clip, "cuda", hold=False)), losses(trainer(clip, "cuda"))
    )


def resumed_and_whole(clip: Path) -> float:
    """Losses after a checkpoint half way, and without one."""
    whole = losses(trainer(clip, "cuda"))
    first = trainer(clip, "cuda")
    losses(first, STEPS // 2)
    path = clip.with_name("checkpoint.pt")
    torch.save(first.state(), path)
    losses(first, 3)  # ... and from the trainer itself, led back from three steps later
    differences = []
    for resumed in (first, trainer(clip, "cuda")):
        resumed.restore(torch.load(path, map_location="cpu", weights_only=True))
        rest = losses(resumed, STEPS - STEPS // 2)
        differences.append(largest_difference(rest, whole[STEPS // 2 :]))
    return max(differences)


def drawn_again_and_new(clip: Path) -> float:
    """Losses after a start that was drawn again when it was recorded, and of that start at once."""
    late, early = trainer(clip, "cuda"), trainer(clip, "cuda")
    losses(late, 12)
    for one in (late, early):
        one.start_number = 1
        one._start()
    return largest_difference(losses(late), losses(early))


def moved_and_stayed(clip: Path) -> float:
    """Losses on the GPU from a checkpoint that went to a CPU and back without a step there."""
    stayed, moved = trainer(clip, "cuda"), trainer(clip, "cuda")
    for one in (stayed, moved):
        losses(one, 6)
    visited = trainer(clip, "cpu")
    visited.restore(moved.state())
    random = moved.ray_generator.get_state()  # a stream that a CPU cannot keep
    moved.restore(visited.state())
    moved.ray_generator.set_state(random)
    return largest_difference(losses(moved, 6), losses(stayed, 6))


def gpu_and_cpu(clip: Path) -> float:
    """Colours of the same rays by the same weights in fp32."""
    colours = []
    for device in ("cuda", "cpu"):
        model = trainer(clip, device)
        pixels = torch.arange(0, SIZE * SIZE, 101, device=device)[None]
        with torch.no_grad():
            colours.append(model.render(torch.tensor([3]), pixels, None).fine.colour.cpu())
    return largest_difference(*colours)


def fast_frames_recorded_and_called(clip: Path) -> float:
    """Levels of 255 between frames that two renderers play in turn, and the same called; the speech
    changes on the way, and the first frame is compared at the end."""
    model = trainer(clip, "cuda")
    data = model.dataset
    kinds = [ExactRenderer(model.model, data, data.audio, arithmetic="bf16") for _ in range(2)]
    poses = torch.arange(len(data.c2w))
    played, called = ([FastRenderer(exact, poses) for exact in kinds] for _ in range(2))
    frames: list[tuple[FrameImage, FrameImage]] = []
    for number in range(2 * (cuda_graph.WARM_UP + 3)):
        pose, moment = 5 * number % len(poses), 3 * number % len(poses)
        if number == 2 * (cuda_graph.WARM_UP + 2):
            for exact in kinds:
                exact.hear(data.audio.flip(0))
        one = number % 2
        called[one]._recorded = called[one]._draw  # type: ignore[assignment]
        frames.append((played[one].draw(pose, moment), called[one].draw(pose, moment)))
    return max(float((ours.colour - theirs.colour).abs().max()) * 255 for ours, theirs in frames)


def run_twice(clip: Path, precision: str) -> float:
    """Losses of two equal runs: atomic additions come in any order, and training enlarges that."""
    one, other = (trainer(clip, "cuda", precision=precision) for _ in range(2))
    return largest_difference(losses(one), losses(other))


CHECKS: dict[Callable[[Path], float], float | str] = {
    gpu_and_cpu: 1e-3,
    kernels_and_twins: 3e-2,  # both round to bf16, each in its places
    at_once_and_one_by_one: "bf16",
    recorded_and_called: "fp32",
    recorded_and_called_in_bf16: "bf16",
    streamed_and_held: "fp32",
    resumed_and_whole: "fp32",
    drawn_again_and_new: "fp32",
    moved_and_stayed: "fp32",
    fast_frames_recorded_and_called: 0.5,
}
"""Each with the relative difference that is allowed, or the precision in which two equal runs are
compared: it may differ `TIMES_OF_TWICE` times as much as they do, or by `LEAST_OF_TWICE`."""
TIMES_OF_TWICE, LEAST_OF_TWICE = 4, 1e-3
MOST_OF_TWICE = 5e-3
"""Two equal runs that differ by more do not do the same."""


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("error: PyTorch sees no GPU here, and this checks one.")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "dataset.h5"
        write_clip(clip, SIZE)
        twice = {precision: run_twice(clip, precision) for precision in ("fp32", "bf16")}
        for precision, difference in twice.items():
            good = difference <= MOST_OF_TWICE
            failed |= not good
            print(
                f"{'ok  ' if good else 'FAIL'} two equal runs in {precision}: {difference:.1e} "
                f"(at most {MOST_OF_TWICE:.0e})",
                flush=True,
            )
        for check, limit in CHECKS.items():
            allowed = (
                max(LEAST_OF_TWICE, TIMES_OF_TWICE * twice[limit])
                if isinstance(limit, str)
                else limit
            )
            difference = check(clip)
            good = difference <= allowed
            failed |= not good
            name = check.__name__.replace("_", " ")
            print(
                f"{'ok  ' if good else 'FAIL'} {name}: {difference:.1e} (at most {allowed:.0e})",
                flush=True,
            )
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
