"""Levels, clipping and pauses of sounds whose samples are known."""

from pathlib import Path

import numpy as np
import pytest

from preprocess.check.findings import Level
from preprocess.check.sound import Sound, check_sound, read_levels
from tests.clips import SOUND_RATE, speech, write_wav


def tone(amplitude: float, seconds: float = 1.0) -> np.ndarray:
    """1 kHz, inside the voice's band."""
    return amplitude * np.sin(
        2 * np.pi * 1000 * np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    )


def heard(tmp_path: Path, samples: np.ndarray) -> Sound:
    return read_levels(write_wav(tmp_path / "sound.wav", samples))


def worse_than_good(sound: Sound, seconds: float) -> dict[str, Level]:
    return {f.topic: f.level for f in check_sound(sound, seconds) if f.level is not Level.GOOD}


def test_the_level_of_a_tone_is_its_amplitude_over_the_root_of_two(tmp_path: Path) -> None:
    sound = heard(tmp_path, tone(0.1))
    assert sound.peak == pytest.approx(-20, abs=0.01)
    assert len(sound.level) == 25
    assert sound.level == pytest.approx(-23.01, abs=0.01)
    assert sound.clipped == 0


def test_the_voice_follows_loudness_in_time_and_ignores_a_hum(tmp_path: Path) -> None:
    samples = np.concatenate([tone(0.0, 0.5), tone(0.2, 0.5)])
    hum = 0.2 * np.sin(2 * np.pi * 50 * np.arange(len(samples)) / SOUND_RATE)
    voice = heard(tmp_path, samples + hum).voice
    assert len(voice) == 100
    assert voice[55:].min() > 5 * voice[5:48].max()


def test_clipped_samples_are_counted(tmp_path: Path) -> None:
    samples = tone(0.5)
    samples[1000:1010] = 1  # a run
    samples[2000:2002] = 1  # too short for one
    assert heard(tmp_path, samples).clipped == pytest.approx(10 / len(samples))


def test_levels_do_not_depend_on_the_blocks_they_are_read_in(tmp_path: Path, monkeypatch) -> None:
    samples = speech(3.0)
    whole = heard(tmp_path, samples)
    monkeypatch.setattr("preprocess.check.sound.BLOCK_SECONDS", 1)
    parts = heard(tmp_path, samples)
    assert np.allclose(whole.level, parts.level)
    assert np.allclose(whole.voice, parts.voice)
    assert whole.clipped == parts.clipped


def test_clear_speech_has_nothing_against_it(tmp_path: Path) -> None:
    assert worse_than_good(heard(tmp_path, speech(4.0)), 4.0) == {}


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.zeros(4 * SOUND_RATE), {"sound": Level.WILL_NOT_WORK}),
        (0.0003 * speech(4.0), {"sound": Level.WILL_NOT_WORK}),
        (0.02 * speech(4.0), {"sound": Level.USABLE}),
        (np.clip(6 * speech(4.0), -1, 1), {"clipping": Level.WILL_NOT_WORK}),
        (
            speech(4.0) + 0.05 * np.random.default_rng(0).normal(size=4 * SOUND_RATE),
            {"noise": Level.USABLE},
        ),
        (tone(0.3, 4.0), {"noise": Level.WILL_NOT_WORK}),
        (
            np.concatenate([speech(1.5), np.zeros(round(2.5 * SOUND_RATE))]),
            {"silence": Level.USABLE},
        ),
    ],
    ids=["zeros", "nearly zeros", "quiet", "clipped", "noise", "no pauses", "mostly silent"],
)
def test_what_is_wrong_with_a_sound_is_named_and_nothing_else(
    tmp_path: Path, samples: np.ndarray, expected: dict[str, Level]
) -> None:
    assert worse_than_good(heard(tmp_path, samples), 4.0) == expected


def test_a_sound_that_ends_early_is_silent_for_the_rest(tmp_path: Path) -> None:
    assert "silence" in worse_than_good(heard(tmp_path, speech(2.0)), 8.0)
    assert worse_than_good(None, 8.0) == {"sound": Level.WILL_NOT_WORK}
