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

from preprocess.colours import colour_models, lab_level
from preprocess.guided_filter import grey, half, likeliest, spread
from preprocess.material_seeds import MATERIALS, SKIN, first_guess, throat_row
from preprocess.similarity import align

LEARNING_ROUNDS = 3
REFERENCE_SIZE = 450.0
"""Pixels below are meant at this picture height (the paper's) and scale with the real one."""

ATLAS_SMOOTHING = 9.0  # standard deviation, pixels
ATLAS_FLOOR = 0.02
"""No material is impossible anywhere (a hand, a strand of hair)."""
AGREEMENT = 4.0
AGREEMENT_ROUNDS = 2
AGREEMENT_RADIUS = 4.0
"""A neighbourhood (radius in pixels) that is all of one material makes it exp(4) = 55 times as
likely; mean field of a Potts model."""

EDGE_RADIUS = 6.0  # window of the guided filter, pixels

REMEMBERED = 0.6
"""Weight of the frame before where the picture looks the same: a memory of 1 / (1 - 0.6) = 2.5
frames."""
SAME_GREY = 0.04
"""Grey values in [0, 1] that differ by this much are two different things, not noise."""


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
        joint *= cv2.merge([1 - person] + [person] * (MATERIALS - 1))  # sky is the first
        radius = max(1, round(AGREEMENT_RADIUS / 2 * self.scale))
        probabilities = normalised(joint)
        for _ in range(AGREEMENT_ROUNDS):
            neighbours = cv2.blur(probabilities, (2 * radius + 1,) * 2)
            probabilities = normalised(joint * cv2.exp(AGREEMENT * neighbours))
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
        """One round: where the materials are in these pictures, from that atlas and colours.

        Skin shows its colours from the forehead to the throat: what is lower down is of skin only
        if it has them, a pale collar is not.
        """
        weights = [self.probabilities(*seen) for seen in zip(images, faces, persons, strict=True)]
        aligned = [align(w, f, self.reference) for w, f in zip(weights, faces, strict=True)]
        usual = cv2.GaussianBlur(np.mean(aligned, axis=0), (0, 0), ATLAS_SMOOTHING / 2 * self.scale)
        self.atlas = self.possible * (ATLAS_FLOOR + (1 - ATLAS_FLOOR) * usual)
        for weight, face in zip(weights, faces, strict=True):
            weight[throat_row(face) :, :, SKIN] = 0
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
        return probabilities + spread(weight, MATERIALS) * (before - probabilities)


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
    reference = faces.mean(0)
    materials = Materials(reference, *first_guess(images, faces, persons, reference))
    for _ in range(LEARNING_ROUNDS):
        materials.learn(images, faces, persons)
    return materials


def normalised(joint: np.ndarray) -> np.ndarray:
    """Divide by the sum over the last axis (the materials)."""
    total = cv2.transform(joint, np.ones((1, MATERIALS), np.float32))
    return joint * spread(1 / np.maximum(total, np.finfo(np.float32).tiny), MATERIALS)
