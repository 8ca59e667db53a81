"""One face, all the time, large and sharp and lit enough."""

from collections.abc import Sequence

import cv2
import numpy as np

from preprocess import face_topology as mesh
from preprocess.check import limits
from preprocess.check.findings import Finding, Level, level_at_least, level_at_most, spans
from preprocess.check.looks import Box, Look, square_of
from preprocess.heads import square_around

BLUR_MARGIN = 1.1  # side of the square whose sharpness is measured, in heights of the face's box


def face_blur(picture: np.ndarray, face: Box, portrait_face: float) -> float:
    """Blur of a face at the size it will have in the portrait: Crete's measure (The blur effect,
    2007), how little another blur changes; 0 to 1.

    Args:
        picture: (H, W, 3) uint8 RGB.
        face: box.
        portrait_face: height of the face in the portrait, pixels.
    """
    from skimage.measure import blur_effect

    square, _ = square_of(picture, face, BLUR_MARGIN)
    gray = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)
    scale = portrait_face / max(1.0, face[3] - face[1])
    size = tuple(max(16, round(n * scale)) for n in gray.shape[::-1])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return float(blur_effect(cv2.resize(gray, size, interpolation=method)))


def face_light(picture: np.ndarray, points: np.ndarray) -> float:
    """Mean level, 0 to 255, of the face: skin, eyes and all.

    Args:
        picture: (H, W, 3) uint8 RGB.
        points: (478, 3), pixels.
    """
    outline = points[list(mesh.FACE_OVAL), :2]
    left, top = np.floor(outline.min(0)).astype(int).clip(0)
    right, bottom = np.ceil(outline.max(0)).astype(int)
    part = cv2.cvtColor(
        np.ascontiguousarray(picture[top : bottom + 1, left : right + 1]), cv2.COLOR_RGB2GRAY
    )
    mask = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(mask, [(outline - (left, top)).round().astype(np.int32)], (1,))
    return float(part[mask > 0].mean())


def check_presence(looks: Sequence[Look]) -> list[Finding]:
    """Findings on whether there is one face throughout."""
    times = np.array([look.time for look in looks])
    missing = np.array([look.points is None for look in looks])
    level = level_at_most(float(missing.mean()), *limits.NO_FACE)
    findings = [
        Finding(
            "face", level, f"in {1 - missing.mean():.0%} of the frames looked at",
            "in every frame, unobstructed",
            "" if level is Level.GOOD
            else "Cut these times away with start and duration of subjects.<name>.",
            spans(times, missing),
        )
    ]  # fmt: skip
    others = np.array([largest_other(look) for look in looks])
    crowded = others > limits.OTHER_FACE_HEIGHT
    level = level_at_most(float(crowded.mean()), *limits.OTHER_FACE)
    if level is not Level.GOOD:
        findings.append(
            Finding(
                "other faces", level,
                f"a second face, {others[crowded].max():.0%} as high, in {crowded.mean():.0%} of "
                "the frames looked at", "one person",
                "The crop follows the larger face: crop the other one out of the film, or choose "
                "a time without.", spans(times, crowded),
            )
        )  # fmt: skip
    return findings


def check_size(
    looks: Sequence[Look], width: int, height: int, scale: float, size: int, fraction: float
) -> list[Finding]:
    """Findings on the face's size and place.

    Args:
        looks: at pictures of `scale` times the file's pixels.
        width, height: of the file, pixels.
        scale: pixels of the pictures over pixels of the file.
        size, fraction: of `crop`.
    """
    boxes = [look.face / scale for look in looks if look.face is not None]
    if not boxes:
        return []
    face = float(np.median([box[3] - box[1] for box in boxes]))
    portrait_face = size * fraction
    level = level_at_most(portrait_face / face, *limits.ENLARGEMENT)
    findings = [
        Finding(
            "face size", level, f"{face:.0f} pixels high, of {width}x{height}",
            f"{portrait_face / limits.ENLARGEMENT[0]:.0f} or more, for {size}x{size}",
            "" if level is Level.GOOD
            else "Film closer or with more pixels, or train smaller: crop.size, pack.size.",
        )
    ]  # fmt: skip
    _, notes = square_around(boxes, width, height, fraction)
    if notes:
        findings.append(
            Finding(
                "framing", Level.USABLE, "; ".join(notes), "head and shoulders inside the frame",
                "Choose a stretch where the person sits still in the middle.",
            )
        )  # fmt: skip
    return findings


def check_sharpness(looks: Sequence[Look], bits_per_pixel: float | None) -> list[Finding]:
    """Findings on sharpness and compression.

    Args:
        bits_per_pixel: of the encoded film, if known.
    """
    times, blur = known([(look.time, look.blur) for look in looks])
    findings = []
    if len(blur):
        middle = float(np.median(blur))
        level = level_at_most(middle, *limits.BLUR)
        soft = blur > limits.BLUR[0]
        measured = f"blur of the face {middle:.2f}"
        if level is Level.GOOD and soft.mean() > limits.SOFT_MOMENTS:
            level = Level.USABLE
            measured += f", too much in {soft.mean():.0%} of the frames looked at"
        findings.append(
            Finding(
                "sharpness", level, measured,
                f"{limits.BLUR[0]:g} or less (0 sharp, 1 nothing but blur)",
                "" if level is Level.GOOD
                else "Check focus, exposure time and compression; use the camera's own file.",
                spans(times, soft) if level is not Level.GOOD else (),
            )
        )  # fmt: skip
    if bits_per_pixel is not None and bits_per_pixel < limits.BITS_PER_PIXEL:
        findings.append(
            Finding(
                "compression", Level.USABLE, f"{bits_per_pixel:.3f} bits a pixel",
                f"{limits.BITS_PER_PIXEL:g} or more", "Use the original, not a preview.",
            )
        )  # fmt: skip
    return findings


def check_light(looks: Sequence[Look], brightness: np.ndarray) -> list[Finding]:
    """Findings on the face's exposure and how steady the light is.

    Args:
        brightness: (N,) mean level of every frame.
    """
    times, light = known([(look.time, look.light) for look in looks])
    if not len(light):
        return []
    middle = float(np.median(light))
    level = max(level_at_least(middle, *limits.DARK), level_at_most(middle, *limits.BRIGHT))
    findings = [
        Finding(
            "exposure", level, f"mean level of the face {middle:.0f} of 255",
            f"{limits.DARK[0]:g} to {limits.BRIGHT[0]:g}",
            "" if level is Level.GOOD else "Light the face evenly, or correct the exposure.",
        )
    ]  # fmt: skip
    low, high = np.percentile(light, [5, 95])
    level = level_at_most(high - low, *limits.LIGHT_CHANGE)
    if level is not Level.GOOD:
        findings.append(
            Finding(
                "light", level, f"the face's level goes from {low:.0f} to {high:.0f}",
                f"within {limits.LIGHT_CHANGE[0]:g}",
                "Fix exposure and white balance; choose a stretch of one light.",
                spans(times, np.abs(light - middle) > limits.LIGHT_CHANGE[0] / 2),
            )
        )  # fmt: skip
    flicker = flicker_of(brightness)
    level = level_at_most(flicker, *limits.FLICKER)
    if level is not Level.GOOD:
        findings.append(
            Finding(
                "flicker", level, f"the picture's level flickers by {flicker:.1f} of 255",
                f"{limits.FLICKER[0]:g} or less",
                "Lamps beat with the shutter: film at 1/50 or 1/60 s, or remove it with "
                "`ffmpeg -i FILE -vf deflicker new.mp4`.",
            )
        )  # fmt: skip
    return findings


FLICKER_WINDOW = 9  # frames, 0.4 s: what people and clouds do is slower


def flicker_of(brightness: np.ndarray) -> float:
    """How far a film's brightness (N,) typically is from its mean over 0.4 s around: the median, to
    which cuts and flashes add nothing."""
    from scipy.ndimage import uniform_filter1d

    rest = brightness - uniform_filter1d(brightness, FLICKER_WINDOW, mode="nearest")
    return float(np.median(np.abs(rest)))


def largest_other(look: Look) -> float:
    """Height of the largest other face over that of the main one; 0 if there is none."""
    if look.face is None:
        return 0.0
    heights = [box[3] - box[1] for box in look.others]
    return float(max(heights, default=0.0) / (look.face[3] - look.face[1]))


def known(pairs: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Times and values without those whose value is nan."""
    array = np.array(pairs, float).reshape(-1, 2)
    return tuple(array[np.isfinite(array[:, 1])].T)  # type: ignore[return-value]
