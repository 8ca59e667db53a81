"""DeepSpeech's features against formulas written out, and against the network computed by numpy."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import python_speech_features

from preprocess import deepspeech
from preprocess.audio_features import Extractor, extract_audio_features, main
from preprocess.deepspeech import BLOCK, GRAPH, GRAPH_SHA1, STEP, DeepSpeech, input_vectors, mfcc
from ssp_nerf.errors import InputError
from ssp_nerf.schema import AUDIO_FEATURES
from ssp_nerf.speech import SAMPLE_RATE
from ssp_nerf.weights import require_weights
from tests.clips import speech, write_wav
from tests.preprocess.speech_networks import (
    deepspeech_logits,
    deepspeech_weights,
    write_deepspeech,
)
from tests.preprocess.stages import refused

ROOT = Path(__file__).parents[2]
WEIGHTS = deepspeech_weights()


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_deepspeech(tmp_path_factory.mktemp("weights") / "small.pb", WEIGHTS)


@pytest.fixture(scope="module")
def network(graph: Path) -> DeepSpeech:
    return DeepSpeech(graph)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """(T,) float32 that 16 bits hold without rounding."""
    return np.random.default_rng(seed).integers(-9000, 9000, samples).astype(np.float32) / 32768


def cepstra_by_formula(samples: np.ndarray, frame: int) -> np.ndarray:
    """The 26 numbers of 10 ms frame `frame`, written out after the definition of each."""
    signal = 32768.0 * samples.astype(np.float64)
    emphasised = signal - 0.97 * np.concatenate([[0.0], signal[:-1]])
    heard = np.zeros(512)
    inside = emphasised[160 * frame : 160 * frame + 400]
    heard[: len(inside)] = inside
    turns = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(512)) / 512)
    power = np.abs(turns @ heard) ** 2 / 512
    mel = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 28)
    bins = np.floor(513 * 700 * (10 ** (mel / 2595) - 1) / 16000)
    energies = []
    for low, centre, high in zip(bins, bins[1:], bins[2:], strict=False):
        i = np.arange(257)
        rising = (i - low) / (centre - low)
        falling = (high - i) / (high - centre)
        inside_triangle = (i >= low) & (i < high)
        energies.append((np.where(i < centre, rising, falling) * inside_triangle) @ power)
    n = np.arange(26)
    cosines = np.cos(np.pi * np.outer(n, n + 0.5) / 26) * np.sqrt(2 / 26)
    cepstra = (cosines @ np.log(energies)) * (1 + 11 * np.sin(np.pi * n / 22))
    cepstra[0] = np.log(power.sum())
    return cepstra


def test_cepstra_are_those_of_the_formula() -> None:
    samples = noise(8000) + 0.2 * speech(0.5, SAMPLE_RATE)
    found = mfcc(samples)
    assert found.shape == (25, 26)
    for step in (0, 1, 7, 24):  # the last reaches beyond the end
        np.testing.assert_allclose(found[step], cepstra_by_formula(samples, 2 * step), rtol=1e-6)


@pytest.mark.parametrize("more", [0, 1, 100, 240, 241, 320, 400, 5000])
def test_cepstra_in_blocks_are_those_of_16_bit_samples_in_one_go(more: int) -> None:
    samples = noise(BLOCK * STEP + more)
    integers = (32768 * samples).astype(np.int16)
    whole = python_speech_features.mfcc(integers, SAMPLE_RATE, numcep=26)[::2]
    np.testing.assert_allclose(mfcc(samples), whole, rtol=0, atol=1e-9)


@pytest.mark.parametrize("sample", [3199, 3200, 3210, 3380, 3519, 3530, 3599, 3600])
def test_a_step_hears_25_ms_from_its_time_on(sample: int) -> None:
    """And through the pre-emphasis the sample before: a step later by 2.5 ms than log-mel's."""
    samples = noise(8000)
    other = samples.copy()
    other[sample] += 0.3
    changed = np.flatnonzero((mfcc(samples) != mfcc(other)).any(axis=1))
    hearing = [k for k in range(25) if 320 * k - 1 <= sample < 320 * k + 400]
    assert changed.tolist() == hearing


def test_an_input_vector_holds_the_steps_around_it_and_zeros_beyond_the_ends() -> None:
    cepstra = np.random.default_rng(0).normal(5, 2, (30, 26))
    expected = np.zeros((30, 494))
    for k in range(30):
        for j in range(19):
            if 0 <= k + j - 9 < 30:
                expected[k, 26 * j : 26 * j + 26] = cepstra[k + j - 9]
    found = input_vectors(cepstra)
    np.testing.assert_allclose(found, (expected - expected.mean()) / expected.std(), atol=1e-5)
    assert found.mean() == pytest.approx(0, abs=1e-6) and found.std() == pytest.approx(1, abs=1e-6)


def test_the_stage_writes_what_the_network_says_in_windows(
    network: DeepSpeech, tmp_path: Path
) -> None:
    """As AD-NeRF has them: 8 zero steps to either side of all, a window from every second on."""
    wav = write_wav(tmp_path / "speech.wav", noise(40_000) * 32768 / 32767, SAMPLE_RATE)  # 2.5 s
    extractor = Extractor("deepspeech", network)
    extract_audio_features(wav, tmp_path / "features.h5", 62, extractor)
    arrays, attributes = AUDIO_FEATURES.read(tmp_path / "features.h5")
    assert (attributes["extractor"], attributes["rate"]) == ("deepspeech", 50)

    logits = deepspeech_logits(input_vectors(mfcc(noise(40_000))), WEIGHTS)
    assert logits.std() > 0.3
    padded = np.concatenate([np.zeros((8, 29)), logits, np.zeros((8, 29))])
    expected = np.stack([padded[2 * i : 2 * i + 16] for i in range(62)])
    np.testing.assert_allclose(arrays["windows"], expected, atol=1e-5)

    extract_audio_features(wav, tmp_path / "again.h5", 62, extractor)
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "features.h5").read_bytes()


def test_both_ends_of_the_speech_are_heard_at_once(network: DeepSpeech) -> None:
    """The network's memory runs both ways, so that its first step knows of the last."""
    inputs = input_vectors(mfcc(noise(9600)))
    other = inputs.copy()
    other[-1] *= -1
    change = np.abs(network._run(inputs) - network._run(other)).max(axis=1)
    assert (change > 0).all() and change[0] < change[-1]


def test_long_speech_in_pieces_joins_at_the_right_steps(
    network: DeepSpeech, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory fades, so that pieces with enough overlap say what the whole does."""
    samples = noise(5 * SAMPLE_RATE)
    whole = network(samples)
    monkeypatch.setattr(deepspeech, "PIECE", 60)
    monkeypatch.setattr(deepspeech, "OVERLAP", 80)
    np.testing.assert_allclose(network(samples), whole, atol=1e-4)
    monkeypatch.setattr(deepspeech, "OVERLAP", 0)
    assert np.abs(network(samples) - whole).max() > 0.01


def command(tmp_path: Path, *more: object) -> list:
    write_wav(tmp_path / "speech.wav", noise(3200), SAMPLE_RATE)
    return [
        *("--speech", tmp_path / "speech.wav", "--features", tmp_path / "features.h5"),
        *("--extractor", "deepspeech", "--weights", tmp_path / "nets", *more),
    ]


def test_a_missing_graph_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = refused(main, command(tmp_path), capfd)
    words = (
        GRAPH,
        GRAPH_SHA1,
        str(tmp_path / "nets"),
        "audio.extractor",
        "audio.weights",
        "logmel",
    )
    for word in words:
        assert word in line
    assert not (tmp_path / "features.h5").exists()


def test_another_graph_is_refused_by_its_checksum(
    graph: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Even one that would load: a graph of another training hears other things."""
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / GRAPH).write_bytes(graph.read_bytes())
    line = refused(main, command(tmp_path), capfd)
    assert f"its sha1 is {hashlib.sha1(graph.read_bytes()).hexdigest()}" in line
    assert f"{GRAPH} (sha1 {GRAPH_SHA1})" in line and "audio.weights" in line
    assert not (tmp_path / "features.h5").exists()


def test_a_file_of_the_right_sha1_is_taken(graph: Path) -> None:
    sha1 = hashlib.sha1(graph.read_bytes()).hexdigest()
    assert require_weights(graph.parent, graph.name, "a.b", "c", sha1=sha1) == graph


def write_other_tensors(path: Path) -> None:
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        tf.compat.v1.placeholder(tf.float32, [None], name="input_node")
        path.write_bytes(graph.as_graph_def().SerializeToString())


def write_other_widths(path: Path) -> None:
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        inputs = tf.compat.v1.placeholder(tf.float32, [1, 16, 19, 26], name="input_node")  # 0.9
        tf.compat.v1.placeholder(tf.int32, [1], name="input_lengths")
        tf.reshape(inputs, [16, 1, -1], name="logits")
        path.write_bytes(graph.as_graph_def().SerializeToString())


@pytest.mark.parametrize(
    "write",
    [lambda path: path.write_bytes(b"no graph" * 9), write_other_tensors, write_other_widths],
    ids=["no graph", "other tensors", "later version"],
)
def test_what_is_no_such_graph_is_refused(write, tmp_path: Path) -> None:
    write(tmp_path / "net.pb")
    with pytest.raises(
        InputError, match=r"net\.pb: expected the frozen graph of DeepSpeech 0\.1\.0"
    ):
        DeepSpeech(tmp_path / "net.pb")


@pytest.mark.parametrize("package", ["tensorflow", "python_speech_features"])
def test_a_missing_package_is_named(
    package: str, graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(InputError, match=f"lacks {package}.*audio.extractor to logmel"):
        DeepSpeech(graph)


def test_tensorflow_says_nothing_and_is_loaded_only_when_needed(graph: Path) -> None:
    script = (
        "import sys, numpy as np\n"
        "from preprocess import audio_features\n"
        "from preprocess.deepspeech import DeepSpeech\n"
        "heavy = {'tensorflow', 'torch', 'transformers', 'python_speech_features'}\n"
        "print(heavy & set(sys.modules))\n"
        f"print(DeepSpeech({str(graph)!r})(np.ones(3200, np.float32)).shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["set()", "(10, 29)"]
    (line,) = done.stderr.splitlines()
    assert line.startswith("extract_audio_features: 1/1 pieces")
