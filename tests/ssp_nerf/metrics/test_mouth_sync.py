"""Mouth sync: a known lag is found, and other sound is told from the right one."""

import numpy as np
import pytest

from ssp_nerf.metrics.mouth_sync import LEAST_FRAMES, mouth_sync
from ssp_nerf.metrics.pearson import pearson
from ssp_nerf.speech import SAMPLE_RATE
from tests import clips

SECONDS = 12
TIMES = np.arange(25 * SECONDS) / 25


def syllables(t: np.ndarray) -> np.ndarray:
    """Loudness 0 to 1 at t seconds, not periodic."""
    rng = np.random.default_rng(0)
    at, height = np.sort(rng.uniform(-1, SECONDS + 1, 45)), rng.uniform(0.4, 1, 45)
    return (height * np.exp(-(((t[:, None] - at) / 0.06) ** 2))).sum(axis=1)


def voice(late: float) -> np.ndarray:
    """(T,) int16: a buzz as loud as the syllables of `late` frames ago."""
    t = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * 140 * n * t) for n in (4, 5, 8, 12))
    return (3000 * buzz * syllables(t - late / 25)).astype(np.int16)


@pytest.mark.parametrize("late", [-10, -5, -2, -1, 0, 1, 2, 5, 10])
def test_a_known_lag_is_found(late):
    found = mouth_sync(syllables(TIMES), voice(late))
    assert found.lag == pytest.approx(late, abs=0.5)
    assert found.peak > 0.8
    assert found.at_zero == pytest.approx(found.correlation[60])
    assert found.at_zero <= found.peak


def test_in_step_is_better_than_out_of_it():
    figures = [mouth_sync(syllables(TIMES), voice(late)).at_zero for late in (0, 1, 2, 4)]
    assert figures == sorted(figures, reverse=True) and figures[0] > figures[-1] + 0.3


def test_neither_level_nor_drift_nor_unit_matters():
    opening, speech = syllables(TIMES), voice(2)
    expected = mouth_sync(opening, speech)
    other = mouth_sync(7 * opening + 100 + 0.5 * TIMES, speech // 4)
    np.testing.assert_allclose(other.correlation, expected.correlation, atol=0.02)


def test_the_clip_of_a_real_face_goes_with_its_sound():
    speech = (32767 * clips.speech(SECONDS, SAMPLE_RATE)).astype(np.int16)
    found = mouth_sync(clips.mouth_opening(TIMES), speech)
    assert abs(found.lag) <= 0.75 and found.at_zero > 0.9


def test_frames_without_a_face_are_left_out():
    opening = syllables(TIMES)
    opening[40:60] = np.nan
    found = mouth_sync(opening, voice(3))
    assert found.lag == pytest.approx(3, abs=0.5)
    rows = np.arange(len(opening))
    assert found.at_zero_of(rows) == pytest.approx(found.at_zero)


def test_nothing_is_said_of_a_short_clip_a_still_mouth_or_silence():
    assert mouth_sync(syllables(TIMES)[: LEAST_FRAMES - 1], voice(0)) is None
    assert mouth_sync(np.ones(len(TIMES)), voice(0)) is None
    assert mouth_sync(syllables(TIMES), np.zeros(SECONDS * SAMPLE_RATE, np.int16)) is None


def test_pearson_is_numpys_and_nan_without_change():
    a, b = np.random.default_rng(0).normal(size=(2, 50))
    assert pearson(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert pearson(a, 2 * a + 1) == pytest.approx(1)
    assert np.isnan(pearson(a, np.ones(50)))
