"""Nose, eyebrows, eyes and mouth in a picture: FaceMesh polygons, corrected by the colours.

The mesh is a face like most: it puts eyebrows, lids and lips within a pixel or two of the real
ones, and the eyebrows of most people are thicker or thinner than its own. So near the rim of a
polygon the colour decides whether a pixel is of the feature or of what surrounds it. The colours of
both are learned from the clip, in a few rounds of expectation and maximisation from the polygons.
The nose has the colour of the cheeks; its polygon stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.special import expit

from preprocess import face_topology as mesh
from preprocess.colours import LEVELS, colour_models, lab_level
from ssp_nerf import parsing_map as classes


@dataclass(frozen=True)
class Feature:
    """A polygon of the mesh.

    Attributes:
        ring: its points.
        label: the class inside.
        reach: how far from it the rim of the real feature may be, in face widths; 0 takes the
            polygon as it is.
        quick: whether it can move within a frame or two, as lids and lips do.
    """

    ring: tuple[int, ...]
    label: int
    reach: float = 0.0
    quick: bool = False


BROW_REACH = 0.04
"""A face is 140 mm wide (Farkas, Anthropometry of the Head and Face, 1994), so 6 mm: more than half
an eyebrow's height, and less than its distance from the eye."""
LIP_REACH = 0.015  # 2 mm
EYE_REACH = 0.012  # under 2 mm: eyelashes and the fold of the lid begin there
FEATURES = (
    Feature(mesh.NOSE, classes.NOSE),
    Feature(mesh.RIGHT_EYEBROW, classes.EYEBROW, BROW_REACH),
    Feature(mesh.LEFT_EYEBROW, classes.EYEBROW, BROW_REACH),
    Feature(mesh.RIGHT_EYE, classes.EYE, EYE_REACH, quick=True),
    Feature(mesh.LEFT_EYE, classes.EYE, EYE_REACH, quick=True),
    Feature(mesh.LIPS_OUTER, classes.LIP, LIP_REACH, quick=True),
    Feature(mesh.LIPS_INNER, classes.TEETH, LIP_REACH, quick=True),
)
"""In the order of painting. The mouth opening is painted on lips only."""

LEARNING_ROUNDS = 3
SURROUNDINGS = 2.0
"""The colours round a feature are learned up to so many reaches from its polygon."""
PLACE_EVIDENCE = 3.0
"""Log odds, one reach inside the polygon, that a pixel is of the feature; on the rim 0, one reach
outside -3."""
COLOUR_EVIDENCE = 3.0
"""No colour says more than this (log odds): neither a highlight nor a shadow overrides the mesh."""
AGREEMENT = 3.0
AGREEMENT_ROUNDS = 2
"""Log odds of a neighbourhood of 3x3 pixels that is all of the feature; mean field of a Potts
model."""

RIGHT_SIDE, LEFT_SIDE = 234, 454
"""Mesh points on the rim, in front of the ears."""

SUBPIXEL_BITS = 4
FINER = 3
"""Polygons are drawn on pixels so many times finer; odd, so that one is at each pixel's centre."""
CENTRES = np.s_[FINER // 2 :: FINER, FINER // 2 :: FINER]

Box = tuple[slice, slice]


class FacialFeatures:
    """The features of one person in one clip.

    Attributes:
        evidence: for each of `FEATURES`, (LEVELS,) log odds of each Lab level.
    """

    def __init__(self, frames: Sequence[np.ndarray], faces: np.ndarray):
        """Learn the colours.

        Args:
            frames: N RGB images (H, W, 3) uint8.
            faces: (N, P, 3) mesh points in them, pixels.
        """
        self.evidence = [learn_evidence(feature, frames, faces) for feature in FEATURES]

    def draw(
        self, parsing: np.ndarray, frame: np.ndarray, face: np.ndarray, calm: np.ndarray
    ) -> None:
        """Paint the features of a frame into its parsing map (H, W), in place.

        Args:
            parsing: where cheeks and hair are painted already.
            frame: (H, W, 3) uint8 RGB.
            face: (P, 3) mesh points, pixels, for lids and lips.
            calm: (P, 3) the same without their tremble, for nose and eyebrows.
        """
        for feature, evidence in zip(FEATURES, self.evidence, strict=True):
            view = look(feature, frame, face if feature.quick else calm)
            inside = view.distance < 0
            if feature.reach:
                inside = view.probability(evidence) > 0.5
            target = parsing[view.box]
            if feature.label == classes.TEETH:
                inside &= target == classes.LIP
            if feature.label == classes.EYEBROW:
                inside &= target != classes.HAIR
            target[inside] = feature.label


@dataclass(frozen=True)
class View:
    """A feature's polygon, and the picture around it.

    Attributes:
        box: rows and columns of the picture that are looked at.
        distance: (h, w) float32 from the polygon's rim, negative inside; reaches, or pixels for a
            feature that has none.
        levels: (h, w) Lab levels.
    """

    box: Box
    distance: np.ndarray
    levels: np.ndarray

    def probability(self, evidence: np.ndarray) -> np.ndarray:
        """(h, w) float32: probability that a pixel is of the feature, from (LEVELS,) log odds."""
        odds = evidence[self.levels] - PLACE_EVIDENCE * self.distance.clip(-1, None)
        odds[self.distance > 1] = -np.inf
        probability = expit(odds)
        for _ in range(AGREEMENT_ROUNDS):
            neighbours = cv2.blur(probability, (3, 3))
            probability = expit(odds + AGREEMENT * (2 * neighbours - 1))
        return probability


def look(feature: Feature, frame: np.ndarray, face: np.ndarray) -> View:
    """A feature in a frame (H, W, 3) with mesh points (P, 3), and twice its reach around it."""
    reach = feature.reach * mesh_width(face) or 1.0
    corners = face[list(feature.ring), :2]
    size = np.array(frame.shape[1::-1])
    low = np.floor(corners.min(0) - SURROUNDINGS * reach).astype(int).clip(0, size - 1)
    high = np.ceil(corners.max(0) + SURROUNDINGS * reach).astype(int).clip(low + 1, size)
    box = slice(low[1], high[1]), slice(low[0], high[0])
    levels = lab_level(np.ascontiguousarray(frame[box]))
    return View(box, signed_distance(corners - low, levels.shape) / reach, levels)


def learn_evidence(feature: Feature, frames: Sequence[np.ndarray], faces: np.ndarray) -> np.ndarray:
    """(LEVELS,) float32: log odds of each colour that a pixel near a feature belongs to it."""
    evidence = np.zeros(LEVELS, np.float32)
    if not feature.reach:
        return evidence
    views = [look(feature, *seen) for seen in zip(frames, faces, strict=True)]
    for _ in range(LEARNING_ROUNDS):
        levels, weights = [], []
        for view in views:
            near = view.distance < SURROUNDINGS
            probability = view.probability(evidence)[near]
            levels.append(view.levels[near])
            weights.append(np.stack([1 - probability, probability], axis=-1))
        outside, inside = colour_models(levels, weights).T
        evidence = np.log(inside / outside).clip(-COLOUR_EVIDENCE, COLOUR_EVIDENCE)
    return evidence


def mesh_width(face: np.ndarray) -> float:
    """Width of a face (P, 3) from ear to ear, pixels."""
    right, left = face[[RIGHT_SIDE, LEFT_SIDE]]
    return float(np.linalg.norm(left - right))


def draw_polygons(parsing: np.ndarray, face: np.ndarray) -> None:
    """Paint the features into a parsing map (H, W) as the mesh has them, in place."""
    for feature in FEATURES:
        parsing[fill(face, feature.ring, parsing.shape)] = feature.label


def fill(face: np.ndarray, ring: Sequence[int], shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) bool: the pixels inside the polygon of the mesh points `ring`."""
    return fill_polygon(face[list(ring), :2], shape)


def fill_polygon(corners: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) bool: the pixels whose centre is inside the polygon (corners, 2), pixels, to a sixth
    of one."""
    inside = np.zeros(shape[:2], bool)
    low = np.floor(corners.min(0)).clip(0, shape[1::-1]).astype(int)
    high = np.ceil(corners.max(0)).clip(low, shape[1::-1]).astype(int)
    if (high > low).all():
        box = slice(low[1], high[1]), slice(low[0], high[0])
        inside[box] = fill_finely(corners - low, high - low)[CENTRES].view(bool)
    return inside


def fill_finely(corners: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(FINER height, FINER width) uint8: 1 inside the polygon (corners, 2); size in whole pixels.

    OpenCV counts every pixel that the rim touches as inside; on finer pixels that is little.
    """
    # Pixel centres are at +0.5 in our points, at whole numbers in OpenCV's.
    fixed_point = ((corners * FINER - 0.5) * (1 << SUBPIXEL_BITS)).round().astype(np.int32)
    fine = np.zeros((FINER * size[1], FINER * size[0]), np.uint8)
    cv2.fillPoly(fine, [fixed_point], (1,), shift=SUBPIXEL_BITS)
    return fine


def signed_distance(corners: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) float32: distance from the rim of a polygon (corners, 2), pixels, negative inside."""
    inside = fill_finely(corners, np.array(shape[1::-1])).view(bool)
    distance = distance_to(inside)[CENTRES] - distance_to(~inside)[CENTRES]
    return distance / FINER


def distance_to(mask: np.ndarray) -> np.ndarray:
    """(H, W) float32: distance from each pixel to the nearest of a mask (H, W) bool, pixels."""
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
