"""Ratings in a CSV file: one line for a clip that one participant has rated.

What was acknowledged is on the disk. A line is written at once and synced before anybody is told
that it is saved; a line cut off, by a kill or a full disk, was never acknowledged, and goes.
"""

import csv
import fcntl
import io
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file
from ssp_nerf.study.questions import HIGHEST, LOWEST, QUESTIONS

ABOUT = ("participant", "position", "method", "clip")
COLUMNS = (*ABOUT, *(question.key for question in QUESTIONS))


class Rating(NamedTuple):
    """What one participant says of one clip."""

    participant: str  # a random number
    position: int  # of the clip in the participant's order, from 1
    method: str
    clip: str
    answers: Mapping[str, int]  # by a question's key, 1 to 5


def read_ratings(path: Path) -> list[Rating]:
    """All ratings in a file; a last line without an end was never acknowledged, and is left out.

    Raises:
        InputError: not such a file; names the line.
    """
    content = require_file(path, "ratings (CSV)", "`ssp_nerf.study serve` collects them.")
    return _parse(content.read_bytes(), path)


class RatingsFile:
    """The file while ratings come in, as a context; nobody else may write to it meanwhile.

    Attributes:
        ratings: all of them, in the order in which they came.

    Raises:
        InputError: another server has it open, or it holds something else.
    """

    def __init__(self, path: Path):
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = path.read_bytes()
            self.ratings = _parse(content, path)
            self._size = content.rfind(b"\n") + 1
            os.ftruncate(self._file, self._size)
        except BlockingIOError as error:
            os.close(self._file)
            raise InputError(
                f"{path}: another server is collecting ratings into it. Stop that one, or choose "
                "another file for --ratings."
            ) from error
        except BaseException:
            os.close(self._file)
            raise

    def add(self, rating: Rating) -> None:
        """Append a rating; when this returns, it is on the disk.

        Raises:
            OSError: it is not, and nothing of it is left in the file.
        """
        answers = (rating.answers[question.key] for question in QUESTIONS)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not self._size:
            writer.writerow(COLUMNS)
        writer.writerow((*rating[: len(ABOUT)], *answers))
        line = text.getvalue().encode("utf-8")
        try:
            if os.write(self._file, line) < len(line):
                raise OSError(f"{self._path}: the disk is full")
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)
        self.ratings.append(rating)

    def __enter__(self) -> "RatingsFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._size:
            self._path.unlink(missing_ok=True)  # nobody came
        os.close(self._file)


def _parse(content: bytes, path: Path) -> list[Rating]:
    whole = content[: content.rfind(b"\n") + 1]
    try:
        lines = csv.reader(io.StringIO(whole.decode("utf-8")), strict=True)
        header, *rows = [*lines] or [list(COLUMNS)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected ratings (CSV), but {error}.") from error
    if tuple(header) != COLUMNS or (content and not whole):
        raise InputError(
            f"{path}: expected the columns {','.join(COLUMNS)}, got {','.join(header)[:100]!r}."
        )
    ratings: list[Rating] = []
    seen: dict[tuple[str, str, str], int] = {}
    for number, row in enumerate(rows, start=2):
        try:
            values = dict(zip(COLUMNS, row, strict=True))
            answers = {question.key: int(values[question.key]) for question in QUESTIONS}
            position = int(values["position"])
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}: {','.join(row)[:100]!r}.") from error
        for key, value in answers.items():
            if not LOWEST <= value <= HIGHEST:
                raise InputError(
                    f"{path}, line {number}: {key} is {value}, expected {LOWEST} to {HIGHEST}."
                )
        what = values["participant"], values["method"], values["clip"]
        if what in seen:
            raise InputError(
                f"{path}, line {number}: participant {what[0]} has rated {what[2]} of {what[1]} in "
                f"line {seen[what]} already."
            )
        seen[what] = number
        ratings.append(Rating(what[0], position, what[1], what[2], answers))
    return ratings
