"""The materials of a picture: sky (whatever is behind the person), skin, hair, cloth.

They are told apart by how likely a pixel's colour is in each, by where in the head-aligned picture
each usually lies (an atlas), by the person mask, and by what neighbours say. Colours and atlas are
learned from the clip itself, in a few rounds of expectation and maximisation, from seeds that the
mesh gives.

Materials are found at half size, their edges at full size (a guided filter).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import maximum_filter1d

from preprocess import face_topology as mesh
from preprocess.colours import chroma_models, colour_models, lab_level
from preprocess.facial_features import distance_to, draw_polygons, fill

SKY, SKIN, HAIR, CLOTH = range(4)
MATERIALS = 4

LEARNING_ROUNDS = 3
REFERENCE_SIZE = 450.0
"""Pixels below are meant at this picture height (the paper's) and scale with the real one."""

ATLAS_SMOOTHING = 9.0  # standard deviation, pixels
ATLAS_FLOOR = 0.02
"""No material is impossible anywhere (a hand, a strand of hair)."""
UNLIKELY = 0.1
"""Factor for a material where anatomy does not expect it."""

AGREEMENT = 4.0
AGREEMENT_ROUNDS = 2
AGREEMENT_RADIUS = 4.0
"""A neighbourhood (radius in pixels) that is all of one material makes it exp(4) = 55 times as
likely; mean field of a Potts model."""

EDGE_RADIUS = 6.0
EDGE_CONTRAST = 0.03
"""Guided filter: window radius in pixels, and the contrast (grey values in [0, 1]) that is an edge
(He, Sun and Tang, Guided Image Filtering, 2013; the fast one, 2015)."""

REMEMBERED = 0.6
"""Weight of the frame before where the picture looks the same: a memory of 1 / (1 - 0.6) = 2.5
frames."""
SAME_GREY = 0.04
"""Grey values in [0, 1] that differ by this much are two different things, not noise."""

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


class Materials:
    """What tells sky, skin, hair and cloth apart in one clip. All at half size.

    Attributes:
        reference: (P, 2) mean face of the clip, pixels; "head-aligned" means moved onto it.
        possible: (H/2, W/2, 4) head-aligned, what anatomy expects where.
        atlas: (H/2, W/2, 4) head-aligned probability of each material at each place.
        colours: (levels, 4) probability of each Lab level under each material.
    """

    def __init__(self, reference: np.ndarray, possible: np.ndarray, colours: np.ndarray):
        self.reference = reference
        self.scale = 2 * possible.shape[0] / REFERENCE_SIZE
        self.possible = possible
        self.atlas = possible
        self.colours = colours

    def probabilities(self, image: np.ndarray, face: np.ndarray, person: np.ndarray) -> np.ndarray:
        """(H/2, W/2, 4) float32 probability of each material.

        Args:
            image: (H/2, W/2, 3) uint8 RGB.
            face: (P, 2) mesh points in it, pixels.
            person: (H/2, W/2) probability that a person is there.
        """
        joint = np.take(self.colours, lab_level(image), axis=0)
        joint *= align(self.atlas, self.reference, face)
        joint[..., SKY] *= 1 - person
        joint[..., SKIN:] *= person[..., None]
        radius = max(1, round(AGREEMENT_RADIUS / 2 * self.scale))
        probabilities = normalised(joint)
        for _ in range(AGREEMENT_ROUNDS):
            neighbours = cv2.blur(probabilities, (2 * radius + 1,) * 2)
            probabilities = normalised(joint * np.exp(AGREEMENT * neighbours))
        return probabilities

    def found(
        self,
        frame: np.ndarray,
        face: np.ndarray,
        person: np.ndarray,
        memory: "Memory | None" = None,
    ) -> tuple[np.ndarray, "Memory"]:
        """(H, W) the material of each pixel, and what to remember of it in the next frame.

        Args:
            frame: (H, W, 3) uint8 RGB.
            face: (P, 2) mesh points in it, pixels.
            person: (H/2, W/2) probability that a person is there.
            memory: of the frame before.
        """
        image, face = half(frame), face / 2
        guide = grey(image)
        probabilities = self.probabilities(image, face, person)
        if memory is not None:
            probabilities = memory.recalled(probabilities, guide, face)
        radius = EDGE_RADIUS / 2 * self.scale
        material = likeliest(grey(frame), guide, probabilities, radius)
        return material, Memory(probabilities, guide, face)

    def learn(self, images: list[np.ndarray], faces: np.ndarray, persons: list[np.ndarray]) -> None:
        """One round: where the materials are in these pictures, from that atlas and colours."""
        weights = [self.probabilities(*seen) for seen in zip(images, faces, persons, strict=True)]
        aligned = [align(w, f, self.reference) for w, f in zip(weights, faces, strict=True)]
        usual = cv2.GaussianBlur(np.mean(aligned, axis=0), (0, 0), ATLAS_SMOOTHING / 2 * self.scale)
        self.atlas = self.possible * (ATLAS_FLOOR + (1 - ATLAS_FLOOR) * usual)
        self.colours = colour_models([lab_level(image) for image in images], weights)


@dataclass(frozen=True)
class Memory:
    """What was found in a frame, so that the next one does not flicker. All at half size.

    Attributes:
        probabilities: (H/2, W/2, 4) of the materials.
        guide: (H/2, W/2) grey picture.
        face: (P, 2) mesh points, pixels.
    """

    probabilities: np.ndarray
    guide: np.ndarray
    face: np.ndarray

    def recalled(
        self, probabilities: np.ndarray, guide: np.ndarray, face: np.ndarray
    ) -> np.ndarray:
        """Probabilities of the next frame, averaged with the remembered ones.

        These are moved along with the head. Where the picture does not look as it did there
        (shoulders do not move with the head, lips move by themselves), they do not count.
        """
        difference = (align(self.guide, self.face, face) - guide) / SAME_GREY
        weight = REMEMBERED * np.exp(-difference * difference)
        before = align(self.probabilities, self.face, face)
        return probabilities + weight[..., None] * (before - probabilities)


def learn_materials(
    frames: Sequence[np.ndarray], points: np.ndarray, persons: list[np.ndarray]
) -> Materials:
    """The materials of a clip.

    Args:
        frames: some of its frames, N RGB images (H, W, 3) uint8.
        points: (N, P, 2) mesh points in them, pixels.
        persons: N person masks (H/2, W/2).
    """
    images = [half(frame) for frame in frames]
    faces = points / 2
    materials = first_guess(images, faces, persons, faces.mean(0))
    for _ in range(LEARNING_ROUNDS):
        materials.learn(images, faces, persons)
    return materials


def first_guess(
    images: list[np.ndarray], faces: np.ndarray, persons: list[np.ndarray], reference: np.ndarray
) -> Materials:
    """Colours from places where the mesh and the person mask leave little doubt.

    Sky is where no person is. Skin is the face oval without nose, eyebrows, eyes and mouth, and the
    throat close under the chin. Hair is the person above the mouth and outside the oval, as far as
    it has not the colour of skin. Cloth is the person at the bottom of the picture, where it is
    possible, as far as it has not the colour of skin or hair, nor their hue (a neck in the shade).
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
        throat = (below > 0) & (below < reach) & (beside < reach)
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
    return Materials(reference, possible, colour_models(levels, weights))


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


def mouth_row(face: np.ndarray) -> float:
    """Height in the picture of the mouth's centre, pixels from the top."""
    return float(face[list(mesh.LIPS_OUTER), 1].mean())


def align(values: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Move a picture (H, W, C) so that the points `source` (P, 2) come to lie on `target`."""
    motion = similarity(source, target)
    return cv2.warpAffine(values, motion, values.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(2, 3): the shift, rotation and scale that moves points (P, 2) onto others, least squares."""
    centre, goal = source.mean(0), target.mean(0)
    x, y = (source - centre).T
    u, v = (target - goal).T
    size = (x * x + y * y).sum()
    a, b = (x * u + y * v).sum() / size, (x * v - y * u).sum() / size
    linear = np.array([[a, -b], [b, a]])
    return np.column_stack([linear, goal - linear @ centre])


def half(image: np.ndarray) -> np.ndarray:
    """The picture at half size, sizes rounded up."""
    height, width = image.shape[:2]
    size = ((width + 1) // 2, (height + 1) // 2)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def normalised(joint: np.ndarray) -> np.ndarray:
    """Divide by the sum over the last axis (the materials)."""
    total = cv2.transform(joint, np.ones((1, MATERIALS), np.float32))
    return joint / np.maximum(total, np.finfo(np.float32).tiny)[..., None]


def likeliest(
    picture: np.ndarray, guide: np.ndarray, values: np.ndarray, radius: float
) -> np.ndarray:
    """(H, W) uint8: the greatest of C values, brought from half size to full size along the edges
    of the picture.

    The fast guided filter: in each window of the small picture the output is the affine function
    of its grey value that fits the values best; that function is applied to the large picture.

    Args:
        picture: (H, W) grey values.
        guide: (H/2, W/2), the same at half size.
        values: (H/2, W/2, C) float32.
        radius: of the window, in pixels of the small picture.
    """
    window = (2 * max(1, round(radius)) + 1,) * 2
    mean_guide = cv2.blur(guide, window)
    variance = cv2.blur(guide * guide, window) - mean_guide**2
    mean_values = cv2.blur(values, window)
    covariance = cv2.blur(guide[..., None] * values, window) - mean_guide[..., None] * mean_values
    slope = covariance / (variance + EDGE_CONTRAST**2)[..., None]
    offset = mean_values - slope * mean_guide[..., None]
    best = np.full(picture.shape, -np.inf, np.float32)
    winner = np.zeros(picture.shape, np.uint8)
    # One value at a time: several times faster than an argmax over the last axis.
    for index, fit in enumerate(
        zip(*(cv2.split(cv2.blur(part, window)) for part in (slope, offset)), strict=True)
    ):
        a, b = (cv2.resize(part, picture.shape[::-1]) for part in fit)
        value = a * picture + b
        np.copyto(winner, index, where=value > best)
        np.maximum(best, value, out=best)
    return winner


def grey(image: np.ndarray) -> np.ndarray:
    """RGB uint8 -> grey value in [0, 1], float32."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
