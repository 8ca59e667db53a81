"""Parsing without a parsing network: FaceMesh polygons, a person mask, and the clip's own colours.

The mesh says where eyes, eyebrows, nose, lips and mouth opening are, and their colours how far they
go (`preprocess.facial_features`). The rest of the picture is one of four materials, sky, skin, hair
and cloth (`preprocess.materials`). Both are learned from frames of the clip. Last, skin is divided
by place: beside the face ear, where one shows (`preprocess.ears`); under it neck; the rest cheek.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from preprocess import face_topology as mesh
from preprocess.ears import LEFT, RIGHT, ear_shows, ears
from preprocess.facial_features import FacialFeatures, fill, fill_polygon, mesh_width
from preprocess.guided_filter import half
from preprocess.material_seeds import CLOTH, HAIR, SKIN, SKY
from preprocess.materials import Materials, Memory, learn_materials
from preprocess.quiet import quiet_native_stderr
from preprocess.similarity import moved_onto
from preprocess.solutions import solution
from preprocess.some_frames import evenly
from ssp_nerf import parsing_map as classes

LEARNING_FRAMES = 32
"""Frames, evenly over the clip, that the person's looks are learned from."""
HEAD_TREMBLE = 0.005
"""In face widths: so far, at most, does the head as found lie off its mean path (0.7 mm; 0.1 to 0.3
mm on clips of speakers)."""


def parse_clip(frames: Sequence[np.ndarray], points: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the parsing map (H, W) uint8 of each frame.

    Args:
        frames: N RGB images (H, W, 3) uint8, read one at a time (an HDF5 array will do).
        points: N times (P, 3) FaceMesh points, pixels; z on the same scale, smaller is nearer.
    """
    person_mask = PersonMask()
    person = learn_person(frames, points, person_mask)
    memory = None
    for frame, (face, calm) in zip(frames, steadied(points), strict=True):
        labels, memory = person.parse(frame, face, calm, person_mask(frame), memory)
        yield labels


def steadied(points: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each frame's points (P, 3), as they are and weighted 1:2:1 with those before and after.

    Detected points tremble from frame to frame, by half a pixel each and a little all together. A
    head that starts, stops or is cut to elsewhere does more than tremble: there the frames before
    and after are moved onto this one first.
    """
    before = now = points[0]
    for index in range(len(points)):
        after = points[min(index + 1, len(points) - 1)]
        calm = (before + 2 * now + after) / 4
        if np.linalg.norm((calm - now)[:, :2].mean(0)) > HEAD_TREMBLE * mesh_width(now):
            calm = (moved_onto(before, now) + 2 * now + moved_onto(after, now)) / 4
        yield now, calm
        before, now = now, after


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

    def parse(
        self,
        frame: np.ndarray,
        face: np.ndarray,
        calm: np.ndarray,
        mask: np.ndarray,
        memory: Memory | None = None,
    ) -> tuple[np.ndarray, Memory]:
        """The parsing map (H, W) uint8 of one frame, and what to remember for the next one.

        Args:
            frame: (H, W, 3) uint8 RGB.
            face: (P, 3) mesh points, pixels.
            calm: (P, 3) the same, steadied, for what does not move as fast as lids and lips.
            mask: (H/2, W/2) person mask.
            memory: of the frame before.
        """
        material, memory = self.materials.found(frame, calm[:, :2], mask, memory)
        parsing = divide_skin(calm, frame.shape, self.ears)
        for kind, label in (
            (SKY, classes.BACKGROUND),
            (HAIR, classes.HAIR),
            (CLOTH, classes.TORSO),
        ):
            parsing[material == kind] = label
        self.features.draw(parsing, frame, face, calm)
        return parsing, memory


def learn_person(
    frames: Sequence[np.ndarray], points: Sequence[np.ndarray], person_mask: PersonMask
) -> Person:
    """The person of a clip, from some of its frames; arguments as in `parse_clip`."""
    chosen = evenly(len(frames), LEARNING_FRAMES)
    seen = [np.asarray(frames[index]) for index in chosen]
    masks = [person_mask(frame) for frame in seen]
    faces = np.stack([points[index] for index in chosen])
    materials = learn_materials(seen, faces[..., :2], masks)
    skins = [
        materials.found(frame, face[:, :2], mask)[0] == SKIN
        for frame, face, mask in zip(seen, faces, masks, strict=True)
    ]
    ears_seen = ear_shows(skins, faces, RIGHT), ear_shows(skins, faces, LEFT)
    return Person(materials, FacialFeatures(seen, faces), ears_seen)


def divide_skin(face: np.ndarray, shape: tuple[int, ...], shown: tuple[bool, bool]) -> np.ndarray:
    """(H, W) uint8: the class of each pixel if it is skin.

    Args:
        face: (P, 3) mesh points, pixels.
        shape: of the picture.
        shown: whether the right and the left ear show.
    """
    skin = np.full(shape[:2], classes.CHEEK, np.uint8)
    mouth = face[list(mesh.LIPS_OUTER), :2].mean(0)
    down = face[mesh.CHIN, :2] - face[mesh.FOREHEAD, :2]
    x, y = np.arange(shape[1]) + 0.5 - mouth[0], np.arange(shape[0])[:, None] + 0.5 - mouth[1]
    skin[x * down[0] > -y * down[1]] = classes.NECK
    for ear, shows in zip(ears(face), shown, strict=True):
        if shows:
            skin[fill_polygon(ear, shape)] = classes.EAR
    skin[fill(face, mesh.FACE_OVAL, shape)] = classes.CHEEK
    return skin
