"""Parsing without a parsing network: FaceMesh polygons, a person mask, and the clip's own colours.

The mesh says where eyes, eyebrows, nose, lips and mouth opening are, and their colours how far they
go (`preprocess.facial_features`). The rest of the picture is one of four materials, sky, skin, hair
and cloth (`preprocess.materials`). Both are learned from frames of the clip. Last, skin is divided
by place: beside the face ear, where one shows; under it neck; the rest cheek.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from preprocess import face_topology as mesh
from preprocess.facial_features import (
    LEFT_SIDE,
    RIGHT_SIDE,
    FacialFeatures,
    distance_to,
    fill,
    fill_polygon,
    mesh_width,
)
from preprocess.materials import (
    CLOTH,
    HAIR,
    SKIN,
    SKY,
    Materials,
    half,
    learn_materials,
)
from preprocess.quiet import quiet_native_stderr
from preprocess.solutions import solution
from ssp_nerf import parsing_map as classes

LEARNING_FRAMES = 32
"""Frames, evenly over the clip, that the person's looks are learned from."""

EAR_BEHIND, EAR_BESIDE = 0.3, 0.12
"""An ear reaches this far behind and beside the rim of the mesh, in face widths. Ears are 20 mm off
the head and 35 mm wide on a face of 140 mm (Farkas, Anthropometry of the Head and Face, 1994)."""
EAR_SHOWS = 0.025
"""Where skin beside the rim is nowhere this wide (face widths, so 3.5 mm), hair covers the ear: the
mesh misses the edge of the cheek by less, and a lobe alone is wider."""

RIGHT, LEFT = range(2)
RIGHT_RIM, LEFT_RIM = (162, 127, RIGHT_SIDE, 93, 132), (389, 356, LEFT_SIDE, 323, 361)
"""Mesh points, the oval in front of the ears, downwards."""


def parse_clip(frames: Sequence[np.ndarray], points: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the parsing map (H, W) uint8 of each frame.

    Args:
        frames: N RGB images (H, W, 3) uint8, read one at a time (an HDF5 array will do).
        points: (N, P, 3) FaceMesh points, pixels; z on the same scale, smaller is nearer.
    """
    person_mask = PersonMask()
    person = learn_person(frames, points, person_mask)
    for frame, face in zip(frames, points, strict=True):
        yield person.parse(frame, face, person_mask(frame))


class PersonMask:
    """Mediapipe's selfie segmentation, the general model (256x256)."""

    def __init__(self) -> None:
        with quiet_native_stderr():
            segmentation = solution("selfie_segmentation")
            self.network = segmentation.SelfieSegmentation(model_selection=0)
            self.network.process(np.zeros((16, 16, 3), np.uint8))

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """RGB (H, W, 3) uint8 -> probability (H/2, W/2) float32 that a person is there."""
        return half(self.network.process(np.ascontiguousarray(frame)).segmentation_mask)


class Person:
    """What the person of one clip looks like.

    Attributes:
        materials: sky, skin, hair and cloth.
        features: nose, eyebrows, eyes and mouth.
        ears: whether the right and the left ear show.
    """

    def __init__(self, materials: Materials, features: FacialFeatures, ears: tuple[bool, bool]):
        self.materials = materials
        self.features = features
        self.ears = ears

    def parse(self, frame: np.ndarray, face: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The parsing map (H, W) uint8 of one frame.

        Args:
            frame: (H, W, 3) uint8 RGB.
            face: (P, 3) mesh points, pixels.
            mask: (H/2, W/2) person mask.
        """
        material = self.materials.found(frame, face[:, :2], mask)
        parsing = divide_skin(face, frame.shape, self.ears)
        for kind, label in (
            (SKY, classes.BACKGROUND),
            (HAIR, classes.HAIR),
            (CLOTH, classes.TORSO),
        ):
            parsing[material == kind] = label
        self.features.draw(parsing, frame, face)
        return parsing


def learn_person(
    frames: Sequence[np.ndarray], points: np.ndarray, person_mask: PersonMask
) -> Person:
    """The person of a clip, from some of its frames; arguments as in `parse_clip`."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, LEARNING_FRAMES).round().astype(int))
    seen = [np.asarray(frames[index]) for index in chosen]
    masks = [person_mask(frame) for frame in seen]
    faces = points[chosen]
    materials = learn_materials(seen, faces[..., :2], masks, points[..., :2].mean(0))
    skins = [
        materials.found(frame, face[:, :2], mask) == SKIN
        for frame, face, mask in zip(seen, faces, masks, strict=True)
    ]
    ears_seen = ear_shows(skins, faces, RIGHT), ear_shows(skins, faces, LEFT)
    return Person(materials, FacialFeatures(seen, faces), ears_seen)


def ear_shows(skins: list[np.ndarray], faces: np.ndarray, side: int) -> bool:
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
        if widest(place) > EAR_BESIDE / 2 * width:
            votes.append(widest(place & skin) > EAR_SHOWS * width)
    return sum(votes) > len(votes) / 2


def widest(mask: np.ndarray) -> float:
    """Diameter, in pixels, of the largest disc in a mask (H, W) bool."""
    return 2 * float(distance_to(~mask).max()) - 1


def divide_skin(face: np.ndarray, shape: tuple[int, ...], shown: tuple[bool, bool]) -> np.ndarray:
    """(H, W) uint8: the class of each pixel if it is skin.

    Args:
        face: (P, 3) mesh points, pixels.
        shape: of the picture.
        shown: whether the right and the left ear show.
    """
    skin = np.full(shape[:2], classes.CHEEK, np.uint8)
    for ear, shows in zip(ears(face), shown, strict=True):
        if shows:
            skin[fill_polygon(ear, shape)] = classes.EAR
    x, y = np.arange(shape[1]) + 0.5, np.arange(shape[0])[:, None] + 0.5
    mouth = face[list(mesh.LIPS_OUTER), :2].mean(0)
    down = face[mesh.CHIN, :2] - face[mesh.FOREHEAD, :2]
    skin[(x - mouth[0]) * down[0] + (y - mouth[1]) * down[1] > 0] = classes.NECK
    skin[fill(face, mesh.FACE_OVAL, shape)] = classes.CHEEK
    return skin


def ears(face: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Polygons (10, 2) in which the right and the left ear lie, drawn on from the rim of the mesh.

    The mesh ends in front of the ears. An ear goes on from there, sideways and to the back of the
    head, so that on a turned head the far one disappears behind the face.
    """
    width = mesh_width(face)
    side = (face[LEFT_SIDE] - face[RIGHT_SIDE]) / width
    back = np.cross(side, face[mesh.CHIN] - face[mesh.FOREHEAD])
    back /= np.linalg.norm(back)
    polygons = []
    for rim, outward in ((RIGHT_RIM, -side), (LEFT_RIM, side)):
        inner = face[list(rim)]
        outer = inner + width * (EAR_BESIDE * outward + EAR_BEHIND * back)
        polygons.append(np.concatenate([inner, outer[::-1]])[:, :2])
    return polygons[0], polygons[1]
