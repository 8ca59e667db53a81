"""Outputs appear whole or not at all: written beside their place, then renamed."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssp_nerf.errors import InputError

READ_BLOCK = 1 << 20  # bytes


@contextmanager
def whole_output(path: Path) -> Iterator[Path]:
    """Yield a path for a file, or a folder that the caller makes; rename it to `path` at the end.

    The temporary name keeps the suffix, because some writers choose a format by it, and lies in
    the same folder, because a rename is atomic only within one file system. If the body fails,
    what was written is removed and an older `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    _remove(partial)  # of a run that was killed
    try:
        yield partial
        if partial.is_dir():
            _remove(path)  # a folder cannot be renamed over a folder that is not empty
        partial.replace(path)
    finally:
        _remove(partial)


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
