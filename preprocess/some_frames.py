"""A few of a clip's frames, evenly spread, where all would be too many."""

import numpy as np


def evenly(count: int, most: int) -> np.ndarray:
    """At most `most` of `count` frame numbers, evenly spread."""
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))


def seen_evenly(trust: np.ndarray, most: int) -> np.ndarray:
    """At most `most` numbers of frames that were seen, evenly spread; trust (N,) is 0 elsewhere."""
    seen = np.flatnonzero(trust > 0)
    return seen[evenly(len(seen), most)]
