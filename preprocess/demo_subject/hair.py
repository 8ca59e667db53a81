"""Hair as one shell around the head: over the skull it lies on the skin, below it hangs.

The shell is a grid of directions from the middle of the head, azimuth (0 in front, positive to the
person's left) by elevation. It stands off the skin by the hair's thickness where hair grows, and
dives under the skin elsewhere, so that the hairline is where the two surfaces meet.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.interpolate import PchipInterpolator

from preprocess.demo_subject.rays import RayCaster

AZIMUTHS, ELEVATIONS = 241, 111  # steps of 1.5 degrees
LOWEST = -75.0  # degrees of elevation; no hair reaches lower
SUNK = 0.06
"""Decimetres that the shell lies under the skin where no hair grows."""
EARS = 9
"""Ears stick out over fewer grid steps than this, and hair lies over them."""
SKULL_SMOOTHING = 2.0  # standard deviation in grid steps
CROWN = 15.0  # degrees from the top within which the strands' relief fades
STRANDS = 260  # strands of hair around the head, for the relief and the shades of colour


@dataclass(frozen=True)
class Haircut:
    """Where hair grows, and how thick.

    Attributes:
        line: elevation of the hairline in degrees at the azimuths 0, 35, 60, 75, 95, 115, 180: the
            middle of the forehead, the temple, before the ear, the sideburn, the ear, behind it,
            and the nape. Below about -30 the hair hangs beside the neck.
        thickness: decimetres off the skin.
        edge: degrees over which it grows to full thickness.
    """

    line: tuple[float, ...]
    thickness: float
    edge: float


LINE_AZIMUTHS = (0.0, 35.0, 60.0, 75.0, 95.0, 115.0, 180.0)


def hair_shell(
    caster: RayCaster, centre: np.ndarray, cut: Haircut, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grow hair on a head.

    Args:
        caster: the head's skin, without neck and shoulders.
        centre: (3,) middle of the head, decimetres.
        cut: the style.
        generator: draws the strands.

    Returns:
        (V, 3) vertices, (F, 3) triangles, and (V,) brightness of the strands, about 1.
    """
    azimuth = np.linspace(-180, 180, AZIMUTHS)
    elevation = np.linspace(LOWEST, 90, ELEVATIONS)
    across, up = np.meshgrid(np.radians(azimuth), np.radians(elevation))
    directions = np.stack(
        [np.sin(across) * np.cos(up), np.sin(up), np.cos(across) * np.cos(up)], axis=-1
    )
    skin = caster.farthest(centre, directions.reshape(-1, 3)).reshape(across.shape)
    skin = smooth_around(cv2.morphologyEx(skin, cv2.MORPH_OPEN, np.ones((EARS, EARS))))

    # Hair does not follow the throat inwards: below the middle of the head it hangs straight down.
    level = np.searchsorted(elevation, 0.0)
    hanging = skin[level] / np.maximum(np.cos(up), 0.2)
    skull = np.where(elevation[:, None] < 0, np.maximum(skin, hanging), skin)

    # All strands meet in the crown, which is one point.
    crown = np.clip((90 - elevation[:, None]) / CROWN, 0, 1)
    strands = crown * strand_pattern(generator, (ELEVATIONS, AZIMUTHS))
    line = PchipInterpolator(LINE_AZIMUTHS, cut.line)(np.abs(azimuth))
    inside = np.clip((elevation[:, None] - line + strands) / cut.edge, -1, 1)
    grown = np.sin(inside.clip(0) * np.pi / 2) * cut.thickness * (1 + 0.12 * strands)
    hair = np.where(inside > 0, skull + grown, skin - SUNK * np.minimum(1, -3 * inside))
    vertices = centre + directions * hair[..., None]

    index = np.arange(AZIMUTHS * ELEVATIONS).reshape(ELEVATIONS, AZIMUTHS)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    triangles = np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3)
    visible = (inside.ravel() > -1)[triangles].any(1)  # drop what lies under the skin
    shade = np.exp(0.28 * strands).ravel()
    return vertices.reshape(-1, 3), triangles[visible], shade


def smooth_around(values: np.ndarray, sigma: float = SKULL_SMOOTHING) -> np.ndarray:
    """Gaussian smoothing of an (elevation, azimuth) grid that goes round in azimuth."""
    margin = int(4 * sigma)
    padded = np.concatenate(
        [values[:, -margin - 1 : -1], values, values[:, 1 : margin + 1]], axis=1
    )
    smooth = cv2.GaussianBlur(padded, (0, 0), sigma)[:, margin:-margin]
    smooth[:, -1] = smooth[:, 0]
    return smooth


def strand_pattern(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """(elevation, azimuth) noise of unit size: fine across the strands, long along them."""
    rows, columns = shape
    noise = np.zeros(shape)
    for across, along, weight in ((STRANDS, 7, 0.6), (STRANDS // 4, 5, 0.8)):
        coarse = generator.standard_normal((along, across)).astype(np.float32)
        # Three times round, of which the middle one knows its neighbours; its last column closes it
        turn = columns - 1
        round_thrice = np.tile(coarse, 3)
        fine = cv2.resize(round_thrice, (3 * turn, rows), interpolation=cv2.INTER_CUBIC)
        noise += weight * fine[:, turn : 2 * turn + 1]
    return noise
