"""The user study of section 4.4: rate clips of several methods blind, and read the ratings.

`serve` shows the clips to participants in a browser and collects ratings from 1 to 5 of lip-sync
accuracy, video realness and image quality; `scores` makes mean opinion scores of them.
"""

import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.files import whole_output
from ssp_nerf.study.blind import blind_copies
from ssp_nerf.study.clips import Clip, keep_study, open_study, read_clips
from ssp_nerf.study.picture import plot_scores
from ssp_nerf.study.ratings import RatingsFile, read_ratings
from ssp_nerf.study.scores import markdown, score, write_csv
from ssp_nerf.study.server import StudyServer
from ssp_nerf.study.session import Session

LOCAL = ("127.0.0.1", "localhost")
PORT = 8000


def serve(clips: Sequence[Clip], ratings: Path, seed: str | None, address: str, port: int) -> None:
    """Serve a study until it is interrupted.

    Raises:
        InputError: clips that cannot be shown, ratings of another study, or a port that is taken.
    """
    with RatingsFile(ratings) as file, tempfile.TemporaryDirectory(prefix="study-") as folder:
        study = open_study(clips, ratings, bool(file.ratings), seed)
        copies = blind_copies(study, Path(folder))
        keep_study(study, ratings)
        session = Session(study, file)
        try:
            server = StudyServer((address, port), session, copies)
        except (OSError, OverflowError) as error:
            raise InputError(f"--address {address} --port {port}: {error}.") from error
        methods = len({clip.method for clip in clips})
        with server:
            print(
                f"{len(clips)} clips of {methods} methods, {len(file.ratings)} ratings so far in "
                f"{ratings}.\nOpen http://{address}:{server.server_port}/ - Ctrl-C ends it.",
                flush=True,
            )
            if address not in LOCAL:
                print(
                    f"warning: whoever reaches {address} can take part and see the clips; nothing "
                    "is encrypted. Use it in a network that you trust, or behind a server with "
                    "TLS and a password.",
                    file=sys.stderr,
                    flush=True,
                )
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                print(f"\n{len(file.ratings)} ratings in {ratings}")


def scores(
    ratings: Path, csv: Path | None = None, table: Path | None = None, plot: Path | None = None
) -> str:
    """Mean opinion scores as Markdown, written as what is asked for.

    Raises:
        InputError: no ratings there.
    """
    collected = read_ratings(ratings)
    if not collected:
        raise InputError(f"{ratings}: nobody has rated anything yet.")
    found = score(collected)
    text = markdown(found)
    if csv is not None:
        write_csv(csv, found)
    if table is not None:
        with whole_output(table) as partial:
            partial.write_text(text, encoding="utf-8")
    if plot is not None:
        plot_scores(plot, found)
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError(text)
    return int(text)


def add_commands(parser: ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", required=True)
    formatter = parser.formatter_class
    server = commands.add_parser("serve", help="collect ratings", formatter_class=formatter)
    server.add_argument(
        "--clips", nargs="+", default=[], metavar="METHOD=FILE", help="videos and what made them"
    )
    server.add_argument("--study", type=Path, help="YAML: methods: {NAME: [FILE, ...], ...}")
    server.add_argument("--ratings", type=Path, required=True, help="CSV; what is there goes on")
    server.add_argument("--seed", help="of orders and aliases; by itself a random one, kept")
    server.add_argument("--address", default=LOCAL[0], help="0.0.0.0: every network it is in")
    server.add_argument("--port", type=_port, default=PORT, help="0: any that is free")
    reader = commands.add_parser("scores", help="read ratings", formatter_class=formatter)
    reader.add_argument("--ratings", type=Path, required=True, help="CSV that `serve` wrote")
    reader.add_argument("--csv", type=Path, help="scores as CSV, written")
    reader.add_argument("--markdown", type=Path, help="scores as Markdown, written")
    reader.add_argument("--plot", type=Path, help="scores as a picture (PNG), written")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.study", __doc__)
    add_commands(parser)

    def command(options: Namespace) -> None:
        if options.command == "serve":
            if not options.clips and options.study is None:
                raise InputError("nothing to rate: give --clips METHOD=FILE ... or --study FILE.")
            clips = read_clips(options.clips, options.study)
            serve(clips, options.ratings, options.seed, options.address, options.port)
        else:
            text = scores(options.ratings, options.csv, options.markdown, options.plot)
            print(text, end="")

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
