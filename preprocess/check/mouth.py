"""Whether the mouth opens and closes, and whether it does so with the sound."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from preprocess.check import limits
from preprocess.check.findings import Finding, Level, level_at_least, level_at_most
from preprocess.check.sound import PAUSE_DB, Sound, speech_level
from ssp_nerf.mouth import mouth_opening, mouth_points
from ssp_nerf.schema import FPS

REACH = 0.6  # seconds: lags that are looked for
LEAST_SECONDS = 4.0  # of lips beyond twice the reach; any curves correlate over less
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
        correlation: (L,) of opening and loudness, all stretches together; nan where unknown.
    """

    lags: np.ndarray
    correlation: np.ndarray

    @property
    def best(self) -> int:
        """Index of the lag at which they go together best."""
        return int(np.nanargmax(self.correlation))


def relative_opening(points: np.ndarray) -> np.ndarray:
    """Opening of mouths over their width: (..., 478, 3) FaceMesh points -> (...).

    Both lengths in 3-D, so that turning the head changes little.
    """
    mouth = mouth_points(points)
    width = np.linalg.norm(mouth[..., CORNERS[0], :] - mouth[..., CORNERS[1], :], axis=-1)
    return mouth_opening(mouth) / width


def in_step(stretches: Sequence[Lips], sound: Sound) -> Step:
    """How well opening and loudness go together, for every lag.

    Both are high-passed by taking out the mean over 1 s around, within each stretch: poses and
    levels drift.
    """
    lags = np.arange(-REACH, REACH + LAG_STEP / 2, LAG_STEP)
    floor = speech_level(sound.level) - PAUSE_DB
    loudness = np.maximum(sound.level, floor)
    clock = (np.arange(len(loudness)) + 0.5) / FPS
    moments, ours = [], []
    for lips in stretches:
        seen = np.isfinite(lips.opening)
        if seen.sum() < FPS:
            continue
        grid = np.arange(lips.times[seen][0], lips.times[seen][-1], 1 / FPS)
        opening = np.interp(grid, lips.times[seen], lips.opening[seen])
        inside = (grid >= clock[0] + REACH) & (grid <= clock[-1] - REACH)
        moments.append(grid[inside])
        ours.append(changes(opening)[inside])
    total = sum(map(len, moments))
    if total < LEAST_SECONDS * FPS:
        return Step(lags, np.full(len(lags), np.nan))
    heard = changes(loudness)
    theirs = np.stack([np.interp(np.concatenate(moments) + lag, clock, heard) for lag in lags])
    lips_ = np.concatenate(ours)
    lips_ = lips_ - lips_.mean()
    theirs -= theirs.mean(1, keepdims=True)
    power = np.sqrt((theirs**2).sum(1) * (lips_**2).sum())
    correlation = np.divide(theirs @ lips_, power, out=np.zeros(len(lags)), where=power > 0)
    return Step(lags, correlation)


def changes(curve: np.ndarray) -> np.ndarray:
    """A curve at 25 Hz without what is slower than a second."""
    from scipy.ndimage import uniform_filter1d

    return curve - uniform_filter1d(curve, round(FPS), mode="nearest")


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
    if np.isnan(step.correlation).all():
        return []
    wanted = "lips and loudness go together, within 0.1 s"
    best = float(step.correlation[step.best])
    lag = float(step.lags[step.best])
    if best < limits.LIPS_AND_SOUND or step.best in (0, len(step.lags) - 1):
        return [
            Finding(
                "lips and sound", Level.USABLE,
                f"do not go together (correlation {best:.2f} at most)", wanted,
                "Is the film dubbed, is somebody else talking, is there music? Watch it. This is "
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
