"""The frames of any video as they are, upright and at 25 fps, without a crop: frames.h5.

`python -m preprocess.frames --video talk.mp4 --frames frames.h5`
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from preprocess.media import WHOLE, picture_at_25_fps, probe, require_picture
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.frame_store import write_frame
from ssp_nerf.progress import progress
from ssp_nerf.schema import FPS, FRAMES
from ssp_nerf.video import read_frames


def store_frames(video: Path, frames: Path) -> None:
    """Write the whole frames of a video; frame i shows the time i / 25 s.

    Args:
        video: any frame rate, size and orientation; other rates are resampled to 25 fps by dropping
            or repeating frames.
        frames: a file of the FRAMES layout.

    Raises:
        InputError: unreadable file, no video stream or no frame.
    """
    media = probe(video)
    picture = require_picture(media)
    width, height = picture.width, picture.height

    def images():
        return read_frames(picture_at_25_fps(media, WHOLE), width, height, str(video))

    count = sum(1 for _ in images())
    if count == 0:
        raise InputError(f"{video}: no frame at {FPS:g} fps. Play it to check it.")
    sizes = {"N": count, "H": height, "W": width}
    with FRAMES.create(frames, sizes, {"source_box": [0, 0, width, height]}, {}) as file:
        for index, image in enumerate(progress(images(), "frames", count)):
            write_frame(file["frames"], index, image)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.frames", __doc__)
    parser.add_argument("--video", type=Path, required=True, help="any video")
    parser.add_argument("--frames", type=Path, required=True, help="HDF5 file to write")

    def command(options: argparse.Namespace) -> None:
        store_frames(options.video, options.frames)

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
