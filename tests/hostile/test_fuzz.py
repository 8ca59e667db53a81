"""Inputs that nobody thought of: whatever the bytes, one clear line or a result, never a traceback.

Examples are drawn from a fixed seed, so that a failure is the same everywhere; `make test-hostile`
draws more of them.
"""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preprocess import audio_features, crop, speech
from preprocess.check import admit
from ssp_nerf import render
from ssp_nerf.bundle import load_bundle
from ssp_nerf.config import SECTIONS, section_from_mapping
from ssp_nerf.config_file import mistakes_of, section_values
from ssp_nerf.dataset import PortraitDataset
from ssp_nerf.errors import InputError
from tests import clips
from tests.hostile import configs, data
from tests.hostile.case import CANARY, Folders, called, error_line
from tests.hostile.videos import plain_clip

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "15"))
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# How a file is damaged: cut off at a share of its length, then bytes written over.
cuts = st.one_of(st.just(1.0), st.floats(0, 1))
bursts = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=64)), max_size=8)


def damaged(content: bytes, cut: float, writes: list[tuple[float, bytes]]) -> bytes:
    """Bytes cut off, and written over at shares of their length."""
    result = bytearray(content[: round(cut * len(content))])
    for share, written in writes:
        begin = int(share * len(result))
        result[begin : begin + len(written)] = written
    return bytes(result)


def one_line_or_done(module: str, arguments: list[str], folders: Folders, capfd) -> bool:
    """Run a command: it works, or ends in one line and writes nothing; whether it worked."""
    shutil.rmtree(folders.out, ignore_errors=True)
    status, said = called(module, arguments, capfd)
    assert status in (0, 2) and "Traceback" not in said, said
    assert not list(folders.own.rglob(CANARY))
    if status == 2:
        assert error_line(said)
        assert not folders.out.exists() or not list(folders.out.rglob("*"))
    else:
        assert not list(folders.out.rglob(".*")), "something half-written lies there"
    return status == 0


@fuzz
@given(cut=cuts, writes=bursts)
def test_damaged_videos(folders: Folders, capfd, cut, writes) -> None:
    path = folders.own / "video.mp4"
    path.write_bytes(damaged(plain_clip(folders.made).read_bytes(), cut, writes))
    outputs = [f"--portrait={folders.out}/p.mp4", f"--frames={folders.out}/f.h5", "--size=64"]
    one_line_or_done(crop.__name__, [f"--video={path}", *outputs], folders, capfd)


@fuzz
@given(cut=cuts, writes=bursts)
def test_damaged_sound(folders: Folders, capfd, cut, writes) -> None:
    whole = folders.made / "fuzzed.wav"
    if not whole.exists():
        clips.write_wav(whole, clips.speech(0.4, 16000), 16000)
    path = folders.own / "sound.wav"
    path.write_bytes(damaged(whole.read_bytes(), cut, writes))
    out = folders.out
    one_line_or_done(speech.__name__, [f"--media={path}", f"--wav={out}/s.wav"], folders, capfd)
    features = [f"--speech={path}", f"--features={out}/f.h5"]
    one_line_or_done(audio_features.__name__, features, folders, capfd)


@fuzz
@given(head=st.binary(max_size=48))
def test_any_header_of_a_wav(folders: Folders, capfd, head) -> None:
    """A reader trusts most what stands in front."""
    whole = clips.write_wav(folders.own / "whole.wav", clips.speech(0.1, 16000), 16000)
    path = folders.own / "sound.wav"
    path.write_bytes(b"RIFF" + head + whole.read_bytes()[4 + len(head) :])
    features = [f"--speech={path}", f"--features={folders.out}/f.h5"]
    one_line_or_done(audio_features.__name__, features, folders, capfd)


def in_a_child(work, path: Path) -> None:
    """Call `work(path)` in a process of its own, which a library may crash: it must not, and must
    end with a result or an InputError."""
    child = os.fork()
    if child == 0:
        status = 3
        try:
            work(path)
            status = 0
        except InputError as error:
            status = 2 if str(error) else 3
        except OSError:  # a command prints it as one line, too
            status = 2
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 2)


def read_all(path: Path) -> None:
    dataset = PortraitDataset(path, torch.device("cpu"))
    dataset.hold(quiet=True)
    dataset.scene()


@fuzz
@given(cut=cuts, writes=bursts)
def test_damaged_datasets(folders: Folders, cut, writes) -> None:
    path = folders.own / "dataset.h5"
    path.write_bytes(damaged(data.dataset(folders).read_bytes(), cut, writes))
    in_a_child(read_all, path)


@fuzz
@given(
    file=st.sampled_from(["weights.safetensors", "scene.safetensors", "bundle.json"]),
    cut=cuts,
    writes=bursts,
)
def test_damaged_models(folders: Folders, file, cut, writes) -> None:
    bundle = folders.own / "model"
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(data.model(folders), bundle)
    (bundle / file).write_bytes(damaged((bundle / file).read_bytes(), cut, writes))
    in_a_child(lambda path: load_bundle(path, torch.device("cpu")), bundle)


# What YAML and JSON can hold.
texts = st.text(st.characters(codec="utf-8"), max_size=12)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), texts, st.dates(), st.binary(max_size=4)
)
keys = st.one_of(texts, st.integers())
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
KEYS = [
    (section, key)
    for section, about in configs.DEFAULTS.items()
    for key in ([None, *about] if isinstance(about, dict) else [None])
]


@settings(fuzz, max_examples=8 * EXAMPLES)
@given(where=st.sampled_from(KEYS), value=values)
def test_any_value_of_any_key(where, value) -> None:
    """A config is refused in lines, or all that reads it can."""
    section, key = where
    config = yaml.safe_load(yaml.safe_dump(configs.DEFAULTS))
    if key is None:
        config[section] = value
    else:
        config[section][key] = value
    found = mistakes_of(config, configs.SCHEMA)
    assert all(line and "\n" not in line and len(line) < 400 for line in found)
    if not found:
        json.dumps(config, allow_nan=False)
        for known in SECTIONS:
            section_from_mapping(known, section_values(config, known))


@settings(fuzz, max_examples=4 * EXAMPLES)
@given(name=st.one_of(texts, st.integers()), about=st.dictionaries(
    st.sampled_from(["video", "start", "duration", "consent", "speeches"]), values))  # fmt: skip
def test_any_subject(name, about) -> None:
    config = {**configs.DEFAULTS, "subjects": {name: about}}
    found = mistakes_of(config, configs.SCHEMA)
    if not found:
        assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
        assert not name.startswith("-") and "\0" not in about["video"]
        assert np.isfinite(about.get("start", 0)) and about.get("duration", 1) > 0


@fuzz
@given(content=st.one_of(values.map(lambda v: json.dumps(v, default=str)), st.text()))
def test_any_report_of_the_check(folders: Folders, capfd, content) -> None:
    path = folders.own / "check.json"
    path.write_text(content, encoding="utf-8", errors="replace")
    arguments = [f"--check={path}", f"--admitted={folders.out}/admitted.txt"]
    one_line_or_done(admit.__name__, arguments, folders, capfd)


FLAGS = """
    --bundle --output --part --take --device --rays-per-chunk --audio-features --mode 1-of-2 -1 nan
""".split()
words = st.one_of(texts, st.sampled_from(FLAGS)).filter(lambda word: "\0" not in word)


@fuzz
@given(words=st.lists(words, max_size=6))
def test_any_arguments(folders: Folders, capfd, words) -> None:
    status, said = called(render.__name__, words, capfd)
    assert status == 2 or "-h" in words or any(w.startswith("--h") for w in words), said
    assert "Traceback" not in said, said


@pytest.fixture(autouse=True)
def _in_one_thread():
    """A forked child of a process with many threads of PyTorch would wait for them for ever."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
