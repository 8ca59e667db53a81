"""How long the clip is, and how evenly its frames follow each other."""

import numpy as np

from preprocess.check import limits
from preprocess.check.film import Film
from preprocess.check.findings import Finding, Level, level_at_least, level_at_most
from preprocess.media import require_picture

STILL = 0.02  # levels of 255, mean, by which a frame that is repeated may differ: coding
MOVING = 0.2  # levels by which a frame differs in a stretch in which somebody moves


def check_length(seconds: float) -> Finding:
    """Finding on the length of the clip."""
    level = level_at_least(seconds, *limits.LENGTH)
    wanted = "two to five minutes"
    if level is Level.WILL_NOT_WORK:
        advice = "Too short to learn a mouth from; enough only to try the stages. Film more."
    elif seconds < limits.SHORT_LENGTH:
        advice = "It will train, but sounds that are not in it will look wrong. Film more."
    elif level is Level.USABLE:
        advice = "More would make the mouth better."
    elif seconds > limits.LONG_LENGTH:
        level = Level.USABLE
        advice = "Choose the calmest five minutes with start and duration of subjects.<name>."
    else:
        advice = ""
    return Finding("length", level, f"{_minutes(seconds)}", wanted, advice)


def check_frame_rate(times: np.ndarray, changes: np.ndarray, film: Film) -> list[Finding]:
    """Findings on frame rate, its evenness, interlacing, repeated and damaged frames.

    Args:
        times: (N,) seconds of all frames.
        changes: (N,) mean change of each frame's brightness from the one before, levels.
        film: that was read.
    """
    steps = np.diff(times)
    rate = 1 / float(np.median(steps)) if (steps > 0).any() else 0.0
    stated = require_picture(film.media).fps
    uneven = float(np.mean(np.abs(steps * rate - 1) > 0.2))
    varies = uneven > limits.UNEVEN_STEPS
    shown = (len(times) - 1) / (times[-1] - times[0]) if varies else stated or rate
    level = level_at_least(shown, *limits.SLOW_FPS)
    measured, advice = f"{shown:.4g} fps", ""
    if level is not Level.GOOD:
        advice = "Too few pictures of the mouth. Film at 25 frames a second."
    elif varies:
        level = Level.USABLE
        advice = "It is resampled to 25 fps and may judder. Switch variable frame rate off."
    elif abs(shown - limits.FPS) > limits.FPS_LEEWAY:
        measured += ", will be resampled to 25"
    if varies:
        measured += f" on average, varying ({uneven:.0%} of the steps)"
    findings = [Finding("frame rate", level, measured, "25 fps, constant", advice)]

    repeated = repeated_share(changes)
    level = level_at_most(repeated, *limits.REPEATED)
    if level is not Level.GOOD:
        findings.append(
            Finding(
                "repeated frames", level, f"{repeated:.0%} of the frames repeat the one before",
                "none", "The film was made with fewer frames a second; use the original.",
            )
        )  # fmt: skip
    if film.interlaced > len(times) / 10:
        findings.append(
            Finding(
                "interlaced", Level.USABLE, f"{film.interlaced / len(times):.0%} of the frames",
                "progressive", "Convert it first: `ffmpeg -i FILE -vf bwdif=0 new.mp4`.",
            )
        )  # fmt: skip
    if film.damaged:
        findings.append(
            Finding(
                "damage", Level.USABLE, f"{film.damaged} packets cannot be decoded", "none",
                "Copy or download the file again.",
            )
        )  # fmt: skip
    return findings


def repeated_share(changes: np.ndarray) -> float:
    """Share of frames that repeat the one before, among those where something moves around.

    Args:
        changes: (N,) mean change of each frame from the one before, levels; the first is 0.
    """
    if len(changes) < 3:
        return 0.0
    padded = np.r_[changes, 0.0]
    before, here, after = padded[:-2], padded[1:-1], padded[2:]  # of frames 1 to N - 1
    moving = np.maximum(np.maximum(before, here), after) > MOVING
    return float((moving & (here < STILL)).sum() / max(1, moving.sum()))


def _minutes(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"
