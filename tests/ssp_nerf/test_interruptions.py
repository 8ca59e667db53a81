"""What ends a training or spoils it: signals, losses that are no number, collapsed starts."""

import csv
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ssp_nerf import trainer as trainer_module
from ssp_nerf.config import TrainingConfig
from ssp_nerf.dataset import PortraitDataset
from ssp_nerf.trainer import Trainer
from tests.ssp_nerf.small_training import MODEL, ROOT, command, train


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends(tmp_path, dataset, number, capsys):
    """... and the next run goes on from there."""
    steps = ("--steps", "100000", "--checkpoint-seconds", "1e9")
    with open(tmp_path / "log", "w+") as log:
        running = subprocess.Popen(
            command(tmp_path, dataset, *steps), stdout=log, stderr=subprocess.STDOUT, cwd=ROOT
        )
        wait_for("spare", tmp_path / "log")  # what is said before the first step
        time.sleep(1)
        running.send_signal(number)
        assert running.wait(60) == 143
    said = (tmp_path / "log").read_text()
    (step,) = re.findall(r"stopped at step (\d+), saved in", said)
    assert "Traceback" not in said and not (tmp_path / "model").exists()
    checkpoint = next((tmp_path / "checkpoints").glob("*/checkpoint.pt"))
    assert torch.load(checkpoint, weights_only=True)["step"] == int(step) > 0
    train(tmp_path, dataset, "--steps", str(int(step) + 1))
    assert f"continues at step {step} from" in capsys.readouterr().out


def test_ctrl_c_saves_though_the_log_is_closed(tmp_path, dataset):
    """As in the workflow: it goes to every program of the pipeline, and tee is gone at once."""
    words = command(tmp_path, dataset, "--steps", "100000", "--checkpoint-seconds", "1e9")
    line = f"{shlex.join(words)} 2>&1 | tee {shlex.quote(str(tmp_path / 'log'))}"
    running = subprocess.Popen(
        ["bash", "-c", line], cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL
    )
    wait_for("spare", tmp_path / "log")
    time.sleep(1)
    os.killpg(running.pid, signal.SIGINT)
    running.wait(60)
    saved = []
    while not saved:  # bash may end before the program does
        time.sleep(0.1)
        saved = list((tmp_path / "checkpoints").glob("*/checkpoint.pt"))
    assert torch.load(saved[0], weights_only=True)["step"] > 0
    assert not (tmp_path / "model").exists()


def test_a_second_run_waits_for_the_first(tmp_path, dataset):
    """... which a scheduler has told to end, and goes on where that saved."""
    words = command(tmp_path, dataset, "--steps", "100000", "--checkpoint-seconds", "1e9")
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    runs = []
    for log, word in zip(logs, ("spare", "waits for its end"), strict=True):
        with open(log, "w") as out:
            runs.append(subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT))
        wait_for(word, log)
    assert f"process {runs[0].pid} on" in logs[1].read_text()
    runs[0].send_signal(signal.SIGTERM)
    assert runs[0].wait(60) == 143
    (step,) = re.findall(r"stopped at step (\d+), saved in", logs[0].read_text())
    wait_for(f"continues at step {step} from", logs[1])
    runs[1].kill()
    runs[1].wait()


def wait_for(word: str, log: Path) -> None:
    for _ in range(600):
        if log.exists() and word in log.read_text():
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def poison(monkeypatch, name: str, factor: float, at: int) -> Callable:
    """Spoil one of the losses at a call of `ray_losses`; what counts its calls."""
    ray_losses = trainer_module.ray_losses

    def poisoned(*given):
        losses = ray_losses(*given)
        poisoned.calls += 1
        spoilt = getattr(losses, name) * (factor if poisoned.calls == at else 1.0)
        return losses._replace(**{name: spoilt})

    poisoned.calls = 0
    monkeypatch.setattr(trainer_module, "ray_losses", poisoned)
    return poisoned


def test_a_loss_that_is_no_number_stops_and_keeps_the_step(tmp_path, dataset, monkeypatch, capsys):
    ray_losses = trainer_module.ray_losses
    poison(monkeypatch, "photometric", float("nan"), at=8)
    with pytest.raises(SystemExit) as stop:
        train(tmp_path, dataset, "--steps", "20")
    assert stop.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: training: the loss or its gradient is no number")
    (saved,) = (tmp_path / "checkpoints").glob("*/failed_step.pt")
    assert str(saved) in error and "step 8" in error
    monkeypatch.setattr(trainer_module, "ray_losses", ray_losses)
    state = torch.load(saved, weights_only=True)
    assert state["step"] == 7 and state["batch"]["pixels"].shape == (4, 11)
    # The state repeats the step: the same frames and pixels, in networks without any NaN.
    data = PortraitDataset(dataset, torch.device("cpu"))
    again = Trainer(data, MODEL, TrainingConfig(rays=44, frames_per_step=4))
    again.restore(state)
    assert all(p.isfinite().all() for p in again.model.parameters())
    assert torch.equal(again.order[:4], state["batch"]["frames"])
    pixels = again.sampler.choose(again.dataset.images(again.order[:4])[1], again.ray_generator)
    assert torch.equal(pixels, state["batch"]["pixels"])


def test_after_a_step_that_is_no_number_nothing_is_updated(dataset, monkeypatch):
    """Steps that were begun before it was known leave everything as it was before that step."""
    data = PortraitDataset(dataset, torch.device("cpu"))
    config = TrainingConfig(rays=22, frames_per_step=1)
    good, bad = (Trainer(data, MODEL, config) for _ in "12")
    good.steps(3)
    poisoned = poison(monkeypatch, "semantic", float("inf"), at=4)
    with pytest.raises(trainer_module.NonFiniteError) as caught:
        bad.steps(7)
    assert poisoned.calls == 8  # seven steps, and the bad one's rays once more
    expected, found = good.state(), caught.value.state
    assert found["step"] == bad.step_number == 3
    assert torch.equal(found["order"], expected["order"])
    assert torch.equal(found["ray_generator"], expected["ray_generator"])
    assert torch.equal(caught.value.batch["frames"], expected["order"][:1])
    torch.testing.assert_close(found["model"], expected["model"], rtol=0, atol=0)
    torch.testing.assert_close(
        found["optimiser"]["state"], expected["optimiser"]["state"], rtol=0, atol=0
    )
    torch.testing.assert_close(found["sampler"], expected["sampler"], rtol=0, atol=0)


def empty_fields(trainer: Trainer) -> None:
    with torch.no_grad():
        for level in (trainer.model.coarse, trainer.model.fine):
            level.field.density_and_logits.bias[0] = -100.0
            level.field.density_and_logits.weight[0] = 0.0


def test_a_collapsed_start_is_drawn_again(tmp_path, dataset, monkeypatch, capsys):
    start = Trainer._start

    def unlucky(trainer):
        start(trainer)
        if trainer.start_number == 0:
            empty_fields(trainer)

    monkeypatch.setattr(Trainer, "_start", unlucky)
    model = train(tmp_path, dataset, "--steps", "150", "--learning-rate", "0.005")
    assert "this start had collapsed" in capsys.readouterr().out
    with open(tmp_path / "history.csv") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(1, 151))
    weights = load_file(model / "weights.safetensors")
    assert weights["fine.field.density_and_logits.bias"][0] > -50


def test_starts_that_all_collapse_end_training(tmp_path, dataset, monkeypatch, capsys):
    start = Trainer._start
    monkeypatch.setattr(trainer_module, "STARTS", 2)
    monkeypatch.setattr(Trainer, "_start", lambda t: (start(t), empty_fields(t))[0])
    with pytest.raises(SystemExit):
        train(tmp_path, dataset, "--steps", "1000")
    assert "field was empty after 100 steps from each of 2 draws" in capsys.readouterr().err
