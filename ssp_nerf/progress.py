"""Progress with an ETA: a live bar on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts steps of known total; shows rate and ETA on stderr.

    Args:
        task: what is being done, e.g. "parse_frames".
        total: how many steps it takes.
        unit: what a step is called.
        done: steps already done (a resumed run); they do not count towards the rate.
        quiet: show nothing.
    """

    def __init__(
        self, task: str, total: int, unit: str = "frame", done: int = 0, quiet: bool = False
    ):
        self.task, self.total, self.unit = task, total, unit
        self.done = self.done_before = done
        self.started = self.last_line = time.monotonic()
        self.note = ""
        self.quiet = quiet
        self.bar = None
        if sys.stderr.isatty() and not quiet:
            from tqdm import tqdm

            self.bar = tqdm(total=total, desc=task, unit=unit, initial=done)

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count `steps` more; `note` (losses, rates) is shown beside the bar."""
        self.done += steps
        self.note = note or self.note
        if self.bar is not None:
            self.bar.update(steps)
            self.bar.set_postfix_str(self.note)
        elif time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
            self._line()

    def start_again(self) -> None:
        """As if nothing had been done."""
        self.done = self.done_before = 0
        self.started = time.monotonic()
        if self.bar is not None:
            self.bar.reset()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
        else:
            self._line()

    def _line(self) -> None:
        if self.quiet:
            return
        self.last_line = time.monotonic()
        elapsed = self.last_line - self.started
        new = self.done - self.done_before
        rate = new / elapsed if elapsed > 0 else 0.0
        left = duration((self.total - self.done) / rate) if rate > 0 else "unknown"
        share = self.done / max(1, self.total)
        line = (
            f"{self.task}: {self.done}/{self.total} {self.unit}s ({share:.0%}), "
            f"{rate:.3g} {self.unit}s/s, {duration(elapsed)} gone, {left} left {self.note}"
        )
        print(line.rstrip(), file=sys.stderr, flush=True)


def progress(
    items: Iterable[Item], task: str, total: int, unit: str = "frame", quiet: bool = False
) -> Iterator[Item]:
    """Yield `items`, showing progress."""
    shown = Progress(task, total, unit, quiet=quiet)
    try:
        for item in items:
            yield item
            shown.advance()
    except GeneratorExit:  # who asked for the items has failed, and has the last word
        shown.quiet = True
        raise
    finally:
        shown.close()


def duration(seconds: float) -> str:
    """`75` -> `1:15`, `3700` -> `1:01:40`."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"
