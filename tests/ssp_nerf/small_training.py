"""Training of a small model on the synthetic clip, through the real command."""

import hashlib
import sys
from pathlib import Path

from ssp_nerf import train as train_module
from ssp_nerf.config import ModelConfig

ROOT = Path(__file__).parents[2]

SMALL = """
    --width 8 --depth 2 --x-levels 3 --coarse-samples 4 --fine-samples 4 --audio-code 4
    --vertex-code 2 --code-channels 1 1 2 2 --voxel 0.3 --rays 44 --frames-per-step 4 --device cpu
""".split()
MODEL = ModelConfig(
    width=8,
    depth=2,
    x_levels=3,
    coarse_samples=4,
    fine_samples=4,
    audio_code=4,
    vertex_code=2,
    code_channels=(1, 1, 2, 2),
    voxel=0.3,
)


def arguments(folder: Path, dataset: Path, *more: str) -> list[str]:
    """Flags of a training whose results go to a folder."""
    return [
        "--dataset", str(dataset), "--bundle", str(folder / "model"),
        "--history", str(folder / "history.csv"), "--curves", str(folder / "curves.png"),
        "--preview", str(folder / "preview.png"),
        "--checkpoints", str(folder / "checkpoints"), *SMALL, *more,
    ]  # fmt: skip


def train(folder: Path, dataset: Path, *more: str) -> Path:
    """Train here; the bundle's folder."""
    train_module.main(arguments(folder, dataset, *more))
    return folder / "model"


def command(folder: Path, dataset: Path, *more: str) -> list[str]:
    """The same as a program of its own."""
    return [sys.executable, "-m", "ssp_nerf.train", *arguments(folder, dataset, *more)]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
