"""HuBERT's features: which moment a step hears, in pieces as in one go, and what is refused."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from preprocess import hubert
from preprocess.audio_features import main
from preprocess.hubert import HOP, OVERLAP, PIECE, Hubert, strides
from ssp_nerf.errors import InputError
from ssp_nerf.schema import AUDIO_FEATURES
from ssp_nerf.speech import SAMPLE_RATE
from tests.clips import speech, write_wav
from tests.preprocess.speech_networks import write_hubert
from tests.preprocess.stages import refused

WIDTH = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_hubert(tmp_path / "net", WIDTH)


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)


def deaf_to_others(folder: Path) -> Hubert:
    """A network whose step is heard by the convolutions alone: nothing tells it of the others."""
    network = Hubert(write_hubert(folder, WIDTH, layers=0))
    network.prepare.do_normalize = False
    convolution = network.network.encoder.pos_conv_embed.conv
    with torch.no_grad():
        convolution.parametrizations.weight.original0.zero_()  # the length of its weights
        convolution.bias.zero_()
    return network


def test_a_step_hears_400_samples_centred_on_its_20_ms(tmp_path: Path) -> None:
    """Step k of 320 samples is centred on sample 320 k + 160, as log-mel's is."""
    network = deaf_to_others(tmp_path / "net")
    samples = noise(6400)
    before = network(samples)
    assert before.shape == (20, WIDTH)
    for sample in (0, 3159, 3160, 3239, 3240, 3340, 3439, 3440, 3500, 3559, 3560, 6399):
        other = samples.copy()
        other[sample] += 1
        changed = np.flatnonzero(np.abs(network(other) - before).max(axis=1) > 1e-4)
        centres = HOP * np.arange(20) + HOP / 2
        assert changed.tolist() == np.flatnonzero(np.abs(sample + 0.5 - centres) < 200).tolist()


def test_what_is_said_changes_most_where_the_sound_does(folder: Path) -> None:
    """In a whole network, attention and all."""
    network, samples = Hubert(folder), noise(16_000)
    before = network(samples)
    for step in (0, 7, 24, 49):
        other = samples.copy()
        other[HOP * step + 80 : HOP * step + 240] *= -1
        assert np.linalg.norm(network(other) - before, axis=1).argmax() == step


@pytest.mark.parametrize("samples", [1, 320, 321, 6400])
def test_there_is_a_step_for_each_20_ms_begun(folder: Path, samples: int) -> None:
    assert Hubert(folder)(noise(samples)).shape == (-(-samples // HOP), WIDTH)


def test_features_are_the_last_hidden_states_of_the_normalised_speech(folder: Path) -> None:
    samples = noise(9600) + 0.02
    sound = np.pad((samples - samples.mean()) / samples.std(), 40)  # 400 - 320, half to each side
    network = transformers.HubertModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = network(torch.tensor(sound, dtype=torch.float32)[None]).last_hidden_state[0]
    np.testing.assert_allclose(Hubert(folder)(samples), expected, atol=1e-4)


def test_pieces_give_what_the_whole_gives_where_no_attention_reaches_farther(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its layers of attention a network's step depends on 64 steps to either side."""
    network = Hubert(write_hubert(tmp_path / "net", WIDTH, layers=0))
    samples = noise((2 * PIECE + 150) * HOP + 77)
    pieces = network(samples)
    monkeypatch.setattr(hubert, "PIECE", len(pieces))
    whole = network(samples)
    assert len(whole) > 2 * PIECE and OVERLAP > 64
    np.testing.assert_allclose(pieces, whole, atol=1e-4)
    monkeypatch.setattr(hubert, "PIECE", PIECE)
    monkeypatch.setattr(hubert, "OVERLAP", 0)
    cut = np.abs(network(samples) - whole).max(axis=1)
    assert cut[PIECE - 1] > 0.01 and cut[PIECE] > 0.01 and cut[PIECE // 2] < 1e-4


def test_convolutions_add_up() -> None:
    """HuBERT's: 20 ms from step to step, 25 ms seen, at 16 kHz."""
    assert strides([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2]) == (320, 400)
    assert strides([3], [1]) == (1, 3)


def test_the_file_that_was_published_in_2021_is_read(folder: Path) -> None:
    """hubert-large-ls960-ft: a pickle of tensors with a prefix, a head, and weight norm's old
    names."""
    samples = noise(3200)
    expected = Hubert(folder)(samples)
    model = transformers.HubertModel.from_pretrained(folder)
    old = {"parametrizations.weight.original0": "weight_g"}
    old["parametrizations.weight.original1"] = "weight_v"
    published = {"lm_head.weight": torch.zeros(32, WIDTH), "lm_head.bias": torch.zeros(32)}
    for name, value in model.state_dict().items():
        for new_name, old_name in old.items():
            name = name.replace(new_name, old_name)
        published[f"hubert.{name}"] = value
    (folder / "model.safetensors").unlink()
    torch.save(published, folder / "pytorch_model.bin")
    np.testing.assert_array_equal(Hubert(folder)(samples), expected)


def test_a_wav2vec_network_will_do(tmp_path: Path) -> None:
    folder = write_hubert(tmp_path, WIDTH)
    config = transformers.Wav2Vec2Config.from_dict(
        {**json.loads((folder / "config.json").read_text()), "model_type": "wav2vec2"}
    )
    transformers.Wav2Vec2Model(config).save_pretrained(folder)
    assert Hubert(folder)(noise(3200)).shape == (10, WIDTH)


def test_command_writes_the_networks_own_width_and_says_which_network(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_hubert(tmp_path / "nets" / "tiny", WIDTH)
    write_wav(tmp_path / "speech.wav", speech(1.0, SAMPLE_RATE), SAMPLE_RATE)
    capfd.readouterr()
    flags = [
        *("--speech", tmp_path / "speech.wav", "--extractor", "hubert", "--channels", 32),
        *("--weights", tmp_path / "nets", "--hubert", "tiny", "--features"),
    ]
    for name in ("first.h5", "second.h5"):
        main([str(flag) for flag in [*flags, tmp_path / name]])
    arrays, attributes = AUDIO_FEATURES.read(tmp_path / "first.h5")
    assert arrays["windows"].shape == (25, 16, WIDTH)
    assert not arrays["windows"][0, :8].any() and arrays["windows"][0, 8:].all()
    assert (attributes["extractor"], attributes["rate"]) == ("hubert/tiny", 50)
    assert (tmp_path / "first.h5").read_bytes() == (tmp_path / "second.h5").read_bytes()
    said = capfd.readouterr()
    assert not said.out and len(said.err.splitlines()) == 2  # one of progress for each command
    line = refused(main, [*flags[:-2], "absent", "--features", tmp_path / "x.h5"], capfd)
    for word in (tmp_path / "nets" / "absent", "audio.weights", "audio.hubert", "logmel"):
        assert str(word) in line
    assert not (tmp_path / "x.h5").exists()


def change_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def another_kind(folder: Path) -> None:
    config = transformers.BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    transformers.BertModel(config).save_pretrained(folder)


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_a_missing_package_is_named(
    package: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(InputError, match=f"lacks {package}.*audio.extractor to logmel"):
        Hubert(folder)


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda net: (net / "config.json").unlink(), "config.json: expected a network"),
    "no preprocessing": (
        lambda net: (net / "preprocessor_config.json").unlink(),
        "preprocessor_config.json: expected a network",
    ),
    "no weights": (lambda net: (net / "model.safetensors").unlink(), "no file named"),
    "damaged": (lambda net: (net / "model.safetensors").write_bytes(b"x" * 99), "header too large"),
    "not JSON": (lambda net: (net / "config.json").write_text("{"), "not a valid JSON"),
    "another kind": (another_kind, "no attribute 'conv_kernel'"),
    "too few layers": (
        lambda net: change_config(net, num_hidden_layers=3),
        "16 weights are missing or of another size, encoder.layers.2",
    ),
    "another width": (lambda net: change_config(net, hidden_size=16), "of another size"),
    "another rate": (
        lambda net: change_config(net, conv_stride=[5, 2, 2, 2, 2, 2, 1]),
        "100 steps a second, not 50",
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_no_such_network_is_refused(harm: str, folder: Path) -> None:
    spoil, words = HARMS[harm]
    spoil(folder)
    with pytest.raises(InputError) as error:
        Hubert(folder)
    message = str(error.value)
    assert words in message and str(folder) in message and "\n" not in message
    assert "audio.extractor to logmel" in message
