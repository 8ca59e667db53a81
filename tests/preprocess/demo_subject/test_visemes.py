"""The mouth does what the sounds need, in step with them, without jumps."""

import struct
from functools import cache
from pathlib import Path

import espeakng_loader
import numpy as np
import pytest

from preprocess.demo_subject.visemes import GESTURES, SEEN, UNITS, VISEMES, looks, mouth_movement
from preprocess.demo_subject.voice import SILENCE, Phoneme, Speech, speak
from ssp_nerf.errors import InputError

TEXT = (
    "Please show Peter the five big apples, by the blue boat. Mummy sees a happy man. "
    "The problem above our home may be about bumping a lamp."
)
FRAME = 1 / 25  # seconds


@cache
def said(text: str = TEXT, voice: str = "en-us", words_per_minute: int = 150) -> Speech:
    return speak(text, voice, words_per_minute)


def middle(phoneme: Phoneme) -> float:
    return (phoneme.start + phoneme.end) / 2


def at(speech: Speech, symbols: str, unit: str) -> np.ndarray:
    """(N,) the unit at the middle of each of these phonemes."""
    times = [middle(p) for p in speech.phonemes if p.symbol.lstrip("',") in symbols.split()]
    assert times
    return mouth_movement(speech.phonemes, np.array(times))[unit]


def spaced(*symbols: str, each: float = 0.1) -> list[Phoneme]:
    """Phonemes of equal length between silences of half a second."""
    edges = [0, *(0.5 + each * i for i in range(len(symbols) + 1))]
    sounds = [Phoneme(s, a, b) for s, a, b in zip(symbols, edges[1:], edges[2:], strict=False)]
    return [
        Phoneme(SILENCE, 0.0, 0.5),
        *sounds,
        Phoneme(SILENCE, edges[-1], edges[-1] + 0.5),
    ]


def test_values_are_between_rest_and_full() -> None:
    speech = said()
    times = np.arange(0, speech.phonemes[-1].end, 0.01)
    movement = mouth_movement(speech.phonemes, times)
    assert set(movement) == set(UNITS)
    for values in movement.values():
        assert values.shape == times.shape
        assert values.dtype == np.float32
        assert values.min() >= 0 and values.max() <= 1


@pytest.mark.parametrize(
    "voice, words_per_minute", [("en-us", 150), ("en-gb", 150), ("en-us", 220)]
)
def test_lips_touch_in_the_middle_of_every_p_b_and_m(voice: str, words_per_minute: int) -> None:
    speech = said(TEXT, voice, words_per_minute)
    assert len([p for p in speech.phonemes if p.symbol in "pbm"]) > 15
    np.testing.assert_array_equal(at(speech, "p b m", "mouthClose"), at(speech, "p b m", "jawOpen"))
    assert at(speech, "p b m", "mouthPressLeft").min() > 0.4
    for unit in ("mouthUpperUpLeft", "mouthLowerDownRight", "mouthFunnel"):
        assert at(speech, "p b m", unit).max() == 0


def test_lips_part_for_every_stressed_vowel() -> None:
    speech = said()
    vowels = " ".join({p.symbol[1:] for p in speech.phonemes if p.symbol[0] == "'"})
    gap = at(speech, vowels, "jawOpen") - at(speech, vowels, "mouthClose")
    assert gap.min() > 0.05


def test_each_kind_of_sound_looks_its_part() -> None:
    speech = said("Father saw five thin sheep eat two moving peas.")
    jaw = at(speech, "A:", "jawOpen")
    assert jaw.min() > 0.4
    assert at(speech, "s S", "jawOpen").max() < 0.2 < at(speech, "s S", "mouthLowerDownLeft").min()
    assert (
        at(speech, "f v", "mouthRollLower").min()
        > 0.4
        > at(speech, "p b m", "mouthRollLower").max()
    )
    assert at(speech, "T", "tongueOut").min() > 0.15
    assert at(speech, "f v p b m s S", "tongueOut").max() < 0.1
    assert at(speech, "u:", "mouthPucker").min() > 0.4 > at(speech, "i:", "mouthPucker").max()
    assert at(speech, "i:", "mouthSmileLeft").min() > 2 * at(speech, "u:", "mouthSmileLeft").max()


def test_silence_is_rest() -> None:
    for values in mouth_movement(said().phonemes, np.array([-10.0, 0.0, 1e4])).values():
        assert values.max() < 0.01
    for values in mouth_movement([Phoneme(SILENCE, 0, 1)], np.linspace(0, 1, 9)).values():
        assert values.max() == 0


def test_lips_round_before_an_oo_begins() -> None:
    """Coarticulation: the t of "too" is round and the t of "tea" is not."""
    too, tea = said("too"), said("tea")
    assert at(too, "t", "mouthPucker") > at(tea, "t", "mouthPucker") + 0.2
    assert at(tea, "t", "mouthStretchLeft") > at(too, "t", "mouthStretchLeft") + 0.1


def test_lips_prepare_longer_than_they_linger() -> None:
    phonemes = spaced("u:")
    early, late = mouth_movement(phonemes, np.array([0.4, 0.7]))["mouthPucker"]
    assert early > 1.5 * late > 0


def test_a_vowel_between_consonants_opens_less_when_it_is_short() -> None:
    """Undershoot, as Cohen and Massaro's model has it."""
    jaws = [
        float(
            mouth_movement(spaced("s", "'A:", "s", each=each), np.array([0.5 + 1.5 * each]))[
                "jawOpen"
            ][0]
        )
        for each in (0.05, 0.1, 0.4)
    ]
    assert jaws == sorted(jaws)
    assert jaws[0] < 0.75 * jaws[2]
    assert jaws[2] == pytest.approx(VISEMES["ah"]["jaw"][0], abs=0.05)


def test_a_diphthong_moves_from_one_vowel_to_the_other() -> None:
    phonemes = spaced("'aI", each=0.25)
    first, last = mouth_movement(phonemes, np.array([0.56, 0.69]))["jawOpen"]
    assert first > 1.5 * last
    movement = mouth_movement(phonemes, np.array([0.56, 0.69]))["mouthSmileLeft"]
    assert movement[0] < movement[1]


def test_no_gesture_is_faster_than_its_bound() -> None:
    """Half the range of the targets over the shorter time constant."""
    speech = said(words_per_minute=200)
    step = 0.001
    movement = mouth_movement(speech.phonemes, np.arange(0, speech.phonemes[-1].end, step))
    for name, unit in [("jaw", "jawOpen"), ("round", "mouthPucker"), ("spread", "mouthSmileLeft")]:
        gesture = GESTURES[name]
        aims = [targets[name][0] for targets in VISEMES.values() if name in targets]
        bound = gesture.units[unit] * max(aims) / 2 / min(gesture.before, gesture.after)
        assert np.abs(np.diff(movement[unit])).max() / step <= bound + 1e-3


def test_nothing_jumps_from_one_frame_to_the_next() -> None:
    speech = said()
    movement = mouth_movement(speech.phonemes, np.arange(0, speech.phonemes[-1].end, FRAME))
    for values in movement.values():
        assert np.abs(np.diff(values)).max() < 0.4


@pytest.mark.parametrize("voice", ["en-us", "en-us+f3", "en-gb+m3"])
def test_the_mouth_opens_with_the_sound(voice: str) -> None:
    """Opening and loudness correlate, and most so at no more than a frame's lag."""
    speech = said(TEXT, voice)
    window = round(0.03 * speech.rate)
    power = np.convolve(speech.samples.astype(np.float64) ** 2, np.ones(window) / window, "same")
    times = np.arange(0.2, speech.phonemes[-1].end - 0.2, 0.01)
    movement = mouth_movement(speech.phonemes, times)
    opening = movement["jawOpen"] - movement["mouthClose"]

    def likeness(lag: float) -> float:
        """With the sound of `lag` seconds ago."""
        loudness = np.sqrt(power[((times - lag) * speech.rate).astype(int)])
        return float(np.corrcoef(opening, loudness)[0, 1])

    lags = np.arange(-0.15, 0.151, 0.01)
    likenesses = [likeness(lag) for lag in lags]
    assert max(likenesses) > 0.5
    assert abs(lags[int(np.argmax(likenesses))]) <= FRAME


def test_the_jaw_is_neither_shy_nor_grotesque() -> None:
    speech = said()
    times = np.arange(0, speech.phonemes[-1].end, 0.01)
    jaw = mouth_movement(speech.phonemes, times)["jawOpen"]
    speaking = ~np.any(
        [(p.start <= times) & (times < p.end) for p in speech.phonemes if p.symbol == SILENCE], 0
    )
    assert 0.15 < jaw[speaking].mean() < 0.3
    assert 0.45 < jaw.max() < 0.65


def english_mnemonics() -> set[str]:
    """Sounds of espeak-ng's en and en-us phoneme tables, from its compiled data.

    `phontab` is a count and, for each table: its size, the number of the table that it extends, a
    name of 32 bytes, and phonemes of 16 bytes with a mnemonic of 4, a code at 10 and a type at 11.
    """
    pauses_and_stresses, invalid, variants = (0, 1), 9, 15
    data = (Path(espeakng_loader.get_data_path()) / "phontab").read_bytes()
    tables: list[dict[int, tuple[str, int]]] = []
    names: dict[str, int] = {}
    position = 4
    for _ in range(data[0]):
        size, parent = data[position], data[position + 1]
        names[data[position + 4 : position + 36].split(b"\0")[0].decode()] = len(tables)
        position += 36
        table = dict(tables[parent - 1]) if parent else {}
        for mnemonic, code, kind in struct.iter_unpack("4s6xBB4x", data[position:][: 16 * size]):
            table[code] = (mnemonic.rstrip(b"\0").decode(), kind)
        tables.append(table)
        position += 16 * size
    return {
        mnemonic
        for name in ("en", "en-us")
        for mnemonic, kind in tables[names[name]].values()
        if kind not in (*pauses_and_stresses, invalid, variants) and not mnemonic.startswith("#")
    }


def test_every_english_sound_has_its_look() -> None:
    sounds = english_mnemonics()
    assert {"p", "tS", "oU", "@L", "t#", "i@3"} <= sounds
    assert sounds - set(SEEN) == set()
    assert {viseme for look in SEEN.values() for viseme in look} == set(VISEMES)


def test_a_foreign_sound_looks_as_what_it_begins_with() -> None:
    assert looks("o~") == SEEN["o"]
    assert looks("'eI~") == SEEN["eI"]
    assert looks("!") == ["schwa"]


def test_no_phonemes_is_an_error() -> None:
    with pytest.raises(InputError, match="phonemes is empty"):
        mouth_movement([], np.zeros(1))
