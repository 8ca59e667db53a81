"""The bundle, and rendering from it, through the real commands."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ssp_nerf import render as render_module
from ssp_nerf.bundle import load_bundle
from ssp_nerf.frame_renderer import ExactRenderer
from ssp_nerf.render import back_and_forth, checked, device_of_part
from ssp_nerf.schema import AUDIO_FEATURES, DISPLACEMENT_STEP, RENDER
from tests.ssp_nerf import synthetic_clip as clip
from tests.ssp_nerf.small_training import digest, train


def render(bundle: Path, features: Path, output: Path, *more: str) -> dict:
    render_module.main(
        ["--bundle", str(bundle), "--audio-features", str(features), "--output", str(output),
         "--device", "cpu", *more]
    )  # fmt: skip
    return RENDER.read(output)[0]


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_parts_together_are_the_whole_take(tmp_path, trained, features, mode):
    model = trained / "model"
    flags = ("--take", "heldout", "--mode", mode)
    whole = render(model, features, tmp_path / "whole.h5", *flags)
    assert whole["index"].tolist() == list(clip.HELD_OUT)
    assert whole["speech"].tolist() == list(clip.HELD_OUT)
    parts = [
        render(model, features, tmp_path / f"{i}.h5", *flags, "--part", f"{i}-of-4")
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


def test_a_part_says_how_it_was_drawn(tmp_path, trained, features, capsys):
    """Held-out frames exactly; driven ones fast, beside some that are exact."""
    drawn = {}
    for take in ("heldout", "driven"):
        render(trained / "model", features, tmp_path / f"{take}.h5", "--take", take)
        drawn[take] = RENDER.read(tmp_path / f"{take}.h5")[1]
    assert drawn["heldout"]["mode"] == "exact" and not len(drawn["heldout"]["psnr_to_exact"])
    assert drawn["driven"]["mode"] == "fast"
    (difference,) = drawn["driven"]["psnr_to_exact"]
    assert f"beside exact ones: {difference:.1f} dB" in capsys.readouterr().err
    render(trained / "model", features, tmp_path / "exact.h5", "--mode", "exact")
    fast, exact = (RENDER.read(tmp_path / name)[0]["frames"] for name in ("driven.h5", "exact.h5"))
    middle = 6  # of 12 frames: the one that was compared
    error = ((fast[middle] - exact[middle].astype(float)) ** 2).mean()
    assert difference == pytest.approx(10 * np.log10(255**2 / error))


def test_displacements_are_stored_in_steps(tmp_path, trained, features):
    """Of both ways to draw, a part holds what the frames say, as far as a byte can."""
    stored = render(trained / "model", features, tmp_path / "x.h5", "--take", "heldout")
    bundle = load_bundle(trained / "model", torch.device("cpu"))
    windows = torch.from_numpy(AUDIO_FEATURES.read(features)[0]["windows"])
    drawn = ExactRenderer(bundle.model, bundle, windows).draw(clip.HELD_OUT[1], clip.HELD_OUT[1])
    length = drawn.displacement.square().sum(-1).sqrt().numpy()  # decimetres
    assert length.max() > 2 * DISPLACEMENT_STEP
    whole = np.minimum(length / DISPLACEMENT_STEP, 255)
    assert np.abs(stored["displacement"][1] - whole).max() <= 0.5 + 1e-3


def test_compared_frames_are_spread_over_a_part():
    frames = [(i, i) for i in range(90)]
    assert [pose for pose, _ in checked(frames)] == [15, 45, 75]
    assert checked(frames[:1]) == [(0, 0)]
    assert checked([]) == []


def test_parts_share_the_visible_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    cuda = torch.device("cuda")
    assert [device_of_part(cuda, part).index for part in (1, 2, 3)] == [0, 1, 0]
    assert device_of_part(torch.device("cpu"), 2) == torch.device("cpu")


def test_a_part_that_cannot_be_written_leaves_nothing(
    tmp_path, trained, features, monkeypatch, capsys
):
    def full(*frame):
        raise OSError("no space left")

    monkeypatch.setattr(render_module, "write_frame", full)
    with pytest.raises(SystemExit):
        render(trained / "model", features, tmp_path / "x.h5", "--mode", "exact")
    assert "error: no space left" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


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
