"""Outputs appear whole or not at all: written beside their place, then renamed."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ssp_nerf.errors import InputError

READ_BLOCK = 1 << 20  # bytes
SCRATCH_PREFIX = ".partial-"
LOCK_NAME = ".lock"


@contextmanager
def whole_output(path: Path) -> Iterator[Path]:
    """Yield a path for a file, or a folder that the caller makes; rename it to `path` at the end.

    It has the name of `path`, because some writers choose a format by it, in a folder beside it,
    because a rename is atomic only within one file system. If the body fails, what was written is
    removed and an older `path` stays as it was. Of programs that write one `path` at the same time
    each has a folder of its own, and the last to end is the one whose `path` stays.
    """
    path = Path(path)
    with scratch_folder(path) as folder:
        partial = folder / path.name
        yield partial
        if partial.is_dir():
            _rename_folder(partial, path)
        else:
            partial.replace(path)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path` for what is on the way to it; it is removed at the end.

    A program that is killed leaves it, and whatever next begins to write beside it removes it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(path.parent)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=path.parent))
        try:
            with _lock(folder) as mine:
                if mine is not False:
                    yield folder
                    return
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _lock(folder: Path) -> Iterator[bool | None]:
    """Whether this program alone has a scratch folder, which it then has until the end.

    The lock goes with the program, however that ends, and holds on other machines, too. None where
    the file system knows no locks.
    """
    try:
        lock = os.open(folder / LOCK_NAME, os.O_CREAT | os.O_WRONLY)
    except FileNotFoundError:  # its folder was removed
        yield False
        return
    mine: bool | None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = os.fstat(lock).st_nlink > 0  # else another has begun to remove it
    except BlockingIOError:
        mine = False
    except OSError:
        mine = None
    try:
        yield mine
    finally:
        os.close(lock)


def _clear_abandoned(parent: Path) -> None:
    """Remove the scratch folders in `parent` that, for sure, no program has any more."""
    for folder in parent.glob(f"{SCRATCH_PREFIX}*"):
        with suppress(OSError):  # it is another user's, or gone
            with _lock(folder) as abandoned:
                if not abandoned:
                    continue
                for inside in folder.iterdir():
                    _remove(inside)
            folder.rmdir()  # fails if a program has locked it since


def _rename_folder(source: Path, target: Path) -> None:
    """Rename over a folder, which cannot be done in one step if it is not empty."""
    while True:
        with suppress(FileNotFoundError):
            target.rename(Path(tempfile.mkdtemp(dir=source.parent)) / target.name)
        try:
            source.rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another program's is there
                raise


def write_json(path: Path, content: object) -> None:
    """Write `content` as indented JSON with sorted keys."""
    with whole_output(path) as partial:
        partial.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def require_file(path: Path, what: str, remedy: str = "") -> Path:
    """`path` if it is a readable, non-empty file.

    Raises:
        InputError: names `what` was expected there, and the `remedy`.
    """
    path = Path(path)
    problem = None
    if not path.exists():
        problem = "does not exist"
    elif not path.is_file():
        problem = "is not a file"
    elif path.stat().st_size == 0:
        problem = "is empty (0 bytes)"
    elif not os.access(path, os.R_OK):
        problem = "cannot be read (permissions)"
    if problem:
        raise InputError(f"{path}: expected {what}, but it {problem}. {remedy}".strip())
    return path


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(READ_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def folder_sha256(path: Path) -> str:
    """Of a folder's files and their names: `cd folder && sha256sum * | sha256sum`."""
    files = sorted(file for file in path.iterdir() if not file.name.startswith("."))
    listed = "".join(f"{sha256(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(listed.encode()).hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
