"""Videos out of rendered parts: the talking portrait itself, or a comparison with the truth.

`video` puts the parts one after the other and adds the speech. `comparison` shows truth, rendering,
rendered parsing map and error side by side, with the clip's own speech.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ssp_nerf import cli
from ssp_nerf.files import require_file
from ssp_nerf.panels import ComparisonSheet
from ssp_nerf.progress import progress
from ssp_nerf.render_parts import open_parts, require_size
from ssp_nerf.schema import DATASET, FPS
from ssp_nerf.video import write_video


def compose_video(render_paths: Sequence[Path], audio_path: Path, video_path: Path) -> int:
    """Concatenate rendered parts and add sound; returns the number of frames.

    Args:
        render_paths: parts, in the order in which they are shown.
        audio_path: the speech that drove them, from its start; any file ffmpeg reads.
        video_path: H.264 and AAC in what its suffix says.

    Raises:
        InputError: parts that do not fit together, or audio that cannot be read.
    """
    _require_audio(audio_path)
    with open_parts(render_paths) as parts:
        frames = (parts.frame(row) for row in range(len(parts)))
        return write_video(
            video_path,
            progress(frames, "compose video", len(parts)),
            audio=audio_path,
            audio_start=parts.speech_start,
        )


def compose_comparison(
    dataset_path: Path, render_paths: Sequence[Path], audio_path: Path, video_path: Path
) -> int:
    """Truth, rendering, parsing map and error side by side; returns the number of frames.

    Args:
        dataset_path: holds the truth.
        render_paths: parts, in the order in which they are shown.
        audio_path: the clip's own speech, from its first frame on.
        video_path: H.264 and AAC in what its suffix says.

    Raises:
        InputError: files that do not fit together, or audio that cannot be read.
    """
    _require_audio(audio_path)
    with DATASET.open(dataset_path) as dataset, open_parts(render_paths) as parts:
        require_size(parts, dataset["frames"], dataset_path)
        sheet = ComparisonSheet(parts.width, parts.height)

        def sheets() -> Iterator[np.ndarray]:
            for row, frame in enumerate(parts.index):
                truth = dataset["frames"][frame]
                yield sheet.compose(truth, parts.frame(row), parts.parsing(row), int(frame))

        return write_video(
            video_path,
            progress(sheets(), "compose comparison", len(parts)),
            audio=audio_path,
            audio_start=parts.speech_start,
        )


def _require_audio(path: Path) -> None:
    require_file(path, "speech to go with the pictures", "`extract_speech` makes it.")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.compose", __doc__)
    commands = parser.add_subparsers(required=True, metavar="{video,comparison}")

    video = commands.add_parser("video", help="rendered parts and speech, as one video")
    video.set_defaults(command=lambda o: compose_video(o.render, o.audio, o.video))

    comparison = commands.add_parser(
        "comparison", help="truth, rendering, parsing map and error side by side"
    )
    comparison.add_argument(
        "--dataset", type=Path, required=True, help="dataset.h5, holds the truth"
    )
    comparison.set_defaults(
        command=lambda o: compose_comparison(o.dataset, o.render, o.audio, o.video)
    )

    for subcommand in (video, comparison):
        subcommand.add_argument(
            "--render", type=Path, nargs="+", required=True, help="parts, in the order shown"
        )
        subcommand.add_argument("--audio", type=Path, required=True, help="speech, e.g. speech.wav")
        subcommand.add_argument("--video", type=Path, required=True, help="the mp4 to write")

    def command(options: argparse.Namespace) -> None:
        count = options.command(options)
        print(f"{options.video}: {count} frames, {count / FPS:.2f} s")

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
