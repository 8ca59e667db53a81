"""Speech as every stage reads it: a wav file of 16 kHz, mono, 16 bits."""

import wave
from pathlib import Path

import numpy as np

from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file
from ssp_nerf.schema import FPS

SAMPLE_RATE = 16_000
"""Hz; what speech networks, DeepSpeech among them, are trained on."""
SAMPLES_PER_FRAME = round(SAMPLE_RATE / FPS)
FULL_SCALE = 32768


def read_speech(path: Path) -> np.ndarray:
    """(T,) float32 samples, full scale 1; see `read_speech_integers`."""
    return read_speech_integers(path).astype(np.float32) / FULL_SCALE


def read_speech_integers(path: Path) -> np.ndarray:
    """(T,) int16 samples of a 16 kHz mono 16-bit wav.

    Raises:
        InputError: not there, cut off, or another format.
    """
    remedy = f"`python -m preprocess.speech --media FILE --wav {path.name}` makes it of any file."
    path = require_file(path, "a wav file", remedy)
    try:
        with wave.open(str(path)) as file:
            size = file.getnframes() * file.getnchannels() * file.getsampwidth()
            found = file.getframerate(), file.getnchannels(), file.getsampwidth()
            content = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it ends too early"
        raise InputError(f"{path}: expected a wav file, but: {reason}. {remedy}") from error
    if found != (SAMPLE_RATE, 1, 2):
        raise InputError(
            f"{path}: {found[0]} Hz, {found[1]} channels, {8 * found[2]} bits; expected "
            f"{SAMPLE_RATE} Hz, 1 channel, 16 bits. {remedy}"
        )
    if len(content) < size:
        raise InputError(
            f"{path}: {size} bytes of sound are announced, {len(content)} are there: "
            f"it is cut off. {remedy}"
        )
    return np.frombuffer(content, "<i2")
