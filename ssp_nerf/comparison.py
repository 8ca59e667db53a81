"""Truth, rendering, rendered parsing map and error side by side, with the clip's own speech."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ssp_nerf import cli
from ssp_nerf.config import ProvenanceConfig, add_flags, from_flags
from ssp_nerf.files import whole_output
from ssp_nerf.gather import require_speech
from ssp_nerf.mark import Mark
from ssp_nerf.panels import CAPTIONS, ComparisonSheet
from ssp_nerf.progress import progress
from ssp_nerf.provenance.record import BESIDE_FILMED
from ssp_nerf.provenance.writing import add_provenance_flags, generated_video, provenance_of
from ssp_nerf.render_parts import open_parts, require_size
from ssp_nerf.schema import DATASET, FPS
from ssp_nerf.video import write_video

RENDERING_PANEL = CAPTIONS.index("SSP-NeRF")
PICTURE_ROWS = 4  # frames that the still picture shows


def compare(
    dataset_path: Path,
    render_paths: Sequence[Path],
    audio_path: Path,
    video_path: Path,
    picture_path: Path | None,
    subject: str,
    consent: str,
    config: ProvenanceConfig,
) -> int:
    """Write the comparison; returns the number of frames.

    Args:
        dataset_path: holds the truth.
        render_paths: parts, in the order in which they are shown.
        audio_path: the clip's own speech, from its first frame on.
        video_path: H.264 and AAC in what its suffix says.
        picture_path: PNG of some of its frames, evenly chosen, one under the other.
        subject, consent: for the video's metadata, see `Provenance`.
        config: how else it says that it is generated.

    Raises:
        InputError: files that do not fit together, or audio that cannot be read.
    """
    require_speech(audio_path)
    with DATASET.open(dataset_path) as dataset, open_parts(render_paths) as parts:
        require_size(parts, dataset["frames"], dataset_path)
        sheet = ComparisonSheet(parts.width, parts.height)
        left, top, right, bottom = sheet.panels[RENDERING_PANEL]
        mark = Mark(config.mark, right - left, bottom - top) if config.mark else None
        about = provenance_of(parts, audio_path, BESIDE_FILMED, subject, consent=consent)
        shown = np.linspace(0, len(parts) - 1, min(PICTURE_ROWS, len(parts))).round()
        picture: list[np.ndarray] = []

        def sheets() -> Iterator[np.ndarray]:
            for row, frame in enumerate(parts.index):
                truth = dataset["frames"][frame]
                composed = sheet.compose(truth, parts.frame(row), parts.parsing(row), int(frame))
                if mark is not None:
                    panel = composed[top:bottom, left:right]
                    composed = composed.copy()
                    composed[top:bottom, left:right] = mark.on(panel)
                if row in shown:
                    picture.append(composed)
                yield composed

        with generated_video(video_path, about, config) as partial:
            count = write_video(
                partial,
                progress(sheets(), "compare", len(parts)),
                audio=audio_path,
                audio_start=parts.speech_start,
                comment=about.comment,
            )
    if picture_path is not None:
        below = max(box[3] for box in sheet.panels)  # the legend is shown once
        rows = [*(composed[:below] for composed in picture[:-1]), picture[-1]]
        with whole_output(picture_path) as partial:
            Image.fromarray(np.concatenate(rows)).save(partial, format="png")
    return count


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.comparison", __doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.h5, holds the truth")
    parser.add_argument(
        "--render", type=Path, nargs="+", required=True, help="parts, in the order shown"
    )
    parser.add_argument("--audio", type=Path, required=True, help="speech, e.g. speech.wav")
    parser.add_argument("--video", type=Path, required=True, help="the mp4 to write")
    parser.add_argument("--picture", type=Path, help="PNG of some of its frames, written")
    add_provenance_flags(parser)
    add_flags(parser, ProvenanceConfig)

    def command(options: argparse.Namespace) -> None:
        count = compare(
            options.dataset,
            options.render,
            options.audio,
            options.video,
            options.picture,
            options.subject,
            options.consent,
            from_flags(options, ProvenanceConfig),
        )
        print(f"{options.video}: {count} frames, {count / FPS:.2f} s")

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
