"""Make a talking person whose every truth is known: a video, and what the stages should find in it.

`python -m preprocess.demo_subject --person anna --folder results/demo_subjects/anna`

writes video.mp4 (a square, 25 fps, with sound) and, in truth/, poses and focal length (track.h5),
landmarks (landmarks.h5, landmarks68.h5), the parsing map (parsing.h5), the scene without the person
(background.png), the head's mesh (mesh.h5), the speech (speech.wav) and its phonemes
(phonemes.csv). The same arguments give the same bytes on one machine.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from preprocess.demo_subject.clip import SIZE, TEXT, make_demo_subject
from preprocess.demo_subject.looks import LOOKS
from ssp_nerf import cli


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.demo_subject", __doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where video and truth go")
    parser.add_argument("--person", default="anna", help=f"one of {', '.join(LOOKS)}")
    parser.add_argument("--text", default=TEXT, help="what it says")
    parser.add_argument("--voice", default="en-us", help="an espeak-ng voice, such as en-gb+f3")
    parser.add_argument("--words-per-minute", type=int, default=150, help="how fast")
    parser.add_argument("--pitch", type=int, default=50, help="how high, 0 to 99")
    parser.add_argument("--seed", type=int, default=0, help="of motion and background")
    parser.add_argument("--size", type=int, default=SIZE, help="side of the video, pixels")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")

    def command(options: argparse.Namespace) -> None:
        make_demo_subject(**vars(options))

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
