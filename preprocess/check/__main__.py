"""Will this video train well? A verdict with reasons, and a picture, in seconds.

`python -m preprocess.check talk.mp4`

The verdict is good, usable or will not work. It is no error: the exit status is 0 unless the file
cannot be looked at. Without --check and --picture the report lies beside the video.
"""

import argparse
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from preprocess.check.examine import Report, examine
from preprocess.check.findings import Finding, Level, verdict
from preprocess.check.picture import write_picture
from preprocess.crop import FACE_FRACTION, SIZE, require_settings
from preprocess.media import WHOLE, Cut, add_cut_arguments
from ssp_nerf import cli
from ssp_nerf.files import write_json

TIMES_IN_LINE = 4


def check_video(
    video: Path,
    check: Path,
    picture: Path,
    size: int = SIZE,
    face_fraction: float = FACE_FRACTION,
    cut: Cut = WHOLE,
) -> Report:
    """Look at a video, and write what was found as JSON and as a picture.

    Args:
        video: any film.
        check: JSON: `verdict`, `seconds`, `findings`, `longest_stretch` without marked times.
        picture: PNG.
        size, face_fraction: of the crop that is to be made of it.
        cut: the part to use.

    Raises:
        InputError: not a video, no picture, fewer than 2 frames, bad settings.
    """
    require_settings(size, face_fraction)
    report = examine(video, size, face_fraction, cut)
    write_json(check, as_json(report))
    write_picture(picture, report, size)
    return report


def as_json(report: Report) -> dict[str, Any]:
    """A report without pictures and curves."""
    return {
        "video": str(report.video),
        "verdict": str(verdict(report.findings)),
        "seconds": round(report.seconds, 3),
        "findings": [
            {
                **asdict(finding),
                "level": str(finding.level),
                "times": [[round(t, 2) for t in span] for span in finding.times],
            }
            for finding in report.findings
        ],
        "longest_stretch": None if report.clean is None else [round(t, 2) for t in report.clean],
    }


def as_text(report: Report) -> str:
    """The findings as lines, worst first, and the verdict."""
    lines = []
    for finding in sorted(report.findings, key=lambda finding: -finding.level):
        head = f"{'ok' if finding.level is Level.GOOD else str(finding.level)}"
        lines.append(f"{head:<14} {finding.topic}: {finding.measured}{_times(finding)}")
        if finding.level is not Level.GOOD:
            wanted = f"wanted: {finding.wanted}. {finding.advice}"
            lines.append(textwrap.indent(wanted, " " * 15))
    if report.clean is not None:
        begin, end = report.clean
        lines.append(
            f"Longest stretch without marked times: start {begin:.2f}, duration {end - begin:.2f}"
        )
    return "\n".join([*lines, f"{report.video}: {verdict(report.findings)}"])


def _times(finding: Finding) -> str:
    if not finding.times or finding.level is Level.GOOD:
        return ""
    shown = [f"{a:.1f}" if a == b else f"{a:.1f}-{b:.1f}" for a, b in finding.times]
    more = f" and {len(shown) - TIMES_IN_LINE} more" if len(shown) > TIMES_IN_LINE else ""
    return f" (at {', '.join(shown[:TIMES_IN_LINE])}{more} s)"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.check", __doc__)
    parser.add_argument("video", type=Path, help="the video of one talking person")
    parser.add_argument("--check", type=Path, help="JSON to write; left out, VIDEO.check.json")
    parser.add_argument("--picture", type=Path, help="PNG to write; left out, VIDEO.check.png")
    parser.add_argument("--size", type=int, default=SIZE, help="side of the portrait, pixels")
    parser.add_argument(
        "--face-fraction",
        type=float,
        default=FACE_FRACTION,
        help="height of the face, brows to chin, over the side of the crop",
    )
    add_cut_arguments(parser)

    def command(options: argparse.Namespace) -> None:
        video: Path = options.video
        check = options.check or video.with_name(f"{video.name}.check.json")
        picture = options.picture or video.with_name(f"{video.name}.check.png")
        cut = Cut(options.start, options.duration)
        report = check_video(video, check, picture, options.size, options.face_fraction, cut)
        print(as_text(report), file=sys.stderr)
        print(f"{check}, {picture}", file=sys.stderr)

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
