"""The report's page in a real browser: real keys, real clicks, the pixels that are shown."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from ssp_nerf.parsing_map import CHEEK, PALETTE
from tests.browser import PATIENCE, Browser
from tests.ssp_nerf import report_inputs as inputs
from tests.ssp_nerf import synthetic_clip as clip
from tests.ssp_nerf.test_report import EVIL

ARROW_LEFT, ARROW_RIGHT, SPACE = 37, 39, 32
FRAME_SHOWN = "Number(document.getElementById('frame').textContent)"


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    return inputs.write_report(tmp_path_factory.mktemp("report"), EVIL)


@pytest.fixture
def browser(tmp_path, report):
    with Browser(tmp_path) as browser:
        browser.open(report.as_uri())
        # Drawn, so there is a film: a canvas without is black.
        browser.wait("document.getElementById('frame')?.textContent === '0'")
        browser.wait(f"{pixels('truth')}.some((v, i) => i % 4 < 3 && v > 0)")
        yield browser
        assert browser.problems == []


def pixels(canvas: str) -> str:
    """Script: the RGBA bytes of what a canvas shows."""
    return (
        "(shown => {const {width, height} = shown;"
        "const copy = new OffscreenCanvas(width, height)"
        ".getContext('2d', {willReadFrequently: true});"
        "copy.drawImage(shown, 0, 0);"
        "return Array.from(copy.getImageData(0, 0, width, height).data)})"
        f"(document.getElementById({json.dumps(canvas)}))"
    )


def picture(browser: Browser, canvas: str) -> np.ndarray:
    """(H, W, 3) int: what a canvas shows."""
    shown = np.array(browser.run(pixels(canvas))).reshape(clip.HEIGHT, clip.WIDTH, 4)
    return shown[:, :, :3]


def both_show(browser: Browser, frame: int) -> bool:
    """Whether truth and rendering come to be of that frame: a browser may put a frame on the screen
    a little after it says that it has found it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        truth, rendering = picture(browser, "truth"), picture(browser, "render")
        if [inputs.nearest_frame(p) for p in (truth, rendering - inputs.ERROR)] == [frame] * 2:
            return browser.run(FRAME_SHOWN) == frame
        time.sleep(0.05)
    return False


def click_at(browser: Browser, selector: str, share: float) -> None:
    """A real click at a share of the width of what a selector finds."""
    x, y = browser.run(
        f"(() => {{const e = document.querySelector({json.dumps(selector)});"
        "e.scrollIntoView({block: 'center', behavior: 'instant'});"
        f"const b = e.getBoundingClientRect(); return [b.x + {share} * b.width, b.y + b.height / 2]"
        "})()"
    )
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        browser.send(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
        )  # fmt: skip


def test_arrow_keys_step_through_exactly_the_frames(browser):
    for frame in [*range(1, clip.FRAMES), clip.FRAMES - 1]:  # and no farther than the last
        browser.press("ArrowRight", ARROW_RIGHT)
        browser.wait(f"{FRAME_SHOWN} === {frame}")
        assert both_show(browser, frame)
    for frame in (10, 9, 8):
        browser.press("ArrowLeft", ARROW_LEFT)
        browser.wait(f"{FRAME_SHOWN} === {frame}")
        assert both_show(browser, frame)


def test_a_click_on_a_plot_shows_its_frame(browser):
    for share in (0.98, 0.5, 0.12):
        click_at(browser, "#frames .plot svg", share)
        # Where the cursor line went is where the pointer is, and the number is that of the place.
        shown = browser.wait(
            f"(() => {{const s = document.querySelector('#frames .plot svg');"
            f"const at = Number(s.querySelector('.cursor').getAttribute('x1'));"
            f"const asked = {share} * s.clientWidth;"
            f"return Math.abs(at - asked) < s.clientWidth / {clip.FRAMES} && [{FRAME_SHOWN}]}})()"
        )[0]
        assert both_show(browser, shown)
        value = browser.run(
            "document.querySelector('#frames .plot .readout span:last-child b').textContent"
        )
        assert float(value) == inputs.PSNR[shown]
    assert shown < 2


def test_maps_are_laid_over_the_rendering(browser):
    plain = picture(browser, "render")
    browser.run("(s => {s.value = 100; s.dispatchEvent(new Event('input'))})(strength)")
    shown = {}
    for name in ("parsing", "error", "displacement"):
        click_at(browser, f"#over-{name}", 0.5)
        shown[name] = picture(browser, "render")
    assert np.abs(shown["parsing"][15:20, 20:30] - PALETTE[CHEEK]).mean() < 10
    assert np.abs(shown["error"] - shown["displacement"]).mean() > 10
    assert browser.run("document.querySelectorAll('[aria-pressed=true][id^=over]').length") == 1
    browser.press("d", 68, "d")  # the key takes it away again
    assert np.array_equal(picture(browser, "render"), plain)


def test_a_worst_frame_leads_to_its_frame(browser):
    click_at(browser, ".worst button:nth-child(2)", 0.5)  # after frame 0
    browser.wait(f"{FRAME_SHOWN} === 5")
    assert both_show(browser, 5)


def test_it_plays_to_the_end_in_step(browser):
    browser.run("document.activeElement.blur()")
    browser.press(" ", SPACE, " ")
    browser.wait(f"{FRAME_SHOWN} > 2")
    browser.wait("document.querySelector('video').ended")
    browser.wait(f"{FRAME_SHOWN} === {clip.FRAMES - 1}")
    assert both_show(browser, clip.FRAMES - 1)


def test_no_name_is_markup_and_nothing_is_asked_of_a_network(browser):
    assert browser.run("document.querySelector('h1').textContent") == EVIL.replace("\r", "")
    assert browser.run("document.querySelectorAll('img[src=x], script').length") == 3
    asked = browser.run("performance.getEntriesByType('resource').map(e => e.name)")
    assert all(name.startswith(("blob:", "data:")) for name in asked)


@pytest.mark.parametrize(("width", "phone"), [(1280, False), (390, True)])
def test_it_fits_the_screen(browser, width, phone):
    browser.resize(width, 844, phone)
    assert browser.wait("document.querySelectorAll('#frames svg path').length > 0")
    assert browser.run("document.documentElement.scrollWidth") <= width
    sizes = browser.run(
        "[...document.querySelectorAll('.screen canvas')].map(c => c.getBoundingClientRect().width)"
    )
    assert min(sizes) > 0.4 * min(width, 844)
