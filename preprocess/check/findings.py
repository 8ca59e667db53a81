"""What the check says: findings, each with what was measured and wanted, and a verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Level(IntEnum):
    """How much a finding stands in the way, and so how good a video is."""

    GOOD = 0
    USABLE = 1
    WILL_NOT_WORK = 2

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


Spans = list[tuple[float, float]]
"""Stretches of the clip, first and last second, in order."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        topic: one or two words.
        level: how much it stands in the way.
        measured: what was found, with figures and units.
        wanted: what is good.
        advice: what to do about it; empty if nothing needs doing.
        times: when, seconds of the clip; empty if it concerns all of it.
    """

    topic: str
    level: Level
    measured: str
    wanted: str
    advice: str = ""
    times: Sequence[tuple[float, float]] = ()


def verdict(findings: Iterable[Finding]) -> Level:
    """As good as the worst finding."""
    return max((finding.level for finding in findings), default=Level.GOOD)


def level_at_least(value: float, good: float, usable: float) -> Level:
    """The level of a value that had better be large; `usable` is the least that is not hopeless."""
    return Level.GOOD if value >= good else Level.USABLE if value >= usable else Level.WILL_NOT_WORK


def level_at_most(value: float, good: float, usable: float) -> Level:
    """The level of a value that had better be small; `usable` is the most that is not hopeless."""
    return level_at_least(-value, -good, -usable)


def spans(times: np.ndarray, marked: np.ndarray) -> Spans:
    """Runs of marked samples as stretches of time: each sample stands for the time halfway to its
    neighbours.

    Args:
        times: (N,) seconds, ascending.
        marked: (N,) bool.
    """
    if not len(times):
        return []
    halfway = (times[1:] + times[:-1]) / 2
    begins, ends = np.r_[times[0], halfway], np.r_[halfway, times[-1]]
    edges = np.flatnonzero(np.diff(np.r_[False, marked, False].astype(np.int8))).reshape(-1, 2)
    return [(float(begins[first]), float(ends[end - 1])) for first, end in edges]


def longest_without(findings: Iterable[Finding], seconds: float) -> tuple[float, float] | None:
    """The longest stretch that no finding worse than good names a time in; None if no finding names
    any, or nothing is left."""
    bad = sorted(
        time for finding in findings if finding.level is not Level.GOOD for time in finding.times
    )
    if not bad:
        return None
    begin, best = 0.0, (0.0, 0.0)
    for first, last in [*bad, (seconds, seconds)]:
        if first - begin > best[1] - best[0]:
            best = (begin, first)
        begin = max(begin, last)
    return best if best[1] > best[0] else None
