"""The page in a real browser: watched, rated with clicks and with keys, left and gone on with."""

import pytest

from ssp_nerf.study.ratings import read_ratings
from tests.browser import Browser
from tests.ssp_nerf.study.conftest import GOOD

VIDEO = "document.querySelector('video')"
SHOWN = "[...document.querySelectorAll('main > *')].find(e => !e.hidden && e.id)?.id"
FITS = "document.documentElement.scrollWidth <= innerWidth"


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path / "profile") as page:
        yield page


def begin(browser, client):
    browser.open(f"http://127.0.0.1:{client.port}/")
    browser.wait(f"{SHOWN} === 'start'")
    browser.click("#begin")
    browser.wait(f"{SHOWN} === 'clip' && {VIDEO}.readyState >= 3")


def watch(browser):
    browser.run(f"{VIDEO}.play()")
    browser.wait(f"{VIDEO}.ended && !document.querySelector('fieldset').disabled")


def choose(browser):
    for number, value in enumerate(GOOD.values(), start=1):
        browser.click(f"fieldset:nth-child({number}) label:nth-child({value})")


def test_a_study_from_begin_to_thanks(browser, client, ratings, study):
    begin(browser, client)
    for number in (1, 2, 3):
        browser.wait(f"document.querySelector('#count').textContent === 'Clip {number} of 3'")
        assert browser.run("document.querySelector('progress').value") == number - 1
        assert browser.run("document.querySelector('fieldset').disabled")
        choose(browser)  # too early: nothing is chosen
        assert browser.run("document.querySelector('#save').disabled")
        assert browser.run("document.querySelectorAll(':checked').length") == 0
        watch(browser)
        choose(browser)
        browser.click("#save")
    browser.wait(f"{SHOWN} === 'end'")
    saved = read_ratings(ratings)
    assert {(row.method, row.clip) for row in saved} == {
        (clip.method, clip.name) for clip in study.clips.values()
    }
    assert [row.position for row in saved] == [1, 2, 3]
    assert all(row.answers == GOOD for row in saved)
    assert saved[0].participant in browser.run("document.body.innerText")
    assert browser.problems == []


def test_who_reloads_goes_on_and_nothing_leaves_the_machine(browser, client, ratings):
    begin(browser, client)
    watch(browser)
    choose(browser)
    browser.click("#save")
    browser.wait("document.querySelector('#count').textContent === 'Clip 2 of 3'")
    second = browser.run(f"{VIDEO}.src")
    browser.open(f"http://127.0.0.1:{client.port}/?again")
    browser.wait(f"{SHOWN} === 'start'")
    assert "2 more short clips" in browser.run("document.body.innerText")
    browser.click("#begin")
    browser.wait("document.querySelector('#count').textContent === 'Clip 2 of 3'")
    assert browser.run(f"{VIDEO}.src") == second
    assert len(read_ratings(ratings)) == 1
    hosts = "performance.getEntriesByType('resource').map(r => new URL(r.name).host)"
    assert set(browser.run(hosts)) == {f"127.0.0.1:{client.port}"}


def test_keys_alone_will_do(browser, client, ratings):
    """Tab to a question, arrows to a rating, Enter to save."""
    browser.open(f"http://127.0.0.1:{client.port}/")
    browser.wait(f"{SHOWN} === 'start'")
    browser.press("Tab", 9)
    browser.press("Enter", 13, "\r")
    browser.wait(f"{SHOWN} === 'clip' && {VIDEO}.readyState >= 3")
    watch(browser)
    browser.run("document.querySelector('video').focus()")
    for question, value in GOOD.items():
        for _ in range(12):  # the player's own controls come first
            if browser.run("document.activeElement.name") == question:
                break
            browser.press("Tab", 9)
        browser.press(" ", 32, " ")
        for _ in range(value - 1):
            browser.press("ArrowRight", 39)
        assert browser.run(f"document.forms[0].elements.{question}.value") == str(value)
    browser.press("Enter", 13, "\r")
    browser.wait("document.querySelector('#count').textContent === 'Clip 2 of 3'")
    assert read_ratings(ratings)[0].answers == GOOD


def test_answers_stay_where_the_server_is_gone(browser, client, ratings, monkeypatch):
    begin(browser, client)
    watch(browser)
    choose(browser)
    fetch = "window.fetch = (was => (...all) => window.broken ? Promise.reject(1) : was(...all))"
    browser.run(f"{fetch}(fetch); window.broken = true; 0")
    browser.click("#save")
    browser.wait("document.querySelector('#hint').textContent.includes('could not be saved')")
    assert browser.run("document.querySelectorAll(':checked').length") == 3
    browser.run("window.broken = false")
    browser.click("#save")
    browser.wait("document.querySelector('#count').textContent === 'Clip 2 of 3'")
    assert len(read_ratings(ratings)) == 1


@pytest.mark.parametrize(("width", "height", "phone"), [(1280, 800, False), (390, 844, True)])
def test_it_fits_a_desk_and_a_phone(browser, client, width, height, phone):
    browser.resize(width, height, phone)
    begin(browser, client)
    assert browser.run(FITS)
    sizes = browser.run(
        "[...document.querySelectorAll('.scale label')].map(e => e.getBoundingClientRect())"
        ".map(b => [b.left, b.right, b.width, b.height])"
    )
    assert all(left >= 0 and right <= width for left, right, _, _ in sizes)
    assert all(w >= 24 and h >= 24 for _, _, w, h in sizes)  # WCAG 2.5.8
    if not phone:  # clip, questions and button at once
        bottom = browser.run("document.querySelector('#save').getBoundingClientRect().bottom")
        assert bottom <= height
