"""One face in one picture: its points, how sure the detector is, and how two such faces differ."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

CHECKED_SHIFT, CHECKED_SCALE, CHECKED_CHANGE = 0.4, 0.04, 0.1
"""A step from frame to frame beyond one of these is looked at twice: shift of the centre over the
face's radius, logarithm of the change of size, change of shape. Heads that talk stay below (0.38,
0.03, 0.09 at most in 3,200 frames of five clips); points that slide onto another face after a cut
change shape by more."""
SAME_FACE = 0.15
"""Two looks at one face differ by less than this share of its radius, mean over the points. By 0.04
at most in 460 frames of five clips; on frames spoilt by blur, darkness or the picture's edge real
faces stay below in nine of ten cases, and no likeness in cloth, cells or a clock does twice."""
REACH, REACH_SCALE = 3.0, 0.7
"""A face found again lies within so many radii (about a face) of where it was in a frame nearby,
and its size has changed by less than a factor of two, as a logarithm."""


@dataclass(frozen=True)
class Face:
    """A face as a detector sees it.

    Attributes:
        points: (P, 3) float32; x, y in pixels from the picture's top left corner, z on the same
            scale, smaller is nearer, 0 from a detector without depth.
        confidence: the detector's own, above 0, up to 1.
    """

    points: np.ndarray
    confidence: float

    @cached_property
    def plane(self) -> np.ndarray:
        """(P,) complex128: x + iy, so that turning and scaling is one multiplication."""
        xy = self.points[:, :2].astype(np.float64)
        return xy[:, 0] + 1j * xy[:, 1]

    @cached_property
    def centre(self) -> complex:
        return complex(self.plane.mean())

    @cached_property
    def radius(self) -> float:
        """Root mean square distance of the points from their centre, pixels."""
        return float(np.sqrt(np.mean(np.abs(self.plane - self.centre) ** 2)))


def turn_and_change(old: Face, new: Face) -> tuple[complex, float]:
    """The turn and scale that best carry the old points, about their centre, onto the new ones.

    Returns:
        A complex factor: its magnitude is the scale, its angle the turn; and the root mean square
        of what it leaves, the change of shape, over the new radius.
    """
    before, after = old.plane - old.centre, new.plane - new.centre
    factor = np.vdot(before, after) / np.vdot(before, before).real
    change = np.sqrt(np.mean(np.abs(after - factor * before) ** 2)) / new.radius
    return complex(factor), float(change)


def steady(old: Face, new: Face) -> bool:
    """Whether a talking head can have made this step in one frame."""
    factor, change = turn_and_change(old, new)
    return (
        abs(new.centre - old.centre) < CHECKED_SHIFT * old.radius
        and abs(np.log(abs(factor))) < CHECKED_SCALE
        and change < CHECKED_CHANGE
    )


def agree(one: Face, other: Face) -> bool:
    """Whether two looks at one picture agree."""
    return float(np.mean(np.abs(one.plane - other.plane))) < SAME_FACE * other.radius


def within_reach(old: Face, new: Face) -> bool:
    """Whether the face can be that of a frame nearby."""
    return (
        abs(new.centre - old.centre) < REACH * old.radius
        and abs(np.log(new.radius / old.radius)) < REACH_SCALE
    )
