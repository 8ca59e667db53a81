"""A subject's report: one page with the film, the metrics, the training and how it was made.

It needs no network and no server: open it in a browser, send it to somebody. What is not there (a
metric, the training's history, times) the page says instead of showing it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.files import scratch_folder, whole_output
from ssp_nerf.provenance.record import BESIDE_FILMED
from ssp_nerf.provenance.writing import provenance_of
from ssp_nerf.render_parts import open_parts, require_size
from ssp_nerf.report.contents import Sources, contents
from ssp_nerf.report.document import document
from ssp_nerf.report.film import write_film
from ssp_nerf.schema import DATASET

PAGE_NAME = "index.html"
PANEL_SIZE = 360
MIB = 1 << 20  # bytes


def write_report(
    subject: str,
    dataset_path: Path,
    render_paths: Sequence[Path],
    speech: Path | None,
    sources: Sources,
    folder: Path,
    panel_size: int = PANEL_SIZE,
    mark: str = "",
) -> Path:
    """Write `folder`/index.html; returns its path.

    Args:
        subject: whose report it is.
        dataset_path: holds the truth and the poses.
        render_paths: parts of the rendering, in the order in which they are shown.
        speech: the clip's own, from its first frame on; None or not there: a silent film.
        sources: what else there is.
        folder: appears whole.
        panel_size: side of a picture in the film at most, pixels.
        mark: text in the corner of the rendered pictures; empty: none.

    Raises:
        InputError: files that do not fit together, or that are not what they should be.
    """
    speech = speech if speech is not None and speech.exists() else None
    with DATASET.open(dataset_path) as dataset, open_parts(render_paths) as parts:
        require_size(parts, dataset["frames"], dataset_path)
        if not len(parts):
            raise InputError("the rendering's parts hold no frames. Render a longer clip.")
        with scratch_folder(folder) as scratch:
            path = scratch / "film.mp4"
            origin = provenance_of(parts, speech, BESIDE_FILMED, subject)
            film = write_film(path, dataset, parts, speech, panel_size, origin, mark)
            about = contents(subject, dataset, parts, film, speech is not None, sources)
            about["provenance"] = origin.sentence
            page = document(f"{subject} · SSP-NeRF", about, path.read_bytes())
    with whole_output(folder) as partial:
        partial.mkdir()
        (partial / PAGE_NAME).write_text(page, encoding="utf-8")
    return folder / PAGE_NAME


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.report", __doc__)
    parser.add_argument("--subject", required=True, help="whose report it is, as the page says it")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.h5, holds the truth")
    parser.add_argument(
        "--render", type=Path, nargs="+", required=True, help="parts, in the order shown"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to write index.html in")
    parser.add_argument("--speech", type=Path, help="the clip's own sound, e.g. speech.wav")
    parser.add_argument("--metrics-csv", type=Path, help="metrics of each frame")
    parser.add_argument("--metrics-json", type=Path, help="metrics in total")
    parser.add_argument("--history", type=Path, help="history.csv of the training")
    parser.add_argument("--bundle", type=Path, help="folder of the trained model")
    parser.add_argument("--benchmarks", type=Path, help="folder of Snakemake's benchmark tables")
    parser.add_argument(
        "--settings",
        type=Path,
        nargs="*",
        default=[],
        help="HDF5 files of the stages, whose settings and versions the page tells",
    )
    parser.add_argument(
        "--panel-size", type=int, default=PANEL_SIZE, help="side of a picture at most, pixels"
    )
    parser.add_argument("--mark", default="", help="text in the corner of the rendered pictures")

    def command(options: argparse.Namespace) -> None:
        sources = Sources(
            metrics_csv=options.metrics_csv,
            metrics_json=options.metrics_json,
            history=options.history,
            bundle=options.bundle,
            benchmarks=options.benchmarks,
            settings=options.settings,
        )
        if options.panel_size < 16:
            raise InputError(
                f"--panel-size (report.panel_size): {options.panel_size}, expected 16 or more."
            )
        page = write_report(
            options.subject,
            options.dataset,
            options.render,
            options.speech,
            sources,
            options.output,
            options.panel_size,
            options.mark,
        )
        print(f"{page}: {page.stat().st_size / MIB:.1f} MiB, one file; open it in a browser")

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
