"""What a generated video says of itself, and the command that reads it.

`python -m ssp_nerf.provenance video.mp4` prints what a video of this project says: that it is
generated, by what, from which model, of whom, driven by which speech. With `--model` it also tells
whether that model drew it.

It is written twice. As the container's `comment`: players show it, ffprobe prints it, and it
survives a copy into another container. As XMP with IPTC's digital source type: that is where
software looks that knows the standard term for generated media. Neither is a seal: who wants to
take them out, can. A content credential (`ssp_nerf.provenance.credential`) cannot be changed
unnoticed.
"""

import json
import re
import subprocess
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.files import folder_sha256, require_file
from ssp_nerf.provenance import credential
from ssp_nerf.provenance.record import Provenance
from ssp_nerf.provenance.xmp import read_xmp
from ssp_nerf.video import ffmpeg_binary, last_line, local


def read_provenance(path: Path) -> Provenance:
    """What a video says of itself.

    Raises:
        InputError: not a video, or it says nothing in the form that this project writes.
    """
    comment = read_comment(path)
    line = comment.rpartition("\n")[2]
    known = {field.name for field in fields(Provenance)}
    try:
        record: dict[str, Any] = json.loads(line)
        about = Provenance(**{name: str(record[name]) for name in known})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(
            f"{path}: no record of a generated video by this project in its metadata; its comment "
            f"is {comment[:80]!r}. It was filmed, made by another program, or the record was lost "
            "when a site or an editor wrote the file anew."
        ) from error
    return about


def read_comment(path: Path) -> str:
    """The container's `comment`; empty if it has none.

    Raises:
        InputError: ffmpeg cannot read the file.
    """
    require_file(path, "a video")
    source = ["-protocol_whitelist", "file", "-i", local(path)]
    arguments = ["-loglevel", "error", "-nostdin", *source, "-f", "ffmetadata", "-"]
    done = subprocess.run([ffmpeg_binary(), *arguments], capture_output=True)
    if done.returncode != 0:
        raise InputError(f"{path}: ffmpeg failed while reading: {last_line(done.stderr)}")
    # ffmetadata: one `key=value` a line, in sections; a backslash takes the meaning from what
    # follows it, line ends too.
    text = done.stdout.decode(errors="replace").split("\n[", 1)[0]
    found = re.search(r"^comment=((?:[^\\\n]|\\.)*)", text, re.MULTILINE | re.DOTALL | re.I)
    return re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL) if found else ""


def describe(path: Path, model: Path | None = None) -> dict[str, Any]:
    """What is known of a video: its record, XMP's source type, credential, and if `model` drew it.

    Raises:
        InputError: no record, or the model is not there.
    """
    about = read_provenance(path)
    found: dict[str, Any] = {"video": str(path), "says": about.sentence, **asdict(about)}
    found["xmp_source_type"] = read_xmp(path).get("DigitalSourceType", "none")
    found["content_credential"] = credential.state(path)
    if model is not None:
        require_file(model / "bundle.json", "the description of a trained model")
        own = folder_sha256(model)
        found["drawn_by_model"] = "yes" if own == about.model else f"no, {model} is {own}"
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.provenance", __doc__)
    parser.add_argument("video", type=Path, help="a video of this project")
    parser.add_argument("--model", type=Path, help="bundle folder: did it draw the video?")
    parser.add_argument("--json", action="store_true", help="print JSON")

    def command(options: Namespace) -> None:
        found = describe(options.video, options.model)
        if options.json:
            print(json.dumps(found, indent=2, ensure_ascii=False))
        else:
            for name, value in found.items():
                print(f"{name.replace('_', ' ') + ':':<20} {value or '-'}")

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
