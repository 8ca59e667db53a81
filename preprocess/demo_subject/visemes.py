"""The mouth's movement while it speaks: phonemes in time -> ARKit face units in time.

Each sound has a target for some gestures of the mouth, and a dominance over its neighbours that
falls off exponentially with the time to it (Cohen and Massaro, Modeling coarticulation in
synthetic visual speech, 1993). A gesture is the mean of the targets, weighted by their dominance:
lips round before an "oo" begins, and a firm "m" closes them whatever comes before and after.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from preprocess.demo_subject.voice import STRESS_MARKS, STRESSES, Phoneme
from ssp_nerf.errors import InputError


@dataclass(frozen=True)
class Gesture:
    """One way in which the mouth moves.

    `before` and `after` are the seconds in which a sound's say over it falls by a factor e;
    `units` are the ARKit face units that show it in full.
    """

    before: float
    after: float
    units: Mapping[str, float]


def _both(units: Mapping[str, float]) -> dict[str, float]:
    """Units of the left and the right half of the mouth alike."""
    return {unit + side: gain for unit, gain in units.items() for side in ("Left", "Right")}


GESTURES = {
    "jaw": Gesture(0.045, 0.035, {"jawOpen": 1.0}),
    "press": Gesture(
        0.028, 0.025, {"mouthRollUpper": 0.2, "mouthRollLower": 0.2, **_both({"mouthPress": 0.45})}
    ),
    "bite": Gesture(
        0.035,
        0.030,
        {"mouthRollLower": 0.65, "mouthShrugLower": 0.2, **_both({"mouthUpperUp": 0.3})},
    ),
    "round": Gesture(0.110, 0.070, {"mouthPucker": 0.7, "mouthFunnel": 0.45, "jawForward": 0.1}),
    "spread": Gesture(0.080, 0.060, _both({"mouthStretch": 0.4, "mouthSmile": 0.3})),
    "teeth": Gesture(0.060, 0.050, _both({"mouthUpperUp": 0.25, "mouthLowerDown": 0.45})),
    "tongue": Gesture(0.030, 0.025, {"tongueOut": 0.35}),
}
"""Ours, tuned by eye. Lips prepare longer than they linger, and rounding the longest: it is seen
100 ms and more before its vowel (Cohen and Massaro 1993)."""

LIP_OPENERS = (
    "mouthFunnel",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
)
"""Units that part the lips; pressed lips do without them."""

UNITS = tuple(sorted({"mouthClose"}.union(*(gesture.units for gesture in GESTURES.values()))))
"""The face units that `mouth_movement` moves."""

Target = tuple[float, float]
"""How far a gesture goes, 1 in full, and how firmly: its dominance at the sound itself."""

LAX: Target = (0.0, 0.25)
"""What a sound asks of a gesture that it does not need: rest, if its neighbours let it."""


def _vowel(jaw: float, rounded: float = 0.0, spread: float = 0.0) -> dict[str, Target]:
    """A vowel opens the lips and keeps tongue and lower lip in."""
    return {
        "jaw": (jaw, 1.0),
        "press": (0.0, 1.0),
        "bite": (0.0, 1.0),
        "tongue": (0.0, 1.0),
        "round": (rounded, 0.7 + 0.7 * rounded),
        "spread": (spread, 0.5 + 0.7 * spread),
        "teeth": (0.25 + 0.35 * spread, 0.5),
    }


VISEMES: dict[str, dict[str, Target]] = {
    "rest": dict.fromkeys(GESTURES, (0.0, 2.0)),
    "ah": _vowel(0.64),
    "ae": _vowel(0.60, spread=0.45),
    "uh": _vowel(0.52),
    "aw": _vowel(0.54, rounded=0.6),
    "eh": _vowel(0.46, spread=0.45),
    "schwa": _vowel(0.38),
    "er": _vowel(0.32, rounded=0.45),
    "oh": _vowel(0.42, rounded=0.85),
    "ih": _vowel(0.36, spread=0.55),
    "ee": _vowel(0.27, spread=1.0),
    "oo-lax": _vowel(0.30, rounded=0.75),
    "oo": _vowel(0.22, rounded=1.0),
    # Consonants, from the lips to the throat. Lips aim beyond their contact, which flattens them
    # (Löfqvist and Gracco, Lip and jaw kinematics in bilabial stop consonant production, 1997).
    "lips": {"jaw": (0.04, 1.2), "press": (1.3, 3.0), "bite": (0.0, 1.0), "tongue": (0.0, 1.0)},
    "lip-teeth": {
        "jaw": (0.08, 1.5),
        "press": (0.0, 1.0),
        "bite": (1.0, 3.0),
        "tongue": (0.0, 1.0),
    },
    "w": {"jaw": (0.14, 1.0), "press": (0.0, 1.0), "round": (1.0, 2.0)},
    "tongue-teeth": {"jaw": (0.16, 1.2), "tongue": (1.0, 3.0), "teeth": (0.5, 1.0)},
    "hiss": {"jaw": (0.06, 2.0), "spread": (0.4, 0.4), "teeth": (0.8, 1.5), "tongue": (0.0, 1.0)},
    "hush": {"jaw": (0.09, 1.5), "round": (0.65, 1.5), "teeth": (0.8, 1.2), "tongue": (0.0, 1.0)},
    "tongue-tip": {"jaw": (0.12, 0.8), "teeth": (0.4, 0.5)},
    "l": {"jaw": (0.22, 0.6), "teeth": (0.4, 0.4)},
    "r": {"jaw": (0.18, 0.8), "round": (0.6, 1.0), "teeth": (0.3, 0.4)},
    "y": {"jaw": (0.16, 0.8), "spread": (0.7, 0.8), "teeth": (0.5, 0.5)},
    "back": {"jaw": (0.18, 0.5)},
    "breath": {"jaw": (0.25, 0.2)},
}
"""Ours, tuned by eye; which sounds look alike is textbook phonetics."""

SYMBOLS = {
    "rest": "_",
    "ah": "A: A# A~ aa 0 0# 02 O O2",
    "ae": "a a2 a#2",
    "uh": "V a#",
    "aw": "O: O~",
    "eh": "E E# E2 e e: e#",
    "schwa": "@ @# @- @2 @5 I#",
    "er": "3 3: r- R R2 R3",
    "oh": "o o:",
    "ih": "I I2 I2# i",
    "ee": "i:",
    "oo-lax": "U",
    "oo": "u u:",
    "ah ih": "aI",
    "ah er": "A@",
    "ah ih er": "aI@ aI3",
    "ah oo-lax": "aU",
    "ah oo-lax er": "aU@",
    "aw ih": "OI",
    "aw er": "O@ o@",
    "eh ih": "eI",
    "eh er": "e@",
    "schwa er": "IR",
    "uh er": "VR",
    "ih er": "i@ i@3",
    "oo-lax er": "U@",
    "oh oo-lax": "oU oU#",
    "schwa l": "@L",
    "lips": "p b B m m-",
    "lip-teeth": "f v v#",
    "w": "w w#",
    "tongue-teeth": "T D",
    "hiss": "s s; s. z z; z. z# z/2",
    "hush": "S S; Z Z; tS tS; dZ dZ;",
    "tongue-tip": "t t2 t# t[ d d# d[ n n- n. n^ * **",
    "l": "l l- l/ l/2 l/3 l# l. l^ L L/",
    "r": 'r r/ r. r"',
    "y": "j ; C J J^",
    "back": 'k g N N- c q x X Q Q" Q^',
    "breath": "h ?",
}
"""What espeak-ng's English mnemonics look like, one viseme after the other."""

SEEN = {symbol: seen.split() for seen, symbols in SYMBOLS.items() for symbol in symbols.split()}

UNSTRESSED = 0.8
"""How far the jaw opens for a vowel without stress, against one with it. Stressed jaws open more
(de Jong, The supraglottal articulation of prominence in English, 1995); the figure is ours."""

VOWELS = "ah ae uh aw eh schwa er oh ih ee oo-lax oo".split()

SETTLED = 0.25
"""Of a sound, the share at either end in which it still comes or already goes."""

LONGEST_SETTLING = 0.05
"""Seconds of the same for long sounds, pauses above all."""

FULL_PAUSE = 0.15
"""Seconds in which a mouth comes to rest: shorter pauses pull less towards it."""


def mouth_movement(phonemes: Sequence[Phoneme], times: np.ndarray) -> dict[str, np.ndarray]:
    """How the mouth moves while it says the phonemes.

    Args:
        phonemes: in order of time, as `voice.speak` gives them.
        times: (N,) seconds.

    Returns:
        (N,) float32 in [0, 1] of each of `UNITS`. A `mouthClose` as large as `jawOpen` closes
        the lips over an open jaw.

    Raises:
        InputError: no phonemes.
    """
    if not phonemes:
        raise InputError("phonemes is empty, expected at least one: give a silence for rest.")
    segments = [segment for phoneme in phonemes for segment in _segments(phoneme)]
    gestures = {
        name: np.clip(_blend(name, gesture, segments, np.asarray(times, np.float64)), 0, 1)
        for name, gesture in GESTURES.items()
    }
    units = {name: np.zeros(len(times)) for name in UNITS}
    for name, gesture in GESTURES.items():
        for unit, gain in gesture.units.items():
            units[unit] += gain * gestures[name]
    for unit in LIP_OPENERS:
        units[unit] *= 1 - gestures["press"]
    units["mouthClose"] = units["jawOpen"] * gestures["press"]
    return {unit: np.clip(values, 0, 1).astype(np.float32) for unit, values in units.items()}


def looks(symbol: str) -> list[str]:
    """The visemes of espeak-ng's mnemonic, with or without a stress mark, one after the other.

    What English does not have looks as the longest known mnemonic it begins with, or else as a
    schwa: "o~" as "o".
    """
    plain = symbol.lstrip(STRESS_MARKS)
    beginnings = (plain[:length] for length in range(len(plain), 0, -1))
    return next((SEEN[known] for known in beginnings if known in SEEN), ["schwa"])


@dataclass(frozen=True)
class _Segment:
    """A viseme from when it is reached to when it is left, seconds."""

    targets: Mapping[str, Target]
    reached: float
    left: float


def _segments(phoneme: Phoneme) -> list[_Segment]:
    """The visemes of a phoneme, which share its time evenly."""
    names = looks(phoneme.symbol)
    edges = np.linspace(phoneme.start, phoneme.end, len(names) + 1)
    settling = min(SETTLED * (edges[1] - edges[0]), LONGEST_SETTLING)
    stressed = phoneme.symbol[0] in STRESSES
    return [
        _Segment(_targets(name, stressed, phoneme), start + settling, end - settling)
        for name, start, end in zip(names, edges[:-1], edges[1:], strict=True)
    ]


def _targets(name: str, stressed: bool, phoneme: Phoneme) -> Mapping[str, Target]:
    """A viseme's targets as this phoneme has them."""
    targets = VISEMES[name]
    if name == "rest":
        weight = min(1.0, (phoneme.end - phoneme.start) / FULL_PAUSE)
        return {gesture: (aim, weight * firm) for gesture, (aim, firm) in targets.items()}
    if name in VOWELS and not stressed:
        jaw, firm = targets["jaw"]
        return {**targets, "jaw": (UNSTRESSED * jaw, firm)}
    return targets


def _blend(
    name: str, gesture: Gesture, segments: Sequence[_Segment], times: np.ndarray
) -> np.ndarray:
    """(N,) mean of the segments' targets for a gesture, weighted by their dominance.

    Its speed is at most half the range of the targets over the shorter of the gesture's times.
    """
    reached = np.array([segment.reached for segment in segments])
    left = np.array([segment.left for segment in segments])
    aims, firmness = np.array([segment.targets.get(name, LAX) for segment in segments]).T
    early = np.maximum(0, reached - times[:, None]) / gesture.before
    late = np.maximum(0, times[:, None] - left) / gesture.after
    logarithms = np.log(firmness) - early - late  # (N, segments)
    # Against the largest, for far from all segments every dominance would round to 0.
    dominance = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
    return (dominance @ aims) / dominance.sum(axis=1)
