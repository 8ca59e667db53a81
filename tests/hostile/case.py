"""What a case of the table is, and how it is run: a command as a user calls it, and its outcome."""

import importlib
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ssp_nerf.exclusive import LOCK_NAME

CANARY = "code-ran"
"""A file that no run may make: payloads of cases try to, in the folder of the case."""


@dataclass(frozen=True)
class Folders:
    """Where a case works.

    Attributes:
        own: its folder; the inputs lie in it.
        out: for the outputs, not there at first; a refused command leaves nothing in it.
        made: of the session, for what cases share.
    """

    own: Path
    out: Path
    made: Path


Check = Callable[[Folders, str], None]
"""Asserts that an odd input was used rightly; gets what the command said."""


@dataclass(frozen=True)
class Case:
    """One hostile input.

    Attributes:
        kind: video, name, sound, config or data.
        what: the input, in a few words; the name of the case.
        module: whose `main` is called.
        arguments: makes the inputs and returns the command's arguments.
        refusal: words of the one line that the command ends with; None: it must work.
        works: what is right then, in a few words, and the check of it.
        fast: whether `make test` runs it, too.
    """

    kind: str
    what: str
    module: str
    arguments: Callable[[Folders], list[str]]
    refusal: str | None = None
    works: tuple[str, Check] | None = None
    fast: bool = True

    def __post_init__(self) -> None:
        assert (self.refusal is None) != (self.works is None), self.what


def run(case: Case, folders: Folders, capfd: pytest.CaptureFixture[str]) -> str:
    """Run a case, assert all that a user may expect of it, and return what the table says."""
    arguments = [str(a) for a in case.arguments(folders)]
    before = contents(folders.own)
    capfd.readouterr()
    status, said = called(case.module, arguments, capfd)
    assert "Traceback" not in said, said
    assert not list(folders.own.rglob(CANARY)), "code from the input ran"
    assert not (Path.cwd() / CANARY).exists(), "code from the input ran"
    if case.works is not None:
        assert status == 0, said
        case.works[1](folders, said)
        return f"works: {case.works[0]}"
    assert status == 2, (status, said)
    line = error_line(said)
    assert case.refusal is not None and case.refusal in line, line
    assert not folders.out.exists() or not list(folders.out.rglob("*")), list(
        folders.out.rglob("*")
    )
    assert contents(folders.own) == before, "the inputs were changed, or something lies beside them"
    return line.replace(f"{folders.own}/", "").replace(str(folders.own), ".")


def called(module: str, arguments: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status of `python -m module arguments` and what it wrote to stderr, run in here."""
    package = importlib.import_module(module)
    if hasattr(package, "__path__"):
        package = importlib.import_module(f"{module}.__main__")
    status = 0
    try:
        package.main(arguments)
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # what Python would print as a traceback
        return 1, traceback.format_exc()
    return status, capfd.readouterr().err


def error_line(said: str) -> str:
    """The one line of error; before it only progress and warnings, or argparse's usage."""
    *before, last = said.rstrip("\n").splitlines()
    assert "error: " in last, said
    assert not any("error: " in line for line in before), said
    return last[last.index("error: ") + len("error: ") :]


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of all files, by name; the lock of a folder that is the command's own aside."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.name != LOCK_NAME:
            about = path.stat()
            found[str(path.relative_to(folder))] = (about.st_size, about.st_mtime_ns)
    return found


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """The path of an input, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    yield path
