"""Where in a picture sky, skin, hair and cloth are looked for first, and where they can be at all.

All at half size.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from scipy.ndimage import maximum_filter1d

from preprocess import face_topology as mesh
from preprocess.colours import chroma_models, colour_models, lab_level
from preprocess.facial_features import distance_to, draw_polygons, fill
from preprocess.similarity import align

SKY, SKIN, HAIR, CLOTH = range(4)
MATERIALS = 4

UNLIKELY = 0.1
"""Factor for a material where anatomy does not expect it."""

CERTAIN_PERSON, CERTAIN_SKY = 0.9, 0.1
CLOTH_SEED = 0.12
"""Clothes are first looked for in this share of the picture, at its bottom."""
THROAT = 0.1
"""So far under the chin, and to both sides, there is skin; in heights of the face oval."""

# What anatomy expects where, in heights of the face oval.
SKIN_REACH = 0.3  # skin outside the oval: forehead, ears
HAIR_REACH = 0.15  # hair inside it
HAIR_LENGTH = 4.0  # hair below the mouth
HAIR_SPREAD = 0.15  # how much wider it is there than beside the mouth, behind the jaw
NECK_HALF_WIDTH, NECK_LENGTH = 0.22, 0.5  # the column under the chin
POSSIBLE_SMOOTHING = 0.02  # softness of all borders
SKIN_ELSEWHERE = 0.1
"""Factor for skin farther off: hands, a bald head, shoulders."""
COVERED = 0.9
"""So much less is cloth expected where hair hangs, and on the throat."""


def first_guess(
    images: Sequence[np.ndarray],
    faces: np.ndarray,
    persons: Sequence[np.ndarray],
    reference: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Where the materials can be, and their colours in places that leave little doubt.

    Sky is where no person is. Skin is the face oval without nose, eyebrows, eyes and mouth, and the
    throat close under the chin. Hair is the person above the mouth and outside the oval, as far as
    it has not the colour of skin. Cloth is the person at the bottom of the picture, where it is
    possible, as far as it has not the colour of skin or hair, nor their hue (a neck in the shade).

    Args:
        images: N RGB images (H/2, W/2, 3) uint8.
        faces: (N, P, 2) mesh points in them, pixels.
        persons: N person masks (H/2, W/2).
        reference: (P, 2) mean face, pixels; "head-aligned" means moved onto it.

    Returns:
        (H/2, W/2, 4) float32 head-aligned, from `possible_places`, and (levels, 4) the probability
        of each Lab level under each material.
    """
    levels = [lab_level(image) for image in images]
    weights = []
    for face, person in zip(faces, persons, strict=True):
        shape = person.shape
        rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])
        oval = fill(face, mesh.FACE_OVAL, shape)
        features = np.zeros(shape, np.uint8)
        draw_polygons(features, face)
        below, beside = rows - face[mesh.CHIN, 1], abs(columns - face[mesh.CHIN, 0])
        reach = THROAT * (face[mesh.CHIN, 1] - face[mesh.FOREHEAD, 1])
        throat = (below > 0) & (rows < throat_row(face)) & (beside < reach)
        surely = person > CERTAIN_PERSON
        weight = np.zeros((*shape, MATERIALS), np.float32)
        weight[..., SKY] = person < CERTAIN_SKY
        weight[..., SKIN] = (oval | throat) & (features == 0)
        weight[..., HAIR] = surely & ~oval & (rows < mouth_row(face))
        weight[..., CLOTH] = surely & (below > 0) & (rows > shape[0] * (1 - CLOTH_SEED))
        weights.append(weight)

    keep_new(weights, HAIR, colour_models(levels, weights), levels)
    hair = [align(w[..., HAIR], f, reference) for w, f in zip(weights, faces, strict=True)]
    possible = possible_places(reference, np.mean(hair, axis=0))
    for weight, face in zip(weights, faces, strict=True):
        weight[..., CLOTH] *= align(possible[..., CLOTH], reference, face)
    for colours in (colour_models(levels, weights), chroma_models(levels, weights)):
        keep_new(weights, CLOTH, colours, levels)
    return possible, colour_models(levels, weights)


def keep_new(
    weights: list[np.ndarray], material: int, colours: np.ndarray, levels: list[np.ndarray]
) -> None:
    """Lower the weights of `material` where skin (or hair, for cloth) explains the colour."""
    for level, weight in zip(levels, weights, strict=True):
        own = colours[level][..., material]
        known = colours[level][..., SKIN:material].sum(-1)
        weight[..., material] *= own / (own + known)


def possible_places(reference: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """(H/2, W/2, 4) float32: where anatomy expects the materials, head-aligned.

    Inside the face oval there is neither sky nor cloth, and hair only near its upper rim: what is
    dark farther in is eyes, nostrils, beard or shadow. Outside, skin is near the oval or on the
    neck; hair below the mouth hangs down from hair beside the mouth; cloth is below the mouth (a
    hat counts as hair), and rarer under hair.

    Args:
        reference: (P, 2) mean face, pixels.
        hair: (H/2, W/2) first guess of how often hair is there, head-aligned.
    """
    shape = hair.shape
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])
    oval = fill(reference, mesh.FACE_OVAL, shape)
    nose, mouth, chin = reference[mesh.NOSE_BASE, 1], mouth_row(reference), reference[mesh.CHIN]
    height = np.ptp(reference[list(mesh.FACE_OVAL), 1])
    inside = distance_to(~oval) / height
    outside = distance_to(oval) / height
    above = rows < mouth
    neck = ~oval & ~above & (abs(columns - chin[0]) < NECK_HALF_WIDTH * height)
    beside_mouth = slice(max(0, round(nose)), max(1, round(mouth)))
    # Hair that is there in half of the frames hangs there; it only moves.
    hanging = maximum_filter1d(2 * hair[beside_mouth].max(0), max(1, round(HAIR_SPREAD * height)))
    hanging = hanging.clip(0, 1)
    hanging = hanging * (1 - (rows - mouth) / (HAIR_LENGTH * height)).clip(0, 1) * ~neck

    possible = np.empty((*shape, MATERIALS), np.float32)
    possible[..., SKY] = ~oval
    possible[..., SKIN] = np.where(neck, 1, np.maximum(SKIN_ELSEWHERE, 1 - outside / SKIN_REACH))
    possible[..., HAIR] = np.where(
        above, np.where(oval, 1 - inside / HAIR_REACH, 1), hanging * ~oval
    )
    possible[..., CLOTH] = 2 * (rows - mouth) / (chin[1] - mouth) * ~oval
    possible[..., CLOTH] *= 1 - COVERED * hanging
    bare = 1 - (rows - chin[1]) / (NECK_LENGTH * height)
    possible[..., CLOTH] *= np.where(neck, 1 - bare.clip(0, COVERED), 1)
    return cv2.GaussianBlur(possible.clip(UNLIKELY, 1), (0, 0), POSSIBLE_SMOOTHING * height)


def throat_row(face: np.ndarray) -> int:
    """The row of the picture down to which the throat is surely bare."""
    forehead, chin = face[[mesh.FOREHEAD, mesh.CHIN], 1]
    return max(0, round(chin + THROAT * (chin - forehead)))


def mouth_row(face: np.ndarray) -> float:
    """Height in the picture of the mouth's centre, pixels from the top."""
    return float(face[list(mesh.LIPS_OUTER), 1].mean())
