"""Data parallel training: several processes compute what one does."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ssp_nerf.config import TrainingConfig
from ssp_nerf.dataset import PortraitDataset
from ssp_nerf.errors import InputError
from ssp_nerf.ranks import Ranks
from ssp_nerf.trainer import Trainer
from tests.ssp_nerf.small_training import MODEL, ROOT, command, train


def test_two_processes_train_what_one_does(tmp_path, dataset):
    """torchrun, gloo: the same rays, shared, and their gradients added."""
    one = train(tmp_path / "one", dataset, "--steps", "20", "--rays", "88")
    for steps in ("9", "20"):  # interrupted, and resumed by both
        words = command(tmp_path / "two", dataset, "--steps", steps, "--rays", "88")
        done = launched(2, *words)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("2 processes") == 1  # only the first speaks
    assert "continues at step 9" in done.stdout
    same_weights(one, tmp_path / "two/model")


def launched(processes: int, *words: str) -> subprocess.CompletedProcess:
    """`train` by torchrun on the CPU."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes))
    return subprocess.run(
        [words[0], *launcher, *words[1:]],
        cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def same_weights(one: Path, other: Path) -> None:
    others = load_file(other / "weights.safetensors")
    for name, weight in load_file(one / "weights.safetensors").items():
        assert torch.allclose(weight, others[name], rtol=1e-3, atol=1e-5), name


def test_an_error_of_one_process_is_heard(tmp_path, dataset):
    """Here the second has too little memory; both end, before either trains."""
    wrapper = tmp_path / "wrapper.py"
    wrapper.write_text(
        "import os, sys\n"
        "from ssp_nerf import train\n"
        "train.free_memory = lambda device: 1e12 if os.environ['RANK'] == '0' else 1e3\n"
        "train.main(sys.argv[1:])\n"
    )
    words = command(tmp_path, dataset, "--steps", "20", "--rays", "88")
    done = launched(2, words[0], str(wrapper), *words[3:])
    assert done.returncode == 1
    assert "error: training.rays: 88 rays need about" in done.stderr
    assert not (tmp_path / "model").exists()


def test_rays_that_processes_cannot_share_are_refused(dataset):
    data = PortraitDataset(dataset, torch.device("cpu"))
    with pytest.raises(InputError, match="multiple of 12"):
        Trainer(data, MODEL, TrainingConfig(rays=44, frames_per_step=4), Ranks(0, 3))
