"""Ears: where skin beside the face is one, and whether one shows at all.

The mesh ends in front of the ears; they are drawn on from its rim.
"""

from collections.abc import Sequence

import numpy as np

from preprocess import face_topology as mesh
from preprocess.facial_features import (
    LEFT_SIDE,
    RIGHT_SIDE,
    distance_to,
    fill,
    fill_polygon,
    mesh_width,
)

RIGHT, LEFT = range(2)
RIGHT_RIM, LEFT_RIM = (162, 127, RIGHT_SIDE, 93, 132), (389, 356, LEFT_SIDE, 323, 361)
"""Mesh points, the oval in front of the ears, downwards from the temple; an ear begins below the
temple and leans back."""

# Lengths in face widths; a face is 140 mm wide (Farkas, Anthropometry of the Head and Face, 1994).
BEGINS_BEHIND, BEGINS_BESIDE = 0.02, 0.022
"""Between the rim and the ear are 3 mm of cheek; there pictures of real heads have an edge."""
ENDS_BEHIND, ENDS_BESIDE = 0.3, 0.15
"""An ear reaches this far behind and beside the rim: ears are 20 mm off the head, 35 mm wide."""
ABOVE, BELOW = 0.1, 0.04
"""Its top stands this far above the upper end of the rim, its lobe below the lower."""
SHOWS = 0.015
"""Where skin in an ear's place is nowhere this wide (2 mm), hair covers the ear. A lobe alone is
wider, and the mesh misses the edge of the cheek by less than where the place begins and this."""


def ears(face: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Polygons (9, 2) in which the right and the left ear of a face (P, 3) lie, pixels.

    An ear goes on from the rim sideways and to the back of the head, so that on a turned head the
    far one disappears behind the face.
    """
    width = mesh_width(face)
    side = (face[LEFT_SIDE] - face[RIGHT_SIDE]) / width
    down = face[mesh.CHIN] - face[mesh.FOREHEAD]
    down /= np.linalg.norm(down)
    back = np.cross(side, down)
    back /= np.linalg.norm(back)
    polygons = []
    for rim, outward in ((RIGHT_RIM, -side), (LEFT_RIM, side)):
        inner = face[list(rim[1:])] + width * (BEGINS_BESIDE * outward + BEGINS_BEHIND * back)
        outer = face[list(rim)] + width * (ENDS_BESIDE * outward + ENDS_BEHIND * back)
        inner[-1] += BELOW * width * down
        outer[-1] += BELOW * width * down
        outer[0] -= ABOVE * width * down
        polygons.append(np.concatenate([inner, outer[::-1]])[:, :2])
    return polygons[0], polygons[1]


def ear_shows(skins: Sequence[np.ndarray], faces: np.ndarray, side: int) -> bool:
    """Whether an ear shows in a clip: in most of the frames in which the head leaves room for one
    (half its width at least), the skin there is wide enough.

    Args:
        skins: N times (H, W) bool, where skin is.
        faces: (N, P, 3) mesh points, pixels.
        side: RIGHT or LEFT.
    """
    votes = []
    for skin, face in zip(skins, faces, strict=True):
        width = mesh_width(face)
        place = fill_polygon(ears(face)[side], skin.shape)
        place &= ~fill(face, mesh.FACE_OVAL, skin.shape)
        if widest(place) > (ENDS_BESIDE - BEGINS_BESIDE) / 2 * width:
            votes.append(widest(place & skin) > SHOWS * width)
    return sum(votes) > len(votes) / 2


def widest(mask: np.ndarray) -> float:
    """Diameter, in pixels, of the largest disc in a mask (H, W) bool."""
    return 2 * float(distance_to(~mask).max()) - 1
