"""The speech of a media file as 16 kHz mono wav, in step with the first video frame.

`python -m preprocess.speech --media talk.mp4 --wav speech.wav`
"""

import argparse
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from preprocess.media import WHOLE, Cut, add_cut_arguments, probe, write_wav
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file
from ssp_nerf.schema import FPS

SAMPLE_RATE = 16_000
"""Hz; what speech networks, DeepSpeech among them, are trained on."""
SAMPLES_PER_FRAME = round(SAMPLE_RATE / FPS)


def extract_speech(media_path: Path, wav_path: Path, cut: Cut = WHOLE) -> None:
    """Write the sound of any audio or video file as 16 kHz mono 16-bit wav, from t = 0 on.

    Raises:
        InputError: unreadable file, no audio track, or no sound within the cut.
    """
    write_wav(probe(media_path), wav_path, cut, rate=SAMPLE_RATE, channels=1)


def read_speech(path: Path) -> np.ndarray:
    """(T,) float32 samples, full scale 1, of a 16 kHz mono 16-bit wav.

    Raises:
        InputError: not there, or another format.
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
    return np.frombuffer(content, "<i2").astype(np.float32) / 32768


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.speech", __doc__)
    parser.add_argument("--media", type=Path, required=True, help="audio or video file of any kind")
    parser.add_argument("--wav", type=Path, required=True, help="where the speech goes")
    add_cut_arguments(parser)

    def command(options: argparse.Namespace) -> None:
        extract_speech(options.media, options.wav, Cut(options.start, options.duration))

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
