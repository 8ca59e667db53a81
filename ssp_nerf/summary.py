"""What was made of a subject, in a few lines: where to look, how good it is, what to try next.

`python -m ssp_nerf.summary --subject results/demo`
"""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.evaluation_report import table
from ssp_nerf.files import require_file
from ssp_nerf.schema import FPS

RESULTS = (
    ("video.mp4", "the portrait says what training never heard: {frames} frames, {seconds:.1f} s"),
    ("report/index.html", "all of it on one page: open it in a browser"),
    ("comparison.mp4", "truth, portrait, parsing and error side by side"),
    ("comparison.png", "the same as one picture"),
    ("deformation.png", "how far the deformation moves head and torso at three poses"),
    ("table.md", "its figures as tables, like the paper's, with other methods and speeches"),
    ("ablations.md", "what each part of the method is worth"),
    ("metrics.png", "quality over time, and how the mouth follows the truth's"),
    ("portrait.mp4", "the video it learned from"),
    ("qc/check.png", "how well that video suits training: {verdict}"),
    ("qc/motion.png", "head and mouth over time; the folder has a picture of what each stage saw"),
    ("model", "the portrait itself; renders without the video"),
    ("logs", "what each stage said"),
)
ANYBODY = """\
The paper's networks instead of the small ones, on a GPU; and speech that drives the portrait:
    see "Try it" in README.md
How exact each stage is, on synthetic people whose truth is known:
    make accuracy"""
NEXT = {
    "demo": f"""
Your own video, one talking person, a minute or more:
    make demo VIDEO=me.mp4
Another speech that drives the portrait, after `source .venv/bin/activate`:
    snakemake --configfile config/demo.yaml config/demo_subjects.yaml --cores 2 \\
        results/demo/driven/weather.mp4
{ANYBODY}""",
    "mine": f"""
{ANYBODY}""",
}
"""What to try after `make demo`, and after `make demo VIDEO=me.mp4`."""


def summary(subject: Path, then: str) -> str:
    """The lines; `subject` is a folder that the workflow filled, `then` a key of `NEXT`.

    Raises:
        InputError: no metrics.json in it, or it or check.json is not ours.
    """
    path = require_file(
        subject / "metrics.json", "the evaluation of a subject", "Run the workflow to its end."
    )
    try:
        metrics: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        figures = table(metrics, reasons=False)
        frames = metrics["frames"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: expected what `ssp_nerf.evaluate` writes, but {error!r}. Delete it and run "
            "the workflow again."
        ) from error
    facts = {"frames": frames, "seconds": frames / FPS, "verdict": _verdict(subject)}
    made = [
        f"  {str(subject / name):<32} {meaning.format(**facts)}"
        for name, meaning in RESULTS
        if (subject / name).exists()
    ]
    return "\n".join(["Made", *made, "", "Figures", textwrap.indent(figures, "  "), NEXT[then]])


def _verdict(subject: Path) -> str:
    """`usable (length, turns)`: what `check_video` says, or nothing if it never looked."""
    path = subject / "check.json"
    if not path.exists():
        return ""
    try:
        check: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        topics = [finding["topic"] for finding in check["findings"] if finding["level"] != "good"]
        return f"{check['verdict']} ({', '.join(topics)})" if topics else str(check["verdict"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: expected what `preprocess.check` writes, but {error!r}. Delete it and run "
            "the workflow again."
        ) from error


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.summary", __doc__)
    parser.add_argument("--subject", type=Path, required=True, help="folder of a subject's results")
    parser.add_argument("--next", choices=NEXT, default="demo", help="whose next steps to name")
    cli.run(parser, lambda options: print(summary(options.subject, options.next)), arguments)


if __name__ == "__main__":
    main()
