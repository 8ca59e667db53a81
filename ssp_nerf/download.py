"""Fetch a file of pretrained weights, whole and only if it is the right one, or not at all."""

import argparse
import hashlib
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import requests

from ssp_nerf import cli
from ssp_nerf.errors import InputError, first_line
from ssp_nerf.files import READ_BLOCK, whole_output
from ssp_nerf.progress import Progress

PATIENCE = (20, 60)  # seconds: to connect, and for the next bytes
UNIT = 1 << 20


def download(url: str, path: Path, digests: dict[str, str]) -> None:
    """Fetch `url` to `path`; of a .zip, the member of `path`'s name.

    Args:
        url: http or https.
        path: where the file goes; an older one stays as it is if this fails.
        digests: hexadecimal digests of the file itself, by hashlib's names of their kinds; one at
            least.

    Raises:
        InputError: it cannot be fetched, or is another file.
    """
    assert digests
    remedy = (
        f"Run it again, give another address (config key downloads.{path.name}.url), or put the "
        f"file into {path.parent.resolve()} yourself."
    )
    with whole_output(path) as partial:
        try:
            with requests.get(url, stream=True, timeout=PATIENCE) as answer:
                answer.raise_for_status()
                save(answer, partial, path.name)
            if url.endswith(".zip"):
                unpack(partial, path.name)
        except (requests.RequestException, zipfile.BadZipFile, KeyError) as error:
            raise InputError(
                f"{path.name} cannot be fetched from {url} ({first_line(error)}). {remedy}"
            ) from error
        for kind, want in digests.items():
            with open(partial, "rb") as file:
                got = hashlib.file_digest(file, kind).hexdigest()
            if got != want:
                raise InputError(
                    f"{url} is not the {path.name} that is expected: its {kind} is {got}, not "
                    f"{want}. {remedy}"
                )


def save(answer: requests.Response, path: Path, name: str) -> None:
    """Write what comes, showing progress.

    Raises:
        RequestException: less came than was announced.
    """
    total = int(answer.headers.get("Content-Length", 0))
    shown = Progress(f"download {name}", max(1, total // UNIT), "MiB")
    came = 0
    with open(path, "wb") as file:
        for block in answer.iter_content(READ_BLOCK):
            file.write(block)
            came += len(block)
            shown.advance(came // UNIT - shown.done)
    shown.close()
    if total and answer.raw.tell() < total:  # as sent, before any decompression
        raise requests.ConnectionError(f"{answer.raw.tell()} of {total} bytes came")


def unpack(archive: Path, member: str) -> None:
    """Replace an archive by one file that it holds, in whatever folder.

    Raises:
        KeyError: it holds no such file.
    """
    unpacked = archive.with_name(f"{archive.name}.unpacked")
    try:
        with zipfile.ZipFile(archive) as content:
            found = [name for name in content.namelist() if Path(name).name == member]
            if not found:
                raise KeyError(f"the archive holds no {member}")
            source: IO[bytes]
            with content.open(found[0]) as source, open(unpacked, "wb") as file:
                shutil.copyfileobj(source, file, READ_BLOCK)
        unpacked.replace(archive)
    finally:
        unpacked.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.download", __doc__)
    parser.add_argument("--url", required=True, help="where it is (config key downloads)")
    parser.add_argument("--file", type=Path, required=True, help="where it goes, written")
    parser.add_argument("--sha256", help="of the file; one of the two digests is needed")
    parser.add_argument("--sha1", help="of the file, where only this is published")

    def command(options: argparse.Namespace) -> None:
        known = {"sha256": options.sha256, "sha1": options.sha1}
        digests = {kind: digest for kind, digest in known.items() if digest}
        if not digests:
            raise InputError(
                f"{options.url} without --sha256 or --sha1: a file that may be any is not fetched "
                f"(config key downloads.{options.file.name})."
            )
        download(options.url, options.file, digests)

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
