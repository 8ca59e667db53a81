"""Whether the background stands still: the camera, the zoom, and what happens behind the person."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from preprocess.check import limits
from preprocess.check.findings import Finding, Level, level_at_most, spans
from preprocess.check.looks import Look

PERSON = 0.1  # probability from where on a pixel may be the person's
MARGIN = 0.04  # widens the person, share of the picture's shorter side
CORNERS, CORNER_QUALITY, CORNER_DISTANCE = 200, 0.02, 5
LEAST_CORNERS = 12  # fewer say nothing about the camera
TRACK_WINDOW = (21, 21)
RANSAC_PIXELS = 0.7  # of the small picture
NEVER_SEEN = 0.2  # share of looks in which a pixel is background, below which it is not judged
LEAST_SEEN = 0.01  # share of the picture that has to be background, to judge it at all


@dataclass(frozen=True)
class Stillness:
    """The background in each look, against the clip's usual one.

    Attributes:
        shift: (N,) how far the scene lies from where it usually is, rms over the frame, pixels of
            the small pictures; nan where too few corners are found again.
        zoom: (N,) its size over the usual one; nan as well.
        change: (N,) median difference of the background, levels of 255, after a change of the
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
    corners = find_corners(usual, seen)
    for index, (gray, mask) in enumerate(zip(grays, masks, strict=True)):
        judged = mask & seen
        if judged.mean() > LEAST_SEEN:
            difference = gray[judged].astype(float) - usual[judged]
            change[index] = np.median(np.abs(difference - np.median(difference)))
        if corners is not None:
            shift[index], zoom[index] = motion(usual, gray, corners, mask)
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


def find_corners(usual: np.ndarray, seen: np.ndarray) -> np.ndarray | None:
    """(K, 1, 2) float32 corners of the background, or None where it has too few."""
    corners = cv2.goodFeaturesToTrack(
        usual, CORNERS, CORNER_QUALITY, CORNER_DISTANCE, mask=seen.astype(np.uint8)
    )
    return None if corners is None or len(corners) < LEAST_CORNERS else corners


def motion(
    usual: np.ndarray, gray: np.ndarray, corners: np.ndarray, mask: np.ndarray
) -> tuple[float, float]:
    """How a picture lies against the usual one: rms shift over the frame, pixels, and zoom.

    Corners are followed forth and back (Lucas and Kanade); a similarity that most of them obey is
    the camera's doing (RANSAC). Both are nan where too few obey one.
    """
    height, width = gray.shape
    there, found, _ = cv2.calcOpticalFlowPyrLK(usual, gray, corners, None, winSize=TRACK_WINDOW)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(gray, usual, there, None, winSize=TRACK_WINDOW)
    returned = np.linalg.norm(back - corners, axis=-1)[:, 0] < 1
    x, y = there[:, 0].round().astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    behind = np.zeros(len(there), bool)
    behind[inside] = mask[y[inside], x[inside]]
    good = (found[:, 0] > 0) & (found_back[:, 0] > 0) & returned & behind
    if good.sum() < LEAST_CORNERS:
        return float("nan"), float("nan")
    matrix, obeying = cv2.estimateAffinePartial2D(
        corners[good], there[good], ransacReprojThreshold=RANSAC_PIXELS
    )
    if matrix is None or obeying.sum() < max(LEAST_CORNERS, good.sum() / 2):
        return float("nan"), float("nan")
    grid = np.stack(np.meshgrid([0.0, width / 2, width], [0.0, height / 2, height]), -1)
    moved = grid @ matrix[:, :2].T + matrix[:, 2] - grid
    zoom = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    return float(np.sqrt((moved**2).sum(-1).mean())), zoom


def check_background(
    times: np.ndarray, stillness: Stillness, portrait_pixels: float, size: int
) -> list[Finding]:
    """Findings on the background.

    Args:
        times: (N,) seconds of the looks.
        stillness: in them.
        portrait_pixels: pixels of the portrait over pixels of the small pictures.
        size: side of the portrait, pixels.
    """
    findings = []
    wanted = "a camera and a background that stand still"
    shift = stillness.shift * portrait_pixels
    known = np.isfinite(shift)
    level = Level.GOOD
    if known.mean() > 0.5:
        usual = float(np.percentile(shift[known], 95))
        level = level_at_most(usual / size, *limits.BACKGROUND_SHIFT)
        measured = f"moves by {usual:.1f} pixels of the portrait"
        zooms = np.percentile(stillness.zoom[known], [5, 95])
        if zooms[1] / zooms[0] > 1.01:
            measured += f", zoom over {zooms[1] / zooms[0] - 1:.1%}"
        moved = known & (shift > limits.BACKGROUND_SHIFT[0] * size)
        findings.append(
            Finding(
                "camera", level, measured if level is not Level.GOOD else
                f"stands still, within {usual:.1f} pixels of the portrait", wanted,
                "" if level is Level.GOOD
                else "Use a tripod, or stabilise the film; choose the stillest stretch.",
                spans(times, moved) if level is not Level.GOOD else (),
            )
        )  # fmt: skip
    change = stillness.change[np.isfinite(stillness.change)]
    if not len(change):
        findings.append(
            Finding("background", Level.USABLE, "hardly any of it is seen", wanted,
                    "Leave room around the head.")
        )  # fmt: skip
        return findings
    usual = float(np.percentile(change, 95))
    changed = level_at_most(usual, *limits.BACKGROUND_CHANGE)
    if changed is not Level.GOOD or not findings:
        findings.append(
            Finding(
                "background", changed, f"differs by {usual:.0f} of 255 levels", wanted,
                "" if changed is Level.GOOD
                else "Screens, passers-by and other places behind the person are averaged to a "
                "blur: choose a time without.",
                spans(times, np.nan_to_num(stillness.change) > limits.BACKGROUND_CHANGE[0])
                if changed is not Level.GOOD else (),
            )
        )  # fmt: skip
    return findings
