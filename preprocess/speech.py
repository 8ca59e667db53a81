"""The speech of a media file as 16 kHz mono wav, in step with the first video frame.

`python -m preprocess.speech --media talk.mp4 --wav speech.wav`
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from preprocess.media import WHOLE, Cut, add_cut_arguments, probe, write_wav
from ssp_nerf import cli
from ssp_nerf.speech import SAMPLE_RATE


def extract_speech(media_path: Path, wav_path: Path, cut: Cut = WHOLE) -> None:
    """Write the sound of any audio or video file as 16 kHz mono 16-bit wav, from t = 0 on.

    Raises:
        InputError: unreadable file, no audio track, or no sound within the cut.
    """
    write_wav(probe(media_path), wav_path, cut, rate=SAMPLE_RATE, channels=1)


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
