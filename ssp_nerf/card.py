"""Run a command on graphics cards that no other such command of this machine has.

    python -m ssp_nerf.card --gpus 1 -- python -m ssp_nerf.train ...

The rules call what uses a GPU this way: Snakemake counts cards, and does not know which are free.
A card is taken by a lock on a file named after it, which goes with the command, however that ends;
where too few are free, it waits. CUDA_VISIBLE_DEVICES says which cards may be taken, and tells the
command which it has. Without NVIDIA's driver the command runs as it is.
"""

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ssp_nerf import cli
from ssp_nerf.errors import InputError

SECONDS_BETWEEN_TRIES = 1.0
SECONDS_BETWEEN_LINES = 60.0


def cards() -> list[str]:
    """UUIDs of the cards that may be used, as `nvidia-smi` has them; none without it.

    Raises:
        InputError: CUDA_VISIBLE_DEVICES names a card that there is not.
    """
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    asked = subprocess.run(query, capture_output=True, text=True)
    found = asked.stdout.split() if asked.returncode == 0 else []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None or not found:
        return found
    chosen = []
    for word in visible.split(","):
        if word.startswith("MIG-"):  # a part of a card, which its own name tells apart
            chosen.append(word)
            continue
        known = [uuid for i, uuid in enumerate(found) if word == str(i) or uuid.startswith(word)]
        if not word or not known:
            raise InputError(
                f"CUDA_VISIBLE_DEVICES={visible}: there is no card {word!r}; nvidia-smi has "
                f"{len(found)}: {', '.join(found)}. Name one of these, or unset it."
            )
        chosen.append(known[0])
    return chosen


def lock(uuid: str) -> int | None:
    """An open file with the lock of a card, which programs that are started inherit; None if
    another has it."""
    path = Path(tempfile.gettempdir(), f"ssp_nerf-{uuid}.lock")
    if not path.exists():
        path.touch()
    file = os.open(path, os.O_RDONLY)  # which other users may, too
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    os.set_inheritable(file, True)
    return file


def take(number: int) -> list[str]:
    """Take so many cards, all at once, and wait until so many are free; their UUIDs.

    Raises:
        InputError: there are fewer.
    """
    known = cards()
    if not known:
        return []
    if len(known) < number:
        raise InputError(
            f"--gpus: {number} are asked for, {len(known)} may be used here. Lower `gpus` in "
            "config.yaml (and --resources gpu=...)."
        )
    said = -SECONDS_BETWEEN_LINES
    while True:
        held = {uuid: file for uuid in known if (file := lock(uuid)) is not None}
        for uuid in list(held)[number:]:
            os.close(held.pop(uuid))
        if len(held) == number:
            return list(held)
        for file in held.values():
            os.close(file)
        if time.monotonic() - said >= SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            print(
                f"card: waits for {number} of {len(known)} GPUs; the others of this machine's "
                "jobs have them",
                file=sys.stderr,
                flush=True,
            )
        time.sleep(SECONDS_BETWEEN_TRIES)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.card", __doc__, verbatim=True)
    parser.add_argument("--gpus", type=int, required=True, help="how many cards it needs")
    parser.add_argument("command", nargs="+", help="what to run, after --")

    def command(options: argparse.Namespace) -> None:
        taken = take(options.gpus)
        if taken:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)
        os.execvp(options.command[0], options.command)

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
