"""Which frames a QC video shows, with which sound, and what is under them."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from preprocess.qc.drawing import MARK
from preprocess.qc.excerpts import excerpts
from preprocess.qc.film import (
    BACK_SHOWN,
    CURVE_HEIGHT,
    FOOTER,
    Curve,
    Timeline,
    speech_of,
    write_film,
    write_speech,
)
from ssp_nerf.errors import InputError
from ssp_nerf.sheet import Panel, Sheet
from tests.preprocess.qc.known import decode, decode_sound, near


def test_a_short_clip_is_shown_whole() -> None:
    assert excerpts(np.zeros(250), seconds=10) == [range(250)]


@pytest.mark.parametrize("count", [251, 260, 999, 6000])
@pytest.mark.parametrize("seed", range(3))
def test_excerpts_are_spread_over_a_long_clip_and_hold_its_worst_frame(count, seed) -> None:
    badness = np.random.default_rng(seed).random(count)
    chosen = excerpts(badness, seconds=10)
    assert [len(stretch) for stretch in chosen] == [50] * 5
    assert all(before.stop <= after.start for before, after in pairwise(chosen))
    assert chosen[0].start >= 0 and chosen[-1].stop <= count
    assert any(int(badness.argmax()) in stretch for stretch in chosen)
    for part, stretch in enumerate(chosen):  # each in its own fifth of the clip
        assert part * count // 5 <= stretch.start and stretch.stop <= (part + 1) * count // 5


def test_the_worst_frame_is_in_the_middle_where_there_is_room() -> None:
    badness = np.zeros(1000)
    badness[310] = 1
    (_, second, *_) = excerpts(badness, seconds=10)
    assert second == range(285, 335)


def test_less_than_an_excerpt_is_cut_to_the_time_there_is() -> None:
    badness = np.zeros(1000)
    badness[500] = 1
    assert excerpts(badness, seconds=1) == [range(488, 513)]


def test_no_time_at_all_is_refused() -> None:
    with pytest.raises(InputError, match=r"qc\.seconds .* is 0, expected more than 0"):
        excerpts(np.zeros(10), seconds=0)


def test_a_marked_frame_is_worse_than_any_number() -> None:
    marked = np.zeros(1000, bool)
    marked[700] = True
    curve = Curve("error", np.arange(1000.0), marked)
    assert int(np.argmax(curve.badness)) == 700


def test_each_frame_keeps_its_own_speech() -> None:
    samples = np.arange(10 * 640, dtype=np.float32)
    heard = speech_of(samples, [2, 3, 7])
    np.testing.assert_array_equal(heard[:1280], samples[2 * 640 : 4 * 640])
    np.testing.assert_array_equal(heard[1280:], samples[7 * 640 : 8 * 640])
    np.testing.assert_array_equal(speech_of(samples, [9, 10])[640:], np.zeros(640))


@pytest.fixture
def sheet() -> Sheet:
    return Sheet([[Panel("one", 300, 40)]], FOOTER)


def test_the_timeline_lights_what_is_shown_and_marks_what_is_marked(sheet: Sheet) -> None:
    marked = np.zeros(100, bool)
    marked[80] = True
    timeline = Timeline(sheet, Curve("error", np.zeros(100), marked), [range(20, 40)])
    row = np.asarray(sheet.blank)[timeline.top + CURVE_HEIGHT // 2]
    lit = (row == BACK_SHOWN).all(1)
    assert {bool(lit[round(timeline.x(frame))]) for frame in range(20, 40)} == {True}
    assert not any(lit[round(timeline.x(frame))] for frame in (*range(20), *range(40, 100)))
    top = (np.asarray(sheet.blank)[timeline.top] == MARK).all(1)
    assert set(np.flatnonzero(top)) <= {
        x for x in range(sheet.size[0]) if abs(x - timeline.x(80)) <= 3
    }
    assert top[round(timeline.x(80))]


def film(folder: Path, sheet: Sheet, name: str = "film.mp4", count: int = 500) -> Path:
    """Frame i is grey level i // 2; the speech clicks in frame 330, the worst one."""
    values = np.zeros(count)
    values[330] = 1
    speech = np.zeros(count * 640, np.float32)
    speech[330 * 640 : 330 * 640 + 160] = 0.9
    write_speech(folder / "speech.wav", speech)
    shown = write_film(
        folder / name,
        sheet,
        Curve("error, pixels", values, np.zeros(count, bool)),
        lambda frame: [np.full((40, 300, 3), frame // 2, np.uint8)],
        folder / "speech.wav",
        seconds=4,
    )
    assert shown == 100
    return folder / name


def test_a_film_shows_its_excerpts_with_their_sound(tmp_path: Path, sheet: Sheet) -> None:
    path = film(tmp_path, sheet)
    pictures = decode(path)
    assert pictures.shape == (100, *sheet.size[::-1], 3)
    left, top, right, bottom = sheet.panels[0]
    levels = pictures[:, (top + bottom) // 2, (left + right) // 2].mean(1)
    expected = np.array([*range(50), *range(305, 355)]) // 2
    np.testing.assert_allclose(levels, expected, atol=3)

    samples, rate = decode_sound(path)
    assert len(samples) / rate == pytest.approx(4.0, abs=0.05)
    click = int(np.argmax(np.abs(samples) > 0.3)) / rate
    assert click == pytest.approx((50 + 330 - 305) / 25, abs=0.01)


def test_the_same_film_has_the_same_bytes(tmp_path: Path) -> None:
    films = [
        film(tmp_path, Sheet([[Panel("one", 300, 40)]], FOOTER), name)
        for name in ("a.mp4", "b.mp4")
    ]
    assert films[0].read_bytes() == films[1].read_bytes()


def test_the_cursor_is_at_the_frame(sheet: Sheet) -> None:
    from PIL import ImageDraw

    timeline = Timeline(sheet, Curve("error", np.zeros(80), np.zeros(80, bool)), [range(80)])
    drawn = sheet.blank.copy()
    timeline.draw(ImageDraw.Draw(drawn), 60, "")
    row = near(np.asarray(drawn), (240, 240, 240), 1)[timeline.top + 2]
    assert np.flatnonzero(row).mean() == pytest.approx(timeline.x(60), abs=1)
