"""The command writes the same clip for the same arguments, and refuses what it cannot draw."""

import hashlib
import inspect
import json
import subprocess
import wave
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import h5py
import numpy as np
import pytest
from PIL import Image

from preprocess.demo_subject import TRUTH_FILES, truth
from preprocess.demo_subject import __main__ as command
from preprocess.demo_subject import clip as making
from preprocess.demo_subject.backdrop import backdrop
from preprocess.demo_subject.clip import make_demo_subject
from preprocess.demo_subject.looks import LOOKS
from preprocess.demo_subject.person import Look, Person
from preprocess.demo_subject.voice import FULL_SCALE, Speech, speak
from ssp_nerf import parsing_map as classes
from ssp_nerf.provenance.__main__ import read_provenance
from ssp_nerf.provenance.record import DRAWN
from ssp_nerf.provenance.xmp import read_xmp
from ssp_nerf.schema import PARSING, TRACK
from ssp_nerf.video import ffmpeg_binary
from tests.preprocess.demo_subject.subjects import person
from tests.preprocess.stages import refused

SIZE, SEED, TEXT = 64, 3, "Hi."
ARGUMENTS = ["--text", TEXT, "--seed", SEED, "--size", SIZE, "--words-per-minute", 300]


def known_person(look: Look) -> Person:
    """Instead of building it once more."""
    (name,) = [name for name in LOOKS if LOOKS[name] == look]
    return person(name)


@pytest.fixture(scope="module", autouse=True)
def rough_light() -> Iterator[None]:
    """Few rays look for light: it is faster, and nothing here depends on how even shadows are."""
    folder = "preprocess.demo_subject.picture"
    with patch(f"{folder}.AMBIENT_RAYS", 4), patch(f"{folder}.KEY_RAYS", 2):
        yield


def make(folder: Path, *arguments: object, build: Callable[[Look], Person] = known_person) -> Path:
    hurried = partial(speak, lead=0.1, tail=0.1)
    with (
        patch.object(making, "build_person", build),
        patch.object(making, "speak", hurried),
    ):
        command.main([str(a) for a in ["--folder", folder, *ARGUMENTS, *arguments]])
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("clip") / "anna")


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def frames_of(folder: Path) -> np.ndarray:
    """(N, 64, 64, 3) uint8 of the video."""
    options = "-loglevel error -f rawvideo -pix_fmt rgb24 -".split()
    command = [ffmpeg_binary(), "-i", str(folder / "video.mp4"), *options]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, SIZE, SIZE, 3)


def test_the_clip_says_that_nobody_was_filmed(clip: Path) -> None:
    about = read_provenance(clip / "video.mp4")
    assert about.source_type == read_xmp(clip / "video.mp4")["DigitalSourceType"] == DRAWN
    assert "Nobody was filmed" in about.sentence and not about.is_foreign


def test_same_arguments_same_bytes_with_any_number_of_workers(clip: Path, tmp_path: Path) -> None:
    """And for a person that was built anew."""
    again = make(tmp_path / "again", "--workers", 2, build=making.build_person)
    assert digests(again) == digests(clip)
    assert set(digests(clip)) == {"video.mp4", *(f"truth/{name}" for name in TRUTH_FILES)}


def test_another_seed_is_another_clip_of_the_same_speech(clip: Path, tmp_path: Path) -> None:
    with patch.object(making, "draw_all", blank_frames):
        other = make(tmp_path / "other", "--seed", SEED + 1)
    same = {name for name, digest in digests(other).items() if digests(clip)[name] == digest}
    assert same == {"truth/speech.wav", "truth/phonemes.csv"}


def blank_frames(*unused: object) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for _ in range(3):
        yield np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((SIZE, SIZE), np.uint8)


def test_the_video_is_what_was_drawn(clip: Path) -> None:
    frames = frames_of(clip)
    arrays, attributes = PARSING.read(clip / "truth" / "parsing.h5")
    parsing = arrays["parsing"]
    assert attributes["parser"] == "truth"
    assert frames.shape[:3] == parsing.shape
    room = np.asarray(Image.open(clip / "truth" / "background.png"))
    np.testing.assert_array_equal(room, backdrop(SIZE, SEED))
    always_free = (parsing == classes.BACKGROUND).all(0)
    assert always_free.mean() > 0.3
    # But for the loss of H.264 and its halved colours.
    apart = np.abs(frames.astype(int) - room)[:, always_free]
    assert np.median(apart) <= 3
    assert np.abs(frames.astype(int) - room)[:, ~always_free].mean() > 4 * apart.mean()


def test_the_video_has_25_frames_a_second_and_lasts_as_long_as_the_speech(clip: Path) -> None:
    said = subprocess.run(
        [ffmpeg_binary(), "-i", clip / "video.mp4"], capture_output=True, text=True
    ).stderr
    assert f"{SIZE}x{SIZE}" in said and "25 fps" in said and "Audio: aac" in said
    count = len(frames_of(clip))
    seconds = (len((clip / "truth" / "speech.wav").read_bytes()) - 44) / 2 / 22050
    assert count <= 25 * seconds < count + 1
    with TRACK.open(clip / "truth" / "track.h5") as file:
        assert len(file["c2w"]) == count


def test_files_say_how_they_were_made(clip: Path) -> None:
    for name in ("track", "landmarks", "landmarks68", "mesh", "parsing"):
        with h5py.File(clip / "truth" / f"{name}.h5") as file:
            config = json.loads(file.attrs["config"])
        assert config.items() >= {
            "person": "anna", "text": TEXT, "voice": "en-us", "seed": SEED, "words_per_minute": 300
        }.items()  # fmt: skip


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--person", "eve"], "person is 'eve', expected one of anna, ben, mei."),
        (["--size", "62"], "size is 62"),
        (["--size", "95"], "size is 95, expected an even number"),
        (["--seed", "-1"], "seed is -1"),
        (["--workers", "0"], "workers 0"),
        (["--voice", "klingon"], "klingon"),
        (["--words-per-minute", "7"], "7"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(
    arguments: list[str], expected: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    assert expected in refused(command.main, ["--folder", folder, *arguments], capfd)
    assert not folder.exists()


def interrupted(*unused: object) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    yield from blank_frames()
    raise KeyboardInterrupt


def test_an_interruption_leaves_no_half_written_video(tmp_path: Path) -> None:
    with patch.object(making, "draw_all", interrupted), pytest.raises(SystemExit):
        make(tmp_path)
    left = set(digests(tmp_path))
    assert not left & {"video.mp4", "truth/parsing.h5"}
    assert not [name for name in left if "partial" in name]


def test_an_interruption_leaves_no_older_video_beside_another_clips_truth(tmp_path: Path) -> None:
    with patch.object(making, "draw_all", blank_frames):
        make(tmp_path)
    assert "video.mp4" in digests(tmp_path)
    with patch.object(making, "draw_all", interrupted), pytest.raises(SystemExit):
        make(tmp_path, "--seed", SEED + 1)
    assert "video.mp4" not in digests(tmp_path)


def test_what_is_refused_leaves_an_older_clip_alone(clip: Path) -> None:
    before = digests(clip)
    with pytest.raises(SystemExit):
        make(clip, "--voice", "klingon")
    assert digests(clip) == before


def test_the_sound_file_holds_the_synthesisers_own_samples(tmp_path: Path) -> None:
    samples = np.arange(-32768, 32768).astype(np.int16)
    speech = Speech((samples / FULL_SCALE).astype(np.float32), 22050, ())
    truth.write_speech(tmp_path / "speech.wav", speech)
    with wave.open(str(tmp_path / "speech.wav")) as file:
        assert file.readframes(len(samples)) == samples.astype("<i2").tobytes()


def test_the_command_and_its_function_have_the_same_defaults() -> None:
    with patch.object(command, "make_demo_subject") as made:
        command.main(["--folder", "somewhere"])
    stated = inspect.signature(make_demo_subject).parameters
    assert made.call_args.kwargs == {
        "folder": Path("somewhere"),
        **{name: about.default for name, about in stated.items() if name != "folder"},
    }
