"""Speech from text, with the times of its phonemes: sound whose mouth movement is known.

`python -m preprocess.demo_subject.voice` lists the voices.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import espeakng_loader
import numpy as np

from preprocess.demo_subject import espeak
from ssp_nerf import cli
from ssp_nerf.errors import InputError

SILENCE = "_"
"""The symbol of every pause, short or long."""

STRESSES = "',"
STRESS_MARKS = STRESSES + "%="
"""What espeak-ng may write before a vowel: primary or secondary stress, or the want of it."""

SLOWEST, FASTEST = 80, 450  # words per minute
HIGHEST_PITCH = 99
"""The limits in espeak-ng's speak_lib.h."""

UNRATED = 5
"""How well a language file fits that does not say: espeak-ng's DEFAULT_LANGUAGE_PRIORITY."""

STOPS = "pbtdkgcJq"
SONORANTS = "mnNlLrRwj"
VOWELS = "0123@AEIOUVaeiou"
"""First letters of plosives and affricates, of nasals and liquids, and of vowels in espeak-ng's
English mnemonics."""

CLOSURE = 0.06
"""Seconds a plosive is closed before its burst: 52 to 69 ms on average in American English
(Byrd, 54,000 American stops, 1993). Used where a pause hides the closure."""

LOUDEST_ECHO = 100  # of 256; espeak-ng turns louder ones down to it

GLIDE = 0.3
"""Of a liquid's or nasal's reported time, the share in which the vowel after it is heard already:
the median over voices and speeds of when its energy is halfway, in decibels, to the vowel's."""

FULL_SCALE = 32768  # of 16-bit samples: what espeak-ng's are divided by, and files multiplied by


@dataclass(frozen=True)
class Phoneme:
    """A sound of speech.

    `symbol` is espeak-ng's mnemonic after its stress mark, if any ("p", "'oU"), or `SILENCE`;
    `start` and `end` are seconds in the samples.
    """

    symbol: str
    start: float
    end: float


@dataclass(frozen=True)
class Speech:
    """Sound and what is said when.

    `samples` are (T,) float32 in [-1, 1] at `rate` Hz; `phonemes` follow each other without gap
    from 0 to T / rate.
    """

    samples: np.ndarray
    rate: int
    phonemes: tuple[Phoneme, ...]


def speak(
    text: str,
    voice: str = "en-us",
    words_per_minute: int = 150,
    pitch: int = 50,
    lead: float = 0.3,
    tail: float = 0.4,
) -> Speech:
    """Say a text with espeak-ng. The same arguments give the same bytes on one machine.

    Args:
        text: plain text; punctuation makes pauses.
        voice: a language, and perhaps a variant of the voice: "en-us", "en-gb+f3"; see `voices`.
        words_per_minute: 80 to 450.
        pitch: 0 to 99 of the voice's range.
        lead: seconds of silence before the speech.
        tail: seconds of silence after the speech.

    Raises:
        InputError: unknown voice, nothing to say, a number out of its range, or espeak-ng failed.
    """
    _check(words_per_minute, pitch, lead, tail)
    utterance = espeak.utter(text, _voice_file(voice), words_per_minute, pitch)
    if all(_plain(symbol) == SILENCE for _, symbol in utterance.phonemes):
        raise InputError(f"text is {text!r}, expected words to say: write at least one.")
    rate, before = utterance.rate, round(lead * utterance.rate)
    spoken = np.frombuffer(utterance.samples, np.int16)
    samples = np.pad(spoken, (before, round(tail * rate)))
    end = before + len(spoken)
    sounds = [(SILENCE, 0), *((_plain(s), before + at) for at, s in utterance.phonemes)]
    sounds = _merged([*sounds, (SILENCE, end)], len(samples))
    starts = _heard_starts(sounds, _pausing(samples, rate, voice), round(CLOSURE * rate))
    edges = [start / rate for start in [*starts, len(samples)]]
    return Speech(
        samples=(samples / FULL_SCALE).astype(np.float32),
        rate=rate,
        phonemes=tuple(
            Phoneme(symbol, start, end)
            for (symbol, _), start, end in zip(sounds, edges[:-1], edges[1:], strict=True)
            if start < end  # a closure may take up all of a short silence
        ),
    )


def voices() -> list[str]:
    """All that `speak` takes as a voice: the languages, and `en-us` with each variant.

    Any variant goes with any language.
    """
    return [*sorted(_languages()), *(f"en-us+{variant}" for variant in sorted(_variants()))]


@cache
def _languages() -> dict[str, str]:
    """The codes that espeak-ng's language files declare, each with the file that it fits best.

    A file says `language en-gb 4`: the lower the number, the better the fit; `UNRATED` if none.
    """
    fits: dict[str, tuple[int, str]] = {}
    folder = _data("lang")
    for path in (path for path in folder.rglob("*") if path.is_file()):
        for line in path.read_text("utf-8").splitlines():
            match line.split():
                case ["language", code, *priority]:
                    fit = (int(priority[0]) if priority else UNRATED, str(path.relative_to(folder)))
                    fits[code] = min(fit, fits.get(code, fit))
    return {code: name for code, (_, name) in fits.items()}


def _variants() -> set[str]:
    return {path.name for path in _data("voices/!v").iterdir()}


def _data(folder: str) -> Path:
    return Path(espeakng_loader.get_data_path()) / folder


def _voice_file(voice: str) -> str:
    """What espeak-ng calls a voice: `gmw/en+f3` for en-gb+f3."""
    language, plus, variant = voice.partition("+")
    languages = _languages()
    if language not in languages or (plus and variant not in _variants()):
        raise InputError(
            f"voice is {voice!r}, expected a language and perhaps a variant, such as en-us or "
            "en-gb+f3: `python -m preprocess.demo_subject.voice` lists them."
        )
    return languages[language] + plus + variant


def _check(words_per_minute: int, pitch: int, lead: float, tail: float) -> None:
    """Raises InputError for a number out of its range."""
    if not SLOWEST <= words_per_minute <= FASTEST:
        raise InputError(
            f"words_per_minute is {words_per_minute}, expected {SLOWEST} to {FASTEST}: choose a "
            "speed that espeak-ng can speak at."
        )
    if not 0 <= pitch <= HIGHEST_PITCH:
        raise InputError(f"pitch is {pitch}, expected 0 to {HIGHEST_PITCH}: 50 is the voice's own.")
    if not (0 <= lead < np.inf and 0 <= tail < np.inf):
        raise InputError(f"lead and tail are {lead} and {tail}, expected seconds, at least 0.")


def _plain(symbol: str) -> str:
    """`SILENCE` for any of espeak-ng's pauses, which are "_", "_:", "||" and such."""
    return SILENCE if symbol.strip(STRESS_MARKS)[:1] in ("", "_", "|") else symbol


def _merged(sounds: Sequence[tuple[str, int]], end: int) -> list[tuple[str, int]]:
    """(symbol, start) with neighbouring silences made one, and sounds of no length left out."""
    merged: list[tuple[str, int]] = []
    ends = [start for _, start in sounds[1:]] + [end]
    for (symbol, start), stop in zip(sounds, ends, strict=True):
        continues = merged and merged[-1][0] == symbol == SILENCE
        if start < stop and not continues:
            merged.append((symbol, start))
    return merged


def _pausing(samples: np.ndarray, rate: int, voice: str) -> np.ndarray:
    """(T,) bool, where espeak-ng pauses, be it within a word: all that sounds is the voice's echo.

    As in its wavegen.c: an echo is the output of a while ago, turned down, 3/4 of that where the
    output came from a recording. The rounding is 1.
    """
    delay, amplitude = _echo(voice)
    late = delay * rate // 1000
    past = np.pad(samples.astype(np.int64), (late, 0))[: len(samples)]
    synthetic, recorded = amplitude * past >> 8, amplitude * (past * 3 // 4) >> 8
    return np.minimum(abs(samples - synthetic), abs(samples - recorded)) <= 1


def _echo(voice: str) -> tuple[int, int]:
    """An echo's delay in ms and its amplitude, full scale 256, from the variant's file."""
    variant = voice.partition("+")[2]
    lines = (_data("voices/!v") / variant).read_text("utf-8").splitlines() if variant else []
    for line in lines:
        match line.split():
            case ["echo", delay, amplitude]:
                return int(delay), min(int(amplitude), LOUDEST_ECHO)
    return 0, 0


def _heard_starts(
    sounds: Sequence[tuple[str, int]], pausing: np.ndarray, closure: int
) -> list[int]:
    """The samples at which the sounds start, where espeak-ng reports a later moment of them.

    A plosive it reports at its burst: the closure is the pause that ends there or, after a
    silence, which it blends into, `closure` samples. A vowel after a liquid or nasal it reports
    after the glide into it, which is about `GLIDE` of the time of the consonant.
    """
    starts = [start for _, start in sounds]
    letters = [symbol.lstrip(STRESS_MARKS)[0] for symbol, _ in sounds]
    for i in range(1, len(sounds)):
        before = pausing[sounds[i - 1][1] : sounds[i][1]]
        if letters[i] in STOPS:
            pause = len(before) if before.all() else int(before[::-1].argmin())
            starts[i] -= min(pause, closure) if letters[i - 1] == SILENCE else pause
        elif letters[i] in VOWELS and letters[i - 1] in SONORANTS:
            starts[i] -= round(GLIDE * len(before))
    return starts


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.demo_subject.voice", "List the voices.")

    def command(_: argparse.Namespace) -> None:
        print(*voices(), sep="\n")

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
