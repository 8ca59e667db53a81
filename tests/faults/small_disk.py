"""The pipeline's commands on a disk that fills up or cannot be written to; a program of its own.

`unshare --mount python -m tests.faults.small_disk CHECKOUT COMMANDS` mounts small disks over the
results of a checkout in which everything was made, where nobody else sees them, and prints a line
of JSON for each run. COMMANDS is a JSON file: a list of `Command`.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.pipeline import digest, files_of, remove

ROOMY = 256 << 20  # bytes
PAGE = 4096  # bytes, in which such a disk is filled


@dataclass
class Command:
    """A job's command.

    Attributes:
        module: `python -m module`.
        arguments: its arguments.
        outputs: paths that it makes.
        shares: of the room that the outputs need, disks that are too small.
    """

    module: str
    arguments: list[str]
    outputs: list[str]
    shares: list[float]

    def main(self) -> Callable[[list[str]], object]:
        package = importlib.import_module(self.module)
        if hasattr(package, "__path__"):
            package = importlib.import_module(f"{self.module}.__main__")
        return package.main


def run(command: Command) -> tuple[int, str]:
    """Exit status and what was said, in a process of its own: after a file could not be closed HDF5
    is not to be used again."""
    main = command.main()
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            os._exit(status_of(main, command.arguments, said.fileno()))
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


def mount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", disk], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


def used(disk: Path) -> int:
    """Bytes, in whole pages."""
    about = os.statvfs(disk)
    return (about.f_blocks - about.f_bfree) * about.f_frsize


def contents(disk: Path) -> dict[str, str]:
    """Digest of each result; checkpoints are training's own affair."""
    return {
        name: digest(path)
        for name, path in files_of(disk.parent)
        if "checkpoints" not in path.parts
    }


def on_small_disks(command: Command, whole: Path, disk: Path) -> None:
    """Run a command with too little room, again with enough, and where it cannot write."""
    mount(disk, f"size={ROOMY}")
    subprocess.run(["cp", "-a", f"{whole}/.", disk], check=True)
    expected = contents(disk)
    with_outputs = used(disk)
    clear(command)
    room = used(disk)
    needed = (with_outputs - room) // PAGE
    for share in command.shares:
        remount(disk, f"size={room + int(share * needed) * PAGE}")
        begun = time.monotonic()
        status, said = run(command)
        left = contents(disk)
        remount(disk, f"size={ROOMY}")
        again, said_again = run(command)
        report(
            name=command.module, disk=f"{share:.0%} of the room", status=status, said=said,
            half_written=[name for name in left if left[name] != expected.get(name)],
            again=again, said_again=said_again, same=contents(disk) == expected,
            seconds=time.monotonic() - begun,
        )  # fmt: skip
        clear(command)
    remount(disk, "ro")
    begun = time.monotonic()
    status, said = run(command)
    seconds = time.monotonic() - begun
    report(name=command.module, disk="read-only", status=status, said=said, seconds=seconds)
    subprocess.run(["umount", disk], check=True)


def clear(command: Command) -> None:
    """Remove what the command made."""
    for name in command.outputs:
        remove(Path(name))
    if command.module == "ssp_nerf.train":
        remove(Path(command.arguments[command.arguments.index("--checkpoints") + 1]))


def report(**what: object) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    checkout, commands = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    given = [Command(**each) for each in json.loads(commands.read_text())]
    os.chdir(checkout)
    whole, disk = checkout / "whole", checkout / "results"
    disk.rename(whole)
    disk.mkdir()
    for command in given:
        on_small_disks(command, whole, disk)


if __name__ == "__main__":
    main()
