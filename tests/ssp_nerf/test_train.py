"""Training: what it learns, its checkpoints, its memory, and its settings."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from ssp_nerf import memory
from ssp_nerf import train as train_module
from ssp_nerf.config import TrainingConfig
from ssp_nerf.dataset import PortraitDataset
from ssp_nerf.memory import MemoryEstimate
from ssp_nerf.model import parameter_count
from ssp_nerf.parsing_map import CLASSES
from ssp_nerf.trainer import Trainer
from tests.ssp_nerf import synthetic_clip as clip
from tests.ssp_nerf.small_training import MODEL, digest, train


class Interruption(BaseException):
    """Stands for a kill: nothing in the program catches it."""


def test_training_learns(tmp_path, dataset):
    # Uniform rays: dynamic ones move to what is hard, which hides the fall of the loss.
    train(tmp_path, dataset, "--steps", "100", "--learning-rate", "0.01", "--no-dynamic-sampling")
    with open(tmp_path / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 101))
    # The parsing maps are simple; the pictures are noise, of which only the mean can be learned.
    for name, share in (("semantic", 0.5), ("photometric", 0.97)):
        values = [float(row[name]) for row in rows]
        assert np.mean(values[-20:]) < share * np.mean(values[:20]), name
    for picture in ("curves.png", "preview.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


def test_the_history_tells_whose_rays_and_losses_they_were(trained):
    with open(trained / "history.csv") as file:
        rows = [{name: float(v) for name, v in row.items()} for row in csv.DictReader(file)]
    present = {name: CLASSES.index(name) in clip.parsing() for name in CLASSES}
    for row in rows:
        assert sum(row[f"share_{name}"] for name in CLASSES) == pytest.approx(1)
        total = 0.0
        for name in CLASSES:
            share, loss = row[f"share_{name}"], row[f"loss_{name}"]
            assert present[name] or share == 0
            assert np.isnan(loss) == (share == 0)
            total += share * loss if share else 0
        # Eq. 5 asks for the plain sum of both losses (sampling_weight 1).
        assert total == pytest.approx(row["photometric"] + row["semantic"], rel=1e-5)
    # In the first epoch, of three steps, rays fall anywhere; later by the classes' losses.
    areas = [np.mean(clip.parsing()[:9] == number) for number in range(len(CLASSES))]
    first = np.mean([[row[f"share_{n}"] for n in CLASSES] for row in rows[:2]], axis=0)
    assert np.abs(first - areas).max() < 0.12
    background = [row["share_background"] for row in rows]
    assert np.mean(background[3:]) < 0.5 * np.mean(background[:2])


def test_interrupted_and_resumed_ends_in_the_same_bytes(tmp_path, dataset, trained, monkeypatch):
    steps = train_module.Trainer.steps

    def killed_at_13(trainer, most):
        if trainer.step_number == 13:
            raise Interruption
        return steps(trainer, most)

    monkeypatch.setattr(train_module.Trainer, "steps", killed_at_13)
    with pytest.raises(Interruption):
        train(tmp_path, dataset, "--steps", "20", "--checkpoint-seconds", "0")
    assert not (tmp_path / "model").exists() and not (tmp_path / "history.csv").exists()

    monkeypatch.setattr(train_module.Trainer, "steps", steps)
    train(tmp_path, dataset, "--steps", "20")
    for name in ("model/weights.safetensors", "model/scene.safetensors", "history.csv"):
        assert digest(tmp_path / name) == digest(trained / name), name


def test_more_steps_continue_where_training_ended(tmp_path, dataset, trained, capsys):
    train(tmp_path, dataset, "--steps", "12")
    train(tmp_path, dataset, "--steps", "20")
    assert "continues at step 12" in capsys.readouterr().out
    weights = "model/weights.safetensors"
    assert digest(tmp_path / weights) == digest(trained / weights)


def test_fewer_steps_than_were_trained_are_refused(tmp_path, dataset, capsys):
    train(tmp_path, dataset, "--steps", "4")
    with pytest.raises(SystemExit):
        train(tmp_path, dataset, "--steps", "3")
    assert "training.steps: 3" in capsys.readouterr().err


def test_another_setting_starts_anew(tmp_path, dataset, capsys):
    train(tmp_path, dataset, "--steps", "2")
    train(tmp_path, dataset, "--steps", "2", "--learning-rate", "0.001")
    assert "continues" not in capsys.readouterr().out
    assert len(list((tmp_path / "checkpoints").glob("*/checkpoint.pt"))) == 2


def test_streaming_from_disk_gives_the_same_weights(
    tmp_path, dataset, trained, monkeypatch, capsys
):
    monkeypatch.setattr(train_module, "free_memory", lambda device: 1000.0)  # bytes
    monkeypatch.setattr(train_module, "estimate_memory", lambda trainer: MemoryEstimate(0, 0))
    train(tmp_path, dataset, "--steps", "20")
    assert "of frames read from disk as they are needed" in capsys.readouterr().out
    weights = "model/weights.safetensors"
    assert digest(tmp_path / weights) == digest(trained / weights)


def test_memory_is_told_before_the_start(dataset):
    """Extrapolated from two small steps: what the graph of a large one keeps."""
    data = PortraitDataset(dataset, torch.device("cpu"))
    training = TrainingConfig(rays=1100, frames_per_step=4)
    trainer = Trainer(data, MODEL, training)
    before = trainer.ray_generator.get_state()
    estimate = memory.estimate_memory(trainer)
    assert torch.equal(trainer.ray_generator.get_state(), before)
    weights = memory.COPIES * memory.FLOAT32 * parameter_count(trainer.model)
    kept = memory._saved_bytes(trainer, 275) + weights
    expected = estimate.fixed + estimate.per_ray * 1100
    assert expected == pytest.approx(kept, rel=0.1)


def test_a_clip_shorter_than_a_step_goes_round_more_than_once(tmp_path, dataset):
    train(tmp_path, dataset, "--steps", "3", "--rays", "220", "--frames-per-step", "20")


def test_steps_in_one_go_are_steps_one_by_one(dataset):
    data = PortraitDataset(dataset, torch.device("cpu"))
    one, other = (Trainer(data, MODEL, TrainingConfig(rays=44, frames_per_step=4)) for _ in "12")
    losses = [one.step().loss for _ in range(9)]
    found: list[float] = []
    while len(found) < 9:  # an epoch of nine frames ends before
        found += [result.loss for result in other.steps(9 - len(found))]
    assert found == losses
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_of_another_device_goes_on_here(dataset):
    data = PortraitDataset(dataset, torch.device("cpu"))
    one, other = (Trainer(data, MODEL, TrainingConfig(rays=44, frames_per_step=4)) for _ in "12")
    one.step()
    state = one.state()
    state["optimiser"]["param_groups"][0]["capturable"] = True  # as on a GPU,
    state["ray_generator"] = torch.zeros(16, dtype=torch.uint8)  # whose random state is shorter
    other.restore(state)
    assert other.optimiser.param_groups[0]["capturable"] is False
    assert other.step().loss > 0 and other.step_number == 2


def test_more_rays_than_memory_are_refused(tmp_path, dataset, monkeypatch, capsys):
    monkeypatch.setattr(train_module, "free_memory", lambda device: 1 << 20)
    with pytest.raises(SystemExit) as stop:
        train(tmp_path, dataset, "--steps", "2", "--rays", "4400")
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "training.rays: 4400 rays need about" in error and "would fit" in error
    assert not (tmp_path / "model").exists()


def test_a_damaged_checkpoint_is_named_and_nothing_is_written(tmp_path, dataset, capsys):
    train(tmp_path, dataset, "--steps", "2")
    checkpoint = next((tmp_path / "checkpoints").glob("*/checkpoint.pt"))
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    (tmp_path / "history.csv").unlink()
    with pytest.raises(SystemExit) as stop:
        train(tmp_path, dataset, "--steps", "4")
    assert stop.value.code == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: ") and str(checkpoint) in message
    assert not (tmp_path / "history.csv").exists()


class Payload:
    """What a hostile checkpoint would hold: unpickled, it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_no_code_runs_from_a_checkpoint(tmp_path, dataset, capsys):
    train(tmp_path, dataset, "--steps", "2")
    checkpoint = next((tmp_path / "checkpoints").glob("*/checkpoint.pt"))
    torch.save({"step": Payload(tmp_path / "code-ran")}, checkpoint)
    with pytest.raises(SystemExit) as stop:
        train(tmp_path, dataset, "--steps", "4")
    assert stop.value.code == 2
    assert f"{checkpoint}: cannot continue from this checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "code-ran").exists()


@pytest.mark.parametrize(
    ("flags", "key"),
    [
        (("--rays", "45"), "training.rays"),
        (("--rays", "40"), "training.rays"),
        (("--learning-rate", "nan"), "training.learning_rate"),
        (("--learning-rate", "-1"), "training.learning_rate"),
        (("--depth", "1"), "model.depth"),
    ],
)
def test_bad_values_name_their_key(tmp_path, dataset, capsys, flags, key):
    with pytest.raises(SystemExit) as stop:
        train(tmp_path, dataset, "--steps", "1", *flags)
    assert stop.value.code == 2
    assert key in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
