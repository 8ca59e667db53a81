"""Commands on a disk that fills up, and on one that cannot be written to; a program of its own.

`unshare --mount python -m tests.hostile.small_disk FOLDER` mounts small disks in FOLDER, where
nobody else sees them, and prints a line of JSON for each run.
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from preprocess import crop, pack, speech
from ssp_nerf import render, train
from tests.hostile import data, videos
from tests.hostile.case import Folders
from tests.ssp_nerf.small_training import arguments as training_arguments

ROOMY = 64 << 20  # bytes
SHARES = (0.1, 0.3, 0.5, 0.7)  # of the room that a command needs; disks have whole pages
Main = Callable[[list[str]], None]


def commands(own: Path, out: Path) -> dict[str, tuple[Main, list[str]]]:
    """Commands that write all kinds of files, and their arguments."""
    folders = Folders(own, out, own)
    clip = videos.plain_clip(own)
    return {
        "preprocess.crop": (crop.main, videos.crop(lambda _: clip)(folders)),
        "preprocess.speech": (speech.main, [f"--media={clip}", f"--wav={out}/speech.wav"]),
        "preprocess.pack": (pack.main, data.packed()(folders)),
        "ssp_nerf.train": (
            train.main, training_arguments(out, data.dataset(folders), "--steps", "2")
        ),
        "ssp_nerf.render": (
            render.main, data.rendering(folders, data.model(folders), data.features(folders))
        ),
    }  # fmt: skip


def run(main: Callable[[list[str]], object], arguments: list[str]) -> tuple[int, str]:
    """Exit status and what was said, in a process of its own: after a file could not be closed HDF5
    is not to be used again."""
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            os._exit(status_of(main, arguments, said.fileno()))
        _, status = os.waitpid(child, 0)
        said.seek(0)
        return os.waitstatus_to_exitcode(status), said.read().decode()


def status_of(main: Callable[[list[str]], object], arguments: list[str], said: int) -> int:
    """Exit status of a command whose stderr goes to a file."""
    os.dup2(said, sys.stderr.fileno())
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    try:
        main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stderr.flush()
    return 0


def mount(disk: Path, options: str, kind: str = "tmpfs") -> None:
    subprocess.run(["mount", "-t", kind, "-o", options, "none", disk], check=True)


def files(out: Path) -> dict[str, str]:
    """Files by name, their bytes as text; checkpoints are the command's own affair."""
    return {
        str(path.relative_to(out)): path.read_bytes().hex()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "checkpoint.pt" and path.name != "history.csv"
    }


def on_small_disks(name: str, main: Main, arguments: list[str], disk: Path, out: Path) -> None:
    """Run a command with all the room it wants, then with less, then again with all."""
    mount(disk, f"size={ROOMY}")
    status, said = run(main, arguments)
    assert status == 0, said
    whole = files(out)
    # In blocks: what was never written of a file takes no room.
    needed = sum(512 * path.stat().st_blocks for path in out.rglob("*") if path.is_file())
    subprocess.run(["umount", disk], check=True)
    for share in SHARES:
        mount(disk, f"size={max(4096, int(share * needed))}")
        status, said = run(main, arguments)
        left = files(out) if out.exists() else {}
        subprocess.run(["mount", "-o", f"remount,size={ROOMY}", disk], check=True)
        again, said_again = run(main, arguments)
        report(
            name=name, disk=f"{share:.0%} of the room", status=status, said=said,
            half_written=[file for file in left if left[file] != whole.get(file)],
            again=again, said_again=said_again, same=files(out) == whole,
        )  # fmt: skip
        subprocess.run(["umount", disk], check=True)
    mount(disk, "ro")
    status, said = run(main, arguments)
    report(name=name, disk="read-only", status=status, said=said)
    subprocess.run(["umount", disk], check=True)


def report(**what: object) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    own = Path(sys.argv[1])
    disk = own / "disk"
    disk.mkdir()
    # Made by another process: a fork of one in which PyTorch has computed may hang.
    status, said = run(lambda _: commands(own, disk / "out"), [])
    assert status == 0, said
    for name, (command, arguments) in commands(own, disk / "out").items():
        on_small_disks(name, command, arguments, disk, disk / "out")


if __name__ == "__main__":
    main()
