"""Pearson's correlation of two curves."""

import numpy as np


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two curves (F,), -1 to 1; nan where one does not change."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
