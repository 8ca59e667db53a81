"""Training, its checkpoints, the bundle, and rendering from it, through the real commands."""

import csv
import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ssp_nerf import memory
from ssp_nerf import render as render_module
from ssp_nerf import train as train_module
from ssp_nerf import trainer as trainer_module
from ssp_nerf.bundle import load_bundle
from ssp_nerf.config import ModelConfig, TrainingConfig
from ssp_nerf.dataset import PortraitDataset
from ssp_nerf.errors import InputError
from ssp_nerf.memory import MemoryEstimate
from ssp_nerf.model import parameter_count
from ssp_nerf.ranks import Ranks
from ssp_nerf.render import back_and_forth
from ssp_nerf.schema import RENDER
from ssp_nerf.trainer import Trainer
from tests.ssp_nerf import synthetic_clip as clip

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


class Interruption(BaseException):
    """Stands for a kill: nothing in the program catches it."""


def train(folder: Path, dataset: Path, *more: str) -> Path:
    train_module.main(
        [
            "--dataset", str(dataset), "--bundle", str(folder / "model"),
            "--history", str(folder / "history.csv"), "--curves", str(folder / "curves.png"),
            "--preview", str(folder / "preview.png"),
            "--checkpoints", str(folder / "checkpoints"), *SMALL, *more,
        ]
    )  # fmt: skip
    return folder / "model"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return clip.write_dataset(tmp_path_factory.mktemp("data") / "dataset.h5")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, dataset) -> Path:
    """A folder with a model of 20 steps, trained without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    train(folder, dataset, "--steps", "20")
    return folder


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> Path:
    return clip.write_features(tmp_path_factory.mktemp("speech") / "features.h5")


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


def test_interrupted_and_resumed_ends_in_the_same_bytes(tmp_path, dataset, trained, monkeypatch):
    step = train_module.Trainer.step

    def killed_at_13(trainer):
        if trainer.step_number == 13:
            raise Interruption
        return step(trainer)

    monkeypatch.setattr(train_module.Trainer, "step", killed_at_13)
    with pytest.raises(Interruption):
        train(tmp_path, dataset, "--steps", "20", "--checkpoint-seconds", "0")
    assert not (tmp_path / "model").exists() and not (tmp_path / "history.csv").exists()

    monkeypatch.setattr(train_module.Trainer, "step", step)
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
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


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
    expected = estimate.fixed + estimate.per_ray * 1100 / memory.PEAK_OVER_SAVED
    assert expected == pytest.approx(kept, rel=0.1)


def test_a_clip_shorter_than_a_step_goes_round_more_than_once(tmp_path, dataset):
    train(tmp_path, dataset, "--steps", "3", "--rays", "220", "--frames-per-step", "20")


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


def command(folder: Path, dataset: Path, *more: str) -> list[str]:
    """`train` as a program of its own."""
    return [
        sys.executable, "-m", "ssp_nerf.train",
        "--dataset", str(dataset), "--bundle", str(folder / "model"),
        "--history", str(folder / "history.csv"), "--curves", str(folder / "curves.png"),
        "--preview", str(folder / "preview.png"),
        "--checkpoints", str(folder / "checkpoints"), *SMALL, *more,
    ]  # fmt: skip


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


def wait_for(word: str, log: Path) -> None:
    for _ in range(600):
        if log.exists() and word in log.read_text():
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


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


def test_a_loss_that_is_no_number_stops_and_keeps_the_step(tmp_path, dataset, monkeypatch, capsys):
    loss = trainer_module.photometric_loss

    def poisoned(output, colour):
        broken = trainer_module.photometric_loss.calls == 7
        trainer_module.photometric_loss.calls += 1
        return loss(output, colour) * (float("nan") if broken else 1.0)

    poisoned.calls = 0
    monkeypatch.setattr(trainer_module, "photometric_loss", poisoned)
    with pytest.raises(SystemExit) as stop:
        train(tmp_path, dataset, "--steps", "20")
    assert stop.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: training: the loss or its gradient is no number")
    (saved,) = (tmp_path / "checkpoints").glob("*/failed_step.pt")
    assert str(saved) in error and "step 8" in error
    monkeypatch.setattr(trainer_module, "photometric_loss", loss)
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


def empty_fields(trainer: Trainer) -> None:
    with torch.no_grad():
        for level in (trainer.model.coarse, trainer.model.fine):
            level.field.density.bias.fill_(-100.0)


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
    assert weights["fine.field.density.bias"] > -50


def test_starts_that_all_collapse_end_training(tmp_path, dataset, monkeypatch, capsys):
    start = Trainer._start
    monkeypatch.setattr(trainer_module, "STARTS", 2)
    monkeypatch.setattr(Trainer, "_start", lambda t: (start(t), empty_fields(t))[0])
    with pytest.raises(SystemExit):
        train(tmp_path, dataset, "--steps", "1000")
    assert "field was empty after 100 steps from each of 2 draws" in capsys.readouterr().err


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


def render(bundle: Path, features: Path, output: Path, *more: str) -> dict:
    render_module.main(
        ["--bundle", str(bundle), "--audio-features", str(features), "--output", str(output),
         "--device", "cpu", *more]
    )  # fmt: skip
    return RENDER.read(output)[0]


def test_parts_together_are_the_whole_take(tmp_path, trained, features):
    model = trained / "model"
    whole = render(model, features, tmp_path / "whole.h5", "--take", "heldout")
    assert whole["index"].tolist() == list(clip.HELD_OUT)
    assert whole["speech"].tolist() == list(clip.HELD_OUT)
    parts = [
        render(model, features, tmp_path / f"{i}.h5", "--take", "heldout", "--part", f"{i}-of-4")
        for i in (1, 2, 3, 4)  # more parts than frames: one is empty
    ]
    for name in whole:
        assert np.array_equal(np.concatenate([part[name] for part in parts]), whole[name])


def test_chunks_do_not_change_the_picture(tmp_path, trained, features):
    flags = ("--take", "heldout", "--part", "1-of-3")
    large = render(trained / "model", features, tmp_path / "large.h5", *flags)
    small = render(
        trained / "model", features, tmp_path / "small.h5", *flags, "--rays-per-chunk", "100"
    )
    difference = large["frames"].astype(int) - small["frames"]
    assert np.abs(difference).max() <= 1


def test_a_driven_take_replays_the_training_poses(tmp_path, trained, features):
    driven = render(trained / "model", features, tmp_path / "driven.h5")
    assert driven["index"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 7, 6, 5]
    assert driven["speech"].tolist() == list(range(12))


def test_back_and_forth():
    assert back_and_forth(8, 3).tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert back_and_forth(3, 1).tolist() == [0, 0, 0]
    assert back_and_forth(2, 5).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("channels", "extractor"), [(29, "deepspeech"), (1024, "hubert/hubert-large-ls960-ft")]
)
def test_the_features_width_is_the_datasets(tmp_path, channels, extractor):
    """The audio network takes it, is trained, and drives the portrait."""
    dataset = clip.write_dataset(tmp_path / "dataset.h5", channels, extractor)
    first = {}
    for steps in ("1", "2"):
        bundle = load_bundle(
            train(tmp_path / steps, dataset, "--steps", steps), torch.device("cpu")
        )
        assert (bundle.model.scene.audio_channels, bundle.audio_extractor) == (channels, extractor)
        first[steps] = bundle.model.audio_encoder.convolutions[0].weight
    assert first["1"].shape[1] == channels
    assert ((first["1"] != first["2"]).any(dim=(0, 2))).all()  # every channel is learned from
    features = clip.write_features(tmp_path / "features.h5", channels, extractor)
    drawn = render(tmp_path / "2" / "model", features, tmp_path / "out.h5", "--part", "1-of-6")
    assert drawn["frames"].shape == (2, clip.HEIGHT, clip.WIDTH, 3)


@pytest.mark.parametrize(
    ("channels", "extractor", "words"),
    [
        (4, "deepspeech", "4 channels of 'deepspeech', but the model was trained on 4 of 'none'"),
        (5, "none", "5 channels of 'none', but the model was trained on 4 of 'none'"),
    ],
)
def test_speech_of_another_extractor_or_width_is_refused(
    tmp_path, trained, capsys, channels, extractor, words
):
    other = clip.write_features(tmp_path / "other.h5", channels, extractor)
    with pytest.raises(SystemExit):
        render(trained / "model", other, tmp_path / "x.h5")
    message = capsys.readouterr().err
    assert words in message and "audio.extractor" in message and "audio.channels" in message
    assert not (tmp_path / "x.h5").exists()


def test_the_bundle_is_whole_without_the_dataset(trained):
    bundle = load_bundle(trained / "model", torch.device("cpu"))
    assert (bundle.width, bundle.height, bundle.focal) == (clip.WIDTH, clip.HEIGHT, clip.FOCAL)
    assert bundle.held_out.nonzero().squeeze(1).tolist() == list(clip.HELD_OUT)
    assert torch.equal(bundle.background, torch.full_like(bundle.background, 90 / 255))
    names = {path.name for path in (trained / "model").iterdir()}
    assert names == {"bundle.json", "scene.safetensors", "weights.safetensors"}


@pytest.mark.parametrize(
    "harm",
    [
        lambda bundle: (bundle / "weights.safetensors").unlink(),
        lambda bundle: (bundle / "weights.safetensors").write_bytes(b"\x80\x04pickle"),
        lambda bundle: (bundle / "bundle.json").write_text('{"version": 99}'),
        lambda bundle: (bundle / "bundle.json").write_text("{"),
    ],
    ids=["missing weights", "not safetensors", "another version", "not JSON"],
)
def test_a_harmed_bundle_gives_one_line(tmp_path, trained, features, capsys, harm):
    bundle = tmp_path / "model"
    bundle.mkdir()
    for path in (trained / "model").iterdir():
        (bundle / path.name).write_bytes(path.read_bytes())
    harm(bundle)
    with pytest.raises(SystemExit) as stop:
        render(bundle, features, tmp_path / "x.h5")
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and str(bundle) in error
    assert not (tmp_path / "x.h5").exists()


def test_bundle_json_says_where_the_model_comes_from(trained, dataset):
    about = json.loads((trained / "model" / "bundle.json").read_text())
    assert about["dataset_sha256"] == digest(dataset)
    assert about["training"]["steps"] == 20 and about["model"]["width"] == 8
    assert "torch" in about["software"]
