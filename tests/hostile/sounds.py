"""Hostile and odd sound, through the stages that read it."""

import struct
import wave
from collections.abc import Callable
from pathlib import Path

import ffmpeg
import numpy as np

from ssp_nerf.schema import AUDIO_FEATURES
from ssp_nerf.speech import SAMPLE_RATE, read_speech
from ssp_nerf.video import run_ffmpeg
from tests import clips
from tests.hostile.case import Case, Check, Folders
from tests.hostile.videos import bytes_of, check, copied, encoded_silent, folder, playlist

SECONDS, CLICK = 1.0, 0.4
SPEECH, FEATURES = "preprocess.speech", "preprocess.audio_features"

Maker = Callable[[Folders], Path]
Arguments = Callable[[Folders], list[str]]


def to_wav(maker: Maker, *more: str) -> Arguments:
    """Arguments of `preprocess.speech`."""
    return lambda folders: [f"--media={maker(folders)}", f"--wav={folders.out}/s.wav", *more]


def to_features(maker: Maker, *more: str) -> Arguments:
    """Arguments of `preprocess.audio_features`."""
    return lambda folders: [f"--speech={maker(folders)}", f"--features={folders.out}/f.h5", *more]


def source(name: str, samples: np.ndarray, rate: int = clips.SOUND_RATE) -> Maker:
    """A mono wav of (T,) samples."""
    return lambda folders: clips.write_wav(folders.own / name, samples, rate)


def clicked(name: str, **options) -> Maker:
    """A click at `CLICK`, as ffmpeg encodes it with options."""

    def make(folders: Folders) -> Path:
        wav = clips.write_wav(folders.made / "click.wav", clips.click(SECONDS, CLICK))
        run_ffmpeg(ffmpeg.input(str(wav)).output(str(folders.own / name), **options), name)
        return folders.own / name

    return make


def wav_bytes(
    name: str, samples: np.ndarray, code: int, bits: int, size: int | None = None
) -> Maker:
    """A wav of any sample format; `size`: the bytes that its header promises."""

    def make(folders: Folders) -> Path:
        content, width = samples.tobytes(), bits // 8
        promised = len(content) if size is None else size
        about = struct.pack("<HHIIHH", code, 1, SAMPLE_RATE, SAMPLE_RATE * width, width, bits)
        chunks = b"WAVEfmt " + struct.pack("<I", 16) + about + b"data"
        chunks += struct.pack("<I", promised) + content
        path = folders.own / name
        path.write_bytes(b"RIFF" + struct.pack("<I", min(len(chunks), 2**32 - 1)) + chunks)
        return path

    return make


def stereo(folders: Folders) -> Path:
    with wave.open(str(folders.own / "stereo.wav"), "wb") as file:
        file.setparams((2, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(bytes(4 * SAMPLE_RATE))
    return folders.own / "stereo.wav"


def with_sound(name: str, samples: np.ndarray) -> Maker:
    """A talking head with other sound."""

    def make(folders: Folders) -> Path:
        silent = encoded_silent("silent.mp4")(folders)
        wav = clips.write_wav(folders.own / "sound.wav", samples)
        streams = ffmpeg.input(str(silent)).video, ffmpeg.input(str(wav)).audio
        run_ffmpeg(ffmpeg.output(*streams, str(folders.own / name), vcodec="copy"), name)
        return folders.own / name

    return make


def heard(folders: Folders, said: str) -> None:
    """16 kHz mono, the click where it was, as long as it was."""
    samples = read_speech(folders.out / "s.wav")
    assert abs(len(samples) / SAMPLE_RATE - SECONDS) < 0.06
    at = float(np.argmax(np.abs(samples) > 0.3 * np.abs(samples).max())) / SAMPLE_RATE
    assert abs(at - CLICK) < 0.04, at
    assert np.abs(samples).max() > 0.05


def finite(rows: int) -> Check:
    """So many windows, all of finite numbers; opening the file checks them."""

    def right(folders: Folders, said: str) -> None:
        windows = AUDIO_FEATURES.read(folders.out / "f.h5")[0]["windows"]
        assert len(windows) == rows and np.isfinite(windows).all()

    return right


def reported(topic: str, words: str) -> Check:
    """The report of `preprocess.check` says so."""

    def right(folders: Folders, said: str) -> None:
        lines = [line for line in said.splitlines() if f" {topic}: " in line]
        assert lines and words in lines[0], said

    return right


def wav_written(folders: Folders, said: str) -> None:
    assert np.isfinite(read_speech(folders.out / "s.wav")).all()


def sound(what: str, module: str, arguments: Arguments, **more) -> Case:
    return Case("sound", what, module, arguments, **more)


SILENCE = np.zeros(SAMPLE_RATE, np.float32)
CLIPPED = (100 * clips.speech(0.8)).clip(-1, 1)
AS_HEARD = ("16 kHz mono, the click where it was", heard)

CASES = [
    sound("zero bytes", SPEECH, to_wav(bytes_of("a.wav", lambda b: b"")), refusal="is empty"),
    sound("text named .wav", SPEECH, to_wav(bytes_of("a.wav", lambda b: b"no\n" * 99)),
          refusal="cannot be read as one"),
    sound("a folder", SPEECH, to_wav(folder), refusal="is not a file"),
    sound("playlist of web addresses", SPEECH, to_wav(playlist), refusal="cannot be read as one"),
    sound("no sample", SPEECH, to_wav(source("empty.wav", np.zeros(0))),
          refusal="has no sound between"),
    sound("video without sound", SPEECH, to_wav(encoded_silent("silent.mp4")),
          refusal="has no audio track"),
    sound("start beyond the end", SPEECH, to_wav(copied("t.mp4"), "--start=9"),
          refusal="no sound between 9 s"),
    sound("silence", SPEECH, to_wav(source("silence.wav", SILENCE)),
          works=("silence, to drive with", wav_written)),
    sound("silence, checked", "preprocess.check", check(with_sound("mute.mp4", SILENCE)),
          works=("the report: will not work", reported("sound", "silence"))),
    sound("clipped, checked", "preprocess.check", check(with_sound("loud.mp4", CLIPPED)),
          works=("the report names it", reported("clipping", "at full scale"))),
    sound("stereo", SPEECH, to_wav(clicked("2.wav", ac=2)), works=AS_HEARD),
    sound("5.1", SPEECH, to_wav(clicked("6.flac", ac=6)), works=AS_HEARD),
    sound("8 kHz", SPEECH, to_wav(clicked("8k.wav", ar=8000)), works=AS_HEARD),
    sound("192 kHz, 24 bits", SPEECH, to_wav(clicked("h.wav", ar=192000, acodec="pcm_s24le")),
          works=AS_HEARD),
    sound("8 bits", SPEECH, to_wav(clicked("8.wav", acodec="pcm_u8")), works=AS_HEARD),
    sound("mp3 named .wav", SPEECH, to_wav(clicked("mp3.wav", format="mp3")), works=AS_HEARD),
    sound("floats that are no numbers", SPEECH,
          to_wav(wav_bytes("nan.wav", np.full(SAMPLE_RATE, np.nan, "<f4"), 3, 32)),
          works=("finite samples", wav_written)),
    sound("4 GiB promised, 2 s there", SPEECH,
          to_wav(wav_bytes("long.wav", np.ones(2 * SAMPLE_RATE, "<i2"), 1, 16, 2**32 - 8)),
          works=("what is there", wav_written)),
    sound("not the stage's wav: stereo", FEATURES, to_features(stereo), refusal="2 channels"),
    sound("not the stage's wav: 44 kHz", FEATURES, to_features(source("44.wav", SILENCE)),
          refusal="44100 Hz"),
    sound("not the stage's wav: floats", FEATURES,
          to_features(wav_bytes("f.wav", np.zeros(99, "<f4"), 3, 32)), refusal="expected a wav"),
    sound("the stage's wav, cut off", FEATURES,
          to_features(wav_bytes("c.wav", np.zeros(9001, "u1"), 1, 16, 32000)),
          refusal="it is cut off"),
    sound("the stage's wav, odd bytes", FEATURES,
          to_features(wav_bytes("o.wav", np.zeros(9001, "u1"), 1, 16)),
          works=("its whole samples", finite(7))),
    sound("the stage's wav, text", FEATURES,
          to_features(bytes_of("t.wav", lambda b: b"no\n" * 99)), refusal="expected a wav"),
    sound("the stage's wav, a header alone", FEATURES,
          to_features(bytes_of("h.wav", lambda b: b"RIFF\x24\0\0\0WAVE")),
          refusal="expected a wav"),
    sound("one sample", FEATURES, to_features(source("1.wav", SILENCE[:1], SAMPLE_RATE)),
          refusal="shorter than one frame"),
    sound("no bands", FEATURES, to_features(source("s.wav", SILENCE, SAMPLE_RATE), "--channels=0"),
          refusal="channels"),
    sound("a million bands", FEATURES,
          to_features(source("s.wav", SILENCE, SAMPLE_RATE), "--channels=1000000"),
          refusal="channels"),
    sound("silence, as features", FEATURES, to_features(source("s.wav", SILENCE, SAMPLE_RATE)),
          works=("finite features", finite(25))),
    sound("no frames", FEATURES,
          to_features(source("s.wav", SILENCE, SAMPLE_RATE), "--frame-count=-3"),
          refusal="shorter than one frame"),
]  # fmt: skip
