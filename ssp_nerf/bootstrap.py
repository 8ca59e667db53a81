"""Confidence intervals of a video's figures: circular block bootstrap over its frames.

Frames that follow each other are alike, so single frames must not be drawn: the interval would be
far too narrow. Blocks of consecutive frames are drawn instead, wrapped round at the clip's end
(Politis, Romano 1992), with the percentiles of what comes out (Efron 1979).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LEAST_BLOCKS = 3  # of the clip; fewer say nothing of how blocks differ


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are found.

    Attributes:
        resamples: how often a clip is drawn; 0: no intervals.
        block: frames drawn together.
        level: probability that the interval covers, 0 to 1.
        seed: of the draws.
    """

    resamples: int = 1000
    block: int = 12
    level: float = 0.95
    seed: int = 0

    def interval(
        self, statistic: Callable[[np.ndarray], float], frames: int
    ) -> tuple[float, float] | None:
        """Interval of a statistic of frames.

        Args:
            statistic: takes frame numbers (frames,) of a resample, with repetitions.
            frames: how many there are.

        Returns:
            Its ends, or None for a clip shorter than three blocks, or a statistic without a value.
        """
        if self.resamples == 0 or frames < LEAST_BLOCKS * self.block:
            return None
        values = np.array([statistic(rows) for rows in self.draws(frames)])
        values = values[np.isfinite(values)]
        if len(values) < self.resamples / 2:
            return None
        outside = (1 - self.level) / 2
        low, high = np.quantile(values, [outside, 1 - outside])
        return float(low), float(high)

    def draws(self, frames: int) -> np.ndarray:
        """(resamples, frames) frame numbers; the same for every statistic of a clip."""
        random = np.random.default_rng(self.seed)
        blocks = -(-frames // self.block)
        starts = random.integers(0, frames, (self.resamples, blocks, 1))
        rows = (starts + np.arange(self.block)) % frames
        return rows.reshape(self.resamples, -1)[:, :frames]
