"""Whether the background stands still: the camera, the zoom, and what happens behind the person."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from preprocess.check import limits
from preprocess.check.alignment import Reference
from preprocess.check.findings import Finding, Level, level_at_most, spans
from preprocess.check.looks import Look

PERSON = 0.1  # probability from where on a pixel may be the person's
MARGIN = 0.04  # widens the person, share of the picture's shorter side
NEVER_SEEN = 0.2  # share of looks in which a pixel is background, below which it is not judged
LEAST_SEEN = 0.01  # share of the picture that has to be background, to judge it at all


@dataclass(frozen=True)
class Stillness:
    """The background in each look, against the clip's usual one.

    Attributes:
        shift: (N,) how far the scene lies from where it usually is, rms over the frame, pixels of
            the small pictures; nan where it is not found again, or too plain to tell.
        zoom: (N,) its size over the usual one; nan as well.
        change: (N,) mean difference of the background, levels of 255, after a change of the
            whole picture's light is taken out; nan where no background is seen.
    """

    shift: np.ndarray
    zoom: np.ndarray
    change: np.ndarray


def background_masks(looks: Sequence[Look]) -> np.ndarray:
    """(N, h, w) bool: surely no person there."""
    side = round(MARGIN * min(looks[0].person.shape)) * 2 + 1
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.array(
        [cv2.dilate((look.person > PERSON).astype(np.uint8), around) == 0 for look in looks]
    )


def watch_background(looks: Sequence[Look]) -> Stillness:
    """How still the background is in looks of one size."""
    masks = background_masks(looks)
    grays = np.array([cv2.cvtColor(look.small, cv2.COLOR_RGB2GRAY) for look in looks])
    usual, seen = usual_background(grays, masks)
    shift, zoom, change = (np.full(len(looks), np.nan) for _ in range(3))
    reference = Reference(usual, seen)
    for index, (gray, mask) in enumerate(zip(grays, masks, strict=True)):
        judged = mask & seen
        if judged.mean() > LEAST_SEEN:
            difference = gray[judged].astype(float) - usual[judged]
            change[index] = np.mean(np.abs(difference - np.median(difference)))
        if reference.tells:
            shift[index], zoom[index] = reference.motion(gray, mask)
    return Stillness(shift, zoom, change)


def usual_background(grays: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The look that is most like the others, completed: (h, w) uint8, and where it is known.

    A median over all looks would blur what moves, and corners with it; so it is one look, the one
    whose background is nearest to the median, filled up from the median where the person stands.
    """
    seen = masks.mean(0) >= NEVER_SEEN
    hidden = np.where(masks, grays, np.float32(np.nan))
    with np.errstate(all="ignore"):
        median = _nanmedian(hidden)
    distance = np.nanmean(np.abs(hidden - median)[:, seen], axis=1) if seen.any() else np.zeros(1)
    best = int(np.nanargmin(distance)) if np.isfinite(distance).any() else 0
    usual = np.where(masks[best], grays[best], np.nan_to_num(median)).round().astype(np.uint8)
    return usual, seen


def _nanmedian(values: np.ndarray) -> np.ndarray:
    """Median over the first axis without nan; nan where all are. Faster than numpy's."""
    ordered = np.sort(values, axis=0)  # nan last
    count = np.isfinite(values).sum(0)
    middle = np.maximum(0, (count - 1) // 2)
    return np.take_along_axis(ordered, middle[None], 0)[0]


def check_background(
    times: np.ndarray, stillness: Stillness, portrait_pixels: float, size: int
) -> Finding:
    """Finding on the background.

    Args:
        times: (N,) seconds of the looks.
        stillness: in them.
        portrait_pixels: pixels of the portrait over pixels of the small pictures.
        size: side of the portrait, pixels.
    """
    change = stillness.change[np.isfinite(stillness.change)]
    wanted = (
        f"still, within {limits.BACKGROUND_SHIFT * size:.1f} pixels and "
        f"{limits.BACKGROUND_CHANGE[0]:g} levels"
    )
    if not len(change):
        unseen, advice = "hardly any of it is seen", "Leave room around the head."
        return Finding("background", Level.USABLE, unseen, wanted, advice)
    differs = float(np.percentile(change, 95))
    level = level_at_most(differs, *limits.BACKGROUND_CHANGE)
    marked = np.nan_to_num(stillness.change) > limits.BACKGROUND_CHANGE[0]
    measured = f"differs by {differs:.1f} of 255 levels"
    shift = stillness.shift * portrait_pixels
    known = np.isfinite(shift)
    if known.any():
        moves = float(np.percentile(shift[known], 95))
        lost = ~known & marked  # of a plain wall that only is not found, nothing is said
        if moves > limits.BACKGROUND_SHIFT * size or lost.mean() > limits.BACKGROUND_LOST:
            level = max(level, Level.USABLE)
        marked |= lost | (known & (shift > limits.BACKGROUND_SHIFT * size))
        zooms = np.percentile(stillness.zoom[known], [5, 95])
        zoom = zooms[1] / zooms[0] - 1
        if zoom > limits.BACKGROUND_SHIFT:
            measured = f"zooms by {zoom:.1%}, {measured}"
        if lost.any():
            measured = f"is another one in {lost.mean():.0%} of the frames, {measured}"
        measured = f"moves by {moves:.1f} pixels of the portrait, {measured}"
    good = level is Level.GOOD
    advice = (
        "Its picture will be a blur: use a tripod, stabilise the film, or choose a time without "
        "screens and passers-by behind."
    )
    when = [] if good else spans(times, marked)
    return Finding("background", level, measured, wanted, "" if good else advice, when)
