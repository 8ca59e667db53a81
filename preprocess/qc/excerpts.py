"""Which frames of a clip a short video shows: an excerpt of every part, round its worst frame."""

import numpy as np

from ssp_nerf.errors import InputError
from ssp_nerf.schema import FPS

EXCERPT_SECONDS = 2.0
"""Of one excerpt: long enough to hear a few words and see a nod."""
SECONDS: float = 10
"""Of a whole video, at most."""


def excerpts(badness: np.ndarray, seconds: float = SECONDS) -> list[range]:
    """The frames worth looking at, in order.

    A clip that is short enough is shown whole. Of any other, as many excerpts as there is time for:
    one from each equal part of the clip, round the part's worst frame. So they are spread evenly,
    and the worst frame of all is among them.

    Args:
        badness: (N,) of each frame; the largest is the worst, and the first of equals.
        seconds: of all excerpts together.

    Raises:
        InputError: no time at all.
    """
    if not seconds > 0:
        raise InputError(f"qc.seconds (--seconds) is {seconds}, expected more than 0.")
    shown, length = max(1, round(seconds * FPS)), round(EXCERPT_SECONDS * FPS)
    if len(badness) <= shown:
        return [range(len(badness))]
    length = min(length, shown)
    edges = np.linspace(0, len(badness), shown // length + 1).astype(int)
    chosen = []
    for begin, end in zip(edges[:-1], edges[1:], strict=True):
        worst = begin + int(np.argmax(badness[begin:end]))
        first = int(np.clip(worst - length // 2, begin, end - length))
        chosen.append(range(first, first + length))
    return chosen
