"""Put the rendered parts of a take one after the other and add the speech that drove them."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ssp_nerf import cli
from ssp_nerf.config import ProvenanceConfig, add_flags, from_flags
from ssp_nerf.files import require_file
from ssp_nerf.mark import marked
from ssp_nerf.progress import progress
from ssp_nerf.provenance.writing import add_provenance_flags, generated_video, provenance_of
from ssp_nerf.render_parts import open_parts
from ssp_nerf.schema import FPS
from ssp_nerf.video import write_video


def gather_video(
    render_paths: Sequence[Path],
    audio_path: Path,
    video_path: Path,
    speech: str,
    subject: str,
    consent: str,
    config: ProvenanceConfig,
) -> int:
    """Concatenate rendered parts and add sound; returns the number of frames.

    Args:
        render_paths: parts, in the order in which they are shown.
        audio_path: the speech that drove them, from its start; any file ffmpeg reads.
        video_path: H.264 and AAC in what its suffix says.
        speech, subject, consent: for the video's metadata, see `Provenance`; `speech` is the name
            of a speech that is not the clip's own.
        config: how else it says that it is generated.

    Raises:
        InputError: parts that do not fit together, or audio that cannot be read.
    """
    require_speech(audio_path)
    with open_parts(render_paths) as parts:
        about = provenance_of(parts, audio_path, subject=subject, speech=speech, consent=consent)
        frames = (parts.frame(row) for row in range(len(parts)))
        with generated_video(video_path, about, config) as partial:
            return write_video(
                partial,
                marked(progress(frames, "gather video", len(parts)), config.mark),
                audio=audio_path,
                audio_start=parts.speech_start,
                comment=about.comment,
            )


def require_speech(path: Path) -> None:
    """Check that the speech is there before any picture is read."""
    require_file(path, "speech to go with the pictures", "`extract_speech` makes it.")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.gather", __doc__)
    parser.add_argument(
        "--render", type=Path, nargs="+", required=True, help="parts, in the order shown"
    )
    parser.add_argument("--audio", type=Path, required=True, help="speech, e.g. speech.wav")
    parser.add_argument("--video", type=Path, required=True, help="the mp4 to write")
    parser.add_argument(
        "--speech-name", default="", help="what a speech that is not the clip's own is called"
    )
    add_provenance_flags(parser)
    add_flags(parser, ProvenanceConfig)

    def command(options: argparse.Namespace) -> None:
        count = gather_video(
            options.render,
            options.audio,
            options.video,
            options.speech_name,
            options.subject,
            options.consent,
            from_flags(options, ProvenanceConfig),
        )
        print(f"{options.video}: {count} frames, {count / FPS:.2f} s")

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
