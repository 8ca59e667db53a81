"""How the person moves besides the mouth: head, torso, gaze, lids, brows. All from a seed.

Movements are sums of a few slow sines of random phase, so they are smooth, known at any time, and
do not depend on the length of the clip.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

HEAD_DEGREES = np.array([3.0, 7.0, 2.0])
"""Standard deviation of the head's turns about x (nod), y (turn), z (tilt): heads of speakers stay
within 20 degrees of the front nearly all the time."""
HEAD_HERTZ = 0.12, 0.75
NOD_DEGREES, NOD_SECONDS = 3.5, 0.35
"""A nod goes with each stress of the speech, so large, so long."""
TORSO_DEGREES = np.array([0.5, 0.9, 0.5])
TORSO_DECIMETRES = np.array([0.05, 0.02, 0.05])
TORSO_HERTZ = 0.08, 0.3
BREATH_DECIMETRES, BREATH_HERTZ = 0.012, 0.28
SINES = 6

BLINK_EVERY = 2.2, 4.8  # seconds
LID_CLOSES, LID_OPENS = 0.08, 0.16
"""Seconds; a blink takes a fifth to a third of a second, and is quicker on the way down."""
GAZE_DEGREES, FIXATION = 2.5, (0.6, 2.0)
"""Eyes jump by about so much, and rest so many seconds in between, around the camera."""
BROW_LIFT, BROW_SECONDS = 0.35, 0.5


@dataclass(frozen=True)
class Motion:
    """Where everything is in N frames.

    Attributes:
        head: N rotations of the head against the torso.
        torso: N rotations of the torso against the room.
        sway: (N, 3) shifts of the torso, decimetres.
        gaze: (N, 2) degrees that the eyes look beside the camera: to the left, up.
        units: face unit -> (N,) strength.
    """

    head: Rotation
    torso: Rotation
    sway: np.ndarray
    gaze: np.ndarray
    units: dict[str, np.ndarray]


def motion(times: np.ndarray, stresses: Sequence[float], seed: int) -> Motion:
    """Move a person.

    Args:
        times: (N,) seconds.
        stresses: times that are stressed in the speech, seconds; nods and brows go with them.
        seed: of everything that is left to chance.
    """
    generator = np.random.default_rng(seed)
    turns = HEAD_DEGREES * wander(generator, times, HEAD_HERTZ, 3)
    sway = TORSO_DECIMETRES * wander(generator, times, TORSO_HERTZ, 3)
    sway[:, 1] += BREATH_DECIMETRES * np.sin(2 * np.pi * BREATH_HERTZ * times)
    lean = TORSO_DEGREES * wander(generator, times, TORSO_HERTZ, 3)
    brows = np.zeros_like(times)
    for stress in stresses:
        turns[:, 0] += NOD_DEGREES * generator.uniform(0.3, 1) * bump(times - stress, NOD_SECONDS)
        brows += generator.choice([0, 1]) * bump(times - stress, BROW_SECONDS)
    # Of their own, because how much chance they need depends on the length of the clip.
    lids, eyes = generator.spawn(2)
    closed = blinks(lids, times)
    brows = BROW_LIFT * np.clip(brows, 0, 1)
    return Motion(
        head=Rotation.from_euler("YXZ", turns[:, [1, 0, 2]], degrees=True),
        torso=Rotation.from_euler("YXZ", lean[:, [1, 0, 2]], degrees=True),
        sway=sway,
        gaze=saccades(eyes, times),
        units={
            "eyeBlinkLeft": closed,
            "eyeBlinkRight": closed,
            "browInnerUp": brows,
            "browOuterUpLeft": brows,
            "browOuterUpRight": brows,
        },
    )


def wander(
    generator: np.random.Generator, times: np.ndarray, band: tuple[float, float], channels: int
) -> np.ndarray:
    """(N, channels) smooth random curves of standard deviation 1 with frequencies in `band`, Hz."""
    frequency = np.geomspace(*band, SINES) * generator.uniform(0.85, 1.15, (channels, SINES))
    phase = generator.uniform(0, 2 * np.pi, (channels, SINES))
    size = frequency**-0.5
    size *= np.sqrt(2 / (size**2).sum(1, keepdims=True))
    waves = np.sin(2 * np.pi * frequency * times[:, None, None] + phase)
    return (size * waves).sum(-1)


def bump(after: np.ndarray, seconds: float) -> np.ndarray:
    """A smooth hill of height 1 and that width, centred on 0."""
    return np.where(np.abs(after) < seconds, np.cos(np.pi / 2 * after / seconds) ** 2, 0.0)


def blinks(generator: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """(N,) how far the lids are closed, 0 to 1."""
    closed = np.zeros_like(times)
    start = generator.uniform(*BLINK_EVERY) / 2
    while start < times[-1]:
        after = times - start - LID_CLOSES
        side = np.where(after < 0, LID_CLOSES, LID_OPENS)
        closed = np.maximum(closed, 1 - np.clip(np.abs(after) / side, 0, 1) ** 2)
        start += generator.uniform(*BLINK_EVERY)
    return closed


def saccades(generator: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """(N, 2) degrees that the eyes look beside the camera."""
    gaze = np.zeros((len(times), 2))
    start = 0.0
    while start < times[-1]:
        gaze[times >= start] = generator.normal(0, GAZE_DEGREES, 2) * (1, 0.5)
        start += generator.uniform(*FIXATION)
    return gaze
