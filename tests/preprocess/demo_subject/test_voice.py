"""The voice says the same each time, and its phonemes are where the sound says they are."""

import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import espeakng_loader
import numpy as np
import pytest

from preprocess.demo_subject.voice import (
    SILENCE,
    STRESS_MARKS,
    VOWELS,
    Phoneme,
    Speech,
    main,
    speak,
    voices,
)
from ssp_nerf.errors import InputError

TEXT = "Please show Peter the five big apples. Mummy sees six happy fishes on a map."
PLOSIVES = "A pack of keepers took a cup at a party."
ROOT = Path(__file__).parents[3]


@cache
def said(text: str = TEXT, voice: str = "en-us", words_per_minute: int = 150) -> Speech:
    return speak(text, voice, words_per_minute)


def sound(speech: Speech, phoneme: Phoneme) -> np.ndarray:
    """(N,) the samples of a phoneme."""
    return speech.samples[round(phoneme.start * speech.rate) : round(phoneme.end * speech.rate)]


def loudness(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


def share_above(samples: np.ndarray, rate: int, hertz: float) -> float:
    """Share of the energy in the frequencies above."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return float(power[np.fft.rfftfreq(len(samples), 1 / rate) > hertz].sum() / power.sum())


def plain(phoneme: Phoneme) -> str:
    return phoneme.symbol.lstrip(STRESS_MARKS)


def test_same_arguments_give_same_bytes_here_and_in_a_fresh_process() -> None:
    speech = said()
    speak("Something else in between.", "en-gb+m3")
    again = speak(TEXT)
    assert again.samples.tobytes() == speech.samples.tobytes()
    assert again.phonemes == speech.phonemes
    program = (
        "import sys; from preprocess.demo_subject.voice import speak; "
        f"sys.stdout.buffer.write(speak({TEXT!r}).samples.tobytes())"
    )
    fresh = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=ROOT)
    assert fresh.stdout == speech.samples.tobytes()
    assert fresh.stderr == b""


def test_phonemes_cover_the_samples_without_gap() -> None:
    for lead, tail in [(0.3, 0.4), (0.0, 0.0), (0.0, 1.0)]:
        speech = speak("Papa, come and see.", lead=lead, tail=tail)
        spans = speech.phonemes
        assert speech.samples.dtype == np.float32
        assert np.abs(speech.samples).max() <= 1
        assert spans[0].start == 0
        assert spans[-1].end == len(speech.samples) / speech.rate
        assert all(a.end == b.start for a, b in zip(spans[:-1], spans[1:], strict=True))
        assert all(span.start < span.end for span in spans)
        silences = [span.symbol == SILENCE for span in spans]
        assert not any(a and b for a, b in zip(silences[:-1], silences[1:], strict=True))


def test_phonemes_are_the_words() -> None:
    symbols = [plain(phoneme) for phoneme in speak("Peter, show me.").phonemes]
    assert symbols == ["_", "p", "i:", "t#", "3", "_", "S", "oU", "m", "i:", "_"]


def test_lead_and_tail_are_silent() -> None:
    speech = speak("Oh.", lead=0.5, tail=0.25)
    assert not speech.samples[: round(0.5 * speech.rate)].any()
    assert not speech.samples[-round(0.25 * speech.rate) :].any()
    assert speech.phonemes[0].end >= 0.5
    first, last = np.flatnonzero(speech.samples)[[0, -1]] / speech.rate
    assert first == pytest.approx(speech.phonemes[1].start, abs=0.02)
    assert last == pytest.approx(speech.phonemes[-1].start, abs=0.05)


@pytest.mark.parametrize("voice", ["en-us", "en-us+f3", "en-gb+m3"])
def test_vowels_are_loud_and_silences_silent(voice: str) -> None:
    speech = said(voice=voice)
    silences = [sound(speech, p) for p in speech.phonemes if p.symbol == SILENCE]
    vowels = [sound(speech, p) for p in speech.phonemes if plain(p)[0] in VOWELS]
    assert len(vowels) > 10
    assert max(map(loudness, silences)) < 0.01 * min(map(loudness, vowels))


def test_hisses_are_high() -> None:
    speech = said()
    s, vowel = (
        [share_above(sound(speech, p), speech.rate, 3000) for p in speech.phonemes if kind(p)]
        for kind in (lambda p: p.symbol in ("s", "S"), lambda p: plain(p)[0] in VOWELS)
    )
    assert len(s) >= 5
    assert min(s) > 0.5 > 0.2 > max(vowel)


def test_a_plosive_begins_with_its_closure() -> None:
    """Between sounds, the first third of a voiceless plosive is silent and its burst is not."""
    speech = said(PLOSIVES)
    plosives = [p for p in speech.phonemes if p.symbol in ("p", "k")]
    assert len(plosives) >= 6
    for plosive in plosives:
        samples = sound(speech, plosive)
        assert np.abs(samples[: len(samples) // 3]).max() <= 2 / 32768  # rounding
        assert np.abs(samples[2 * len(samples) // 3 :]).max() > 0.05


@pytest.mark.parametrize("variant", ["f3", "f4", "m2"])
def test_an_echo_does_not_hide_the_closures(variant: str) -> None:
    """Closures last as long in a voice with an echo as in the plain one."""
    echoing, plain_voice = (
        [p.end - p.start for p in said(PLOSIVES, voice).phonemes if p.symbol in ("p", "k")]
        for voice in (f"en-us+{variant}", "en-us")
    )
    np.testing.assert_allclose(echoing, plain_voice, atol=0.02)


def test_a_vowel_after_m_begins_when_the_lips_open() -> None:
    """Opening lips let the high frequencies out."""
    speech = said("My mother made many more muffins. Mad men met me.")
    rises = []
    slope = np.diff(speech.samples.astype(np.float64), prepend=0.0)
    window = round(0.01 * speech.rate)
    energy = np.sqrt(np.convolve(slope**2, np.ones(window) / window, "same"))
    for m, vowel in zip(speech.phonemes[:-1], speech.phonemes[1:], strict=True):
        if m.symbol != "m" or plain(vowel)[0] not in VOWELS:
            continue
        begin, end = (round((p.start + p.end) / 2 * speech.rate) for p in (m, vowel))
        halfway = np.sqrt(energy[begin] * energy[begin:end].max())
        risen = begin + int(np.argmax(energy[begin:end] > halfway))
        rises.append(risen / speech.rate - vowel.start)
    assert len(rises) >= 8
    assert abs(np.median(rises)) < 0.01
    assert np.abs(rises).max() < 0.02


def test_slower_speech_is_longer() -> None:
    slow, fast = (said("We say this slowly.", words_per_minute=rate) for rate in (110, 220))
    assert len(slow.samples) > 1.4 * len(fast.samples)


def fundamental(speech: Speech) -> float:
    """Hz, the median over the longer vowels, from the autocorrelation's peak."""
    shortest, longest = (round(speech.rate / hertz) for hertz in (350, 60))
    periods = []
    for phoneme in speech.phonemes:
        samples = sound(speech, phoneme).astype(np.float64)
        if plain(phoneme)[0] in VOWELS and len(samples) > 3 * longest:
            likeness = np.correlate(samples, samples, "full")[len(samples) - 1 :]
            periods.append(shortest + int(np.argmax(likeness[shortest:longest])))
    return speech.rate / float(np.median(periods))


def test_voices_have_the_pitch_of_their_sex() -> None:
    text = "The car park is far away, so we all drive home alone."
    assert fundamental(said(text, "en-us+m3")) < 125
    assert fundamental(said(text, "en-us+f3")) > 150
    assert fundamental(speak(text, pitch=90)) > 1.3 * fundamental(speak(text, pitch=30))


def test_accents_differ() -> None:
    american, british = (said("Part of the car.", voice) for voice in ("en-us", "en-gb"))
    assert american.phonemes != british.phonemes


@pytest.mark.parametrize("voice", ["klingon-x", "en-us+nobody", "", "en-us+"])
def test_an_unknown_voice_is_named_with_how_to_list_them(
    voice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="python -m preprocess.demo_subject.voice") as error:
        speak(TEXT, voice)
    assert repr(voice) in str(error.value)
    main([])
    listed = capsys.readouterr().out.split("\n")[:-1]
    assert listed == voices()
    assert {"en-us", "en-gb", "en-us+f3"} <= set(listed)
    assert voice not in listed


@pytest.mark.parametrize("text", ["", "  \n", "..."])
def test_nothing_to_say_is_an_error(text: str) -> None:
    with pytest.raises(InputError, match="text is .*, expected words"):
        speak(text)


@pytest.mark.parametrize(
    "wrong", [{"words_per_minute": 79}, {"words_per_minute": 451}, {"pitch": 100}, {"lead": -0.1}]
)
def test_a_number_out_of_range_is_an_error_that_names_it(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        speak(TEXT, **wrong)  # type: ignore[arg-type]


def test_a_deep_checkout_speaks_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """espeak-ng itself finds no data at a path of 160 characters and more."""
    deep = tmp_path / "/".join(["a-folder-of-many-others"] * 8) / "data"
    deep.parent.mkdir(parents=True)
    deep.symlink_to(espeakng_loader.get_data_path())
    speech = said()
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: deep)
    assert speak(TEXT).samples.tobytes() == speech.samples.tobytes()


def test_what_espeak_cannot_do_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "/".join(["a-folder-of-many-others"] * 8)
    deep.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(InputError, match="espeak-ng cannot say the text: .* set TMPDIR") as error:
        speak(TEXT)
    assert "Traceback" not in str(error.value)
