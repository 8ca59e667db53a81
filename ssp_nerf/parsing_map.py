"""The 11 classes of the parsing map (paper, section 4.2), their order, and their colours."""

import numpy as np

CLASSES = (
    "background",
    "cheek",
    "eye",
    "eyebrow",
    "ear",
    "nose",
    "teeth",
    "lip",
    "neck",
    "torso",
    "hair",
)
BACKGROUND, CHEEK, EYE, EYEBROW, EAR, NOSE, TEETH, LIP, NECK, TORSO, HAIR = range(len(CLASSES))

HEAD_CLASSES = (CHEEK, EYE, EYEBROW, EAR, NOSE, TEETH, LIP, HAIR)
"""What "inside the head" means wherever a figure is given for the head alone."""

PALETTE = np.array(
    [
        (24, 26, 31),
        (236, 188, 155),
        (66, 135, 245),
        (112, 72, 48),
        (245, 160, 66),
        (250, 220, 190),
        (255, 255, 255),
        (214, 69, 80),
        (201, 140, 110),
        (88, 150, 120),
        (140, 96, 180),
    ],
    dtype=np.uint8,
)
"""(11, 3) uint8 RGB, one colour per class."""

CLASS_LEGEND = [
    (name, (int(red), int(green), int(blue)))
    for name, (red, green, blue) in zip(CLASSES, PALETTE, strict=True)
]
"""Name and colour of each class, for legends."""


def colourise(parsing: np.ndarray) -> np.ndarray:
    """Parsing map (..., H, W) uint8 -> RGB picture (..., H, W, 3) uint8."""
    return PALETTE[parsing]


def head_mask(parsing: np.ndarray) -> np.ndarray:
    """(..., H, W) uint8 -> (..., H, W) bool: pixels of the head, neck and torso left out."""
    return np.isin(parsing, HEAD_CLASSES)
