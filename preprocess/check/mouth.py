"""Whether the mouth opens and closes, and whether it does so with the sound."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from preprocess.check import limits
from preprocess.check.findings import Finding, Level, level_at_least, level_at_most
from preprocess.check.sound import Sound
from ssp_nerf.landmarks import mouth_opening, mouth_points
from ssp_nerf.metrics.mouth_sync import SMOOTHING, VOICE_RATE, changes
from ssp_nerf.schema import FPS

REACH = 0.6  # seconds: lags that are looked for
MOVEMENTS = 4.0
"""Independent movements of a mouth a second: the correlation with a voice that is not its own
scatters over lags by 0.06 in 71 s (a news speaker), which is 1 / sqrt(4 * 71)."""
SIGMAS = 3.5  # beyond chance, for a peak that is looked for among a dozen independent lags
TELLING = 0.35  # clear speech reaches it; where more is needed, nothing can be told
CORNERS = (0, 6)  # of the mouth, among its 20 points
LAG_STEP = 0.02  # seconds


@dataclass(frozen=True)
class Lips:
    """A stretch of the film at its full frame rate.

    Attributes:
        times: (N,) seconds.
        opening: (N,) of the mouth, over its width; nan where no face was found.
    """

    times: np.ndarray
    opening: np.ndarray


@dataclass(frozen=True)
class Step:
    """Lips and loudness.

    Attributes:
        lags: (L,) seconds by which the sound is taken to be late.
        correlation: (L,) of opening and loudness, all stretches together.
        needed: the correlation that is no chance any more.
    """

    lags: np.ndarray
    correlation: np.ndarray
    needed: float

    @property
    def best(self) -> int:
        """Index of the lag at which they go together best."""
        return int(self.correlation.argmax())


def relative_opening(points: np.ndarray) -> np.ndarray:
    """Opening of mouths over their width: (..., 478, 3) FaceMesh points -> (...).

    Both lengths in 3-D, so that turning the head changes little.
    """
    mouth = mouth_points(points)
    width = np.linalg.norm(mouth[..., CORNERS[0], :] - mouth[..., CORNERS[1], :], axis=-1)
    return mouth_opening(mouth) / width


def in_step(stretches: Sequence[Lips], sound: Sound) -> Step | None:
    """How well opening and loudness go together, for every lag; None if there is too little.

    What is slower than a second is taken out of both: poses and levels drift.
    """
    from scipy.ndimage import gaussian_filter1d

    clock = (np.arange(len(sound.voice)) + 0.5) / VOICE_RATE
    lags = np.arange(-REACH, REACH + LAG_STEP / 2, LAG_STEP)
    moments, ours = [], []
    for lips in stretches:
        seen = np.isfinite(lips.opening)
        if seen.sum() < FPS or not len(clock):
            continue
        grid = np.arange(lips.times[seen][0], lips.times[seen][-1], 1 / FPS)
        inside = (grid >= clock[0] + REACH) & (grid <= clock[-1] - REACH)
        opening = np.interp(grid, lips.times[seen], lips.opening[seen])
        moments.append(grid[inside])
        ours.append(changes(opening, FPS)[inside])
    if sum(map(len, moments)) < FPS:
        return None
    heard = changes(gaussian_filter1d(sound.voice, SMOOTHING * VOICE_RATE), VOICE_RATE)
    at = np.concatenate(moments)
    theirs = np.stack([np.interp(at + lag, clock, heard) for lag in lags])
    theirs -= theirs.mean(1, keepdims=True)
    seen_ = np.concatenate(ours)
    seen_ -= seen_.mean()
    power = np.sqrt((theirs**2).sum(1) * (seen_**2).sum())
    correlation = np.divide(theirs @ seen_, power, out=np.zeros(len(lags)), where=power > 0)
    needed = max(limits.LIPS_AND_SOUND, SIGMAS / np.sqrt(MOVEMENTS * len(at) / FPS))
    return Step(lags, correlation, float(needed))


def check_mouth(opening: np.ndarray) -> list[Finding]:
    """Finding on the range of a mouth's relative openings (N,)."""
    if not len(opening):
        return []
    low, high = np.percentile(opening, [5, 95])
    level = level_at_least(high - low, *limits.MOUTH_RANGE)
    advice = ""
    if level is not Level.GOOD:
        advice = "Does the person talk, and is the mouth seen? Silence and mumbling teach little."
    elif low > limits.MOUTH_CLOSED:
        level = Level.USABLE
        advice = "The mouth never closes: is something in front of it, or is there no p, b, m?"
    return [
        Finding(
            "mouth", level, f"opens from {low:.2f} to {high:.2f} of its width",
            f"from {limits.MOUTH_CLOSED:g} or less, by {limits.MOUTH_RANGE[0]:g} or more", advice,
        )
    ]  # fmt: skip


def check_step(step: Step) -> list[Finding]:
    """Findings on lips and sound. Loudness tells little of the mouth's shape (a long "mm" is loud),
    so this finds sound that is late, early or of somebody else, not a slight slip."""
    wanted = "the mouth opens with the loudness, within 0.1 s"
    best, lag = float(step.correlation[step.best]), float(step.lags[step.best])
    if best < step.needed and step.needed > TELLING:
        return [Finding("lips and sound", Level.GOOD, "too short a clip to tell", wanted)]
    if best < step.needed or step.best in (0, len(step.lags) - 1):
        return [
            Finding(
                "lips and sound", Level.USABLE,
                f"do not go together (correlation {best:.2f} at most)",
                f"{wanted}: {step.needed:.2f} or more",
                "Is the film dubbed, does somebody else talk, is there music? Watch it. This is "
                "weak evidence: mumbling looks the same.",
            )
        ]  # fmt: skip
    level = level_at_most(abs(lag), *limits.SOUND_LAG)
    late = "late" if lag > 0 else "early"
    return [
        Finding(
            "lips and sound", level, f"sound {abs(lag) * 1000:.0f} ms {late} (correlation "
            f"{best:.2f})", wanted,
            "" if level is Level.GOOD
            else f"Shift the sound: `ffmpeg -i FILE -itsoffset {-lag:.2f} -i FILE -map 0:v "
            "-map 1:a -c copy new.mp4`.",
        )
    ]  # fmt: skip
