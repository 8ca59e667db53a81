"""Long speech through a network piece by piece, so that memory does not grow with its length."""

from collections.abc import Callable

import numpy as np

from ssp_nerf.progress import progress


def in_pieces(
    run: Callable[[int, int], np.ndarray], count: int, piece: int, context: int
) -> np.ndarray:
    """Rows 0 ... count - 1 of a network's output, `piece` of them kept from each run.

    A run also sees up to `context` rows to either side of what is kept of it. A network whose rows
    depend on no more than that much of its surroundings gives the same as in one run.

    Args:
        run: (first, last) -> (last - first, C) rows from first to before last, of a network that
            sees no others.
        count: rows in all, at least 1.
        piece: rows kept of a run.
        context: rows seen to either side of them.

    Returns:
        (count, C) float32.
    """
    kept = []
    starts = range(0, count, piece)
    for start in progress(starts, "extract_audio_features", len(starts), unit="piece"):
        first, last = max(0, start - context), min(count, start + piece + context)
        kept.append(run(first, last)[start - first :][:piece].astype(np.float32))
    return np.concatenate(kept)
