"""A person, a speech and a seed become frames: everything in camera space, with its truth.

Room axes are those of the camera: x right, y up, z towards it; the camera stands still.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from preprocess.demo_subject.motion import Motion, motion
from preprocess.demo_subject.person import Person
from preprocess.demo_subject.visemes import mouth_movement
from preprocess.demo_subject.voice import STRESSES, Speech
from preprocess.face_topology import MESH_POINTS
from preprocess.head_frame import frontal_axes
from preprocess.makehuman_points import face_points
from ssp_nerf.cameras import project
from ssp_nerf.schema import FPS

FOCAL_SIZE = 450  # the picture height at which focal lengths of looks are given
EYES_AT = 0.44  # height of the eyes in the picture, from the top
TORSO_PIVOT = 3.0
"""Decimetres below the joint of the head, about which the torso leans: the waist sways little."""


@dataclass(frozen=True)
class Scene:
    """All frames of a clip, in numbers.

    Attributes:
        person: who.
        motion: how everything but the mouth moves.
        units: face unit -> (N,) strength, mouth and all.
        head: (N, 3, 4) rigid motion of the head, from the person's rest to camera axes.
        torso: (N, 3, 4) the same of the torso.
        frame: (3, 4) from rest to the canonical head frame (`ssp_nerf.cameras`), as the stage
            fit_face_model defines it by the points of the mean expression.
        focal: pixels.
        size: pixels.
    """

    person: Person
    motion: Motion
    units: dict[str, np.ndarray]
    head: np.ndarray
    torso: np.ndarray
    frame: np.ndarray
    focal: float
    size: int

    def __len__(self) -> int:
        return len(self.head)

    def expression(self, index: int) -> dict[str, float]:
        """The face units of a frame."""
        return {unit: float(strength[index]) for unit, strength in self.units.items()}

    def face(self, index: int) -> np.ndarray:
        """(V, 3) the person with expression and gaze of a frame, but at rest, decimetres."""
        rest = self.person.expression(self.expression(index))
        for eye, turn in zip(self.person.eyes, self.eye_turns(index), strict=True):
            middle = rest[eye].mean(0)
            rest[eye] = (rest[eye] - middle) @ turn.T + middle
        return rest

    def vertices(self, index: int) -> np.ndarray:
        """(V, 3) the person in camera axes, decimetres."""
        rest = self.face(index)
        share = self.person.head_share[:, None]
        return share * move(self.head[index], rest) + (1 - share) * move(self.torso[index], rest)

    def eye_turns(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(3, 3) rotations of the right and the left eyeball in the head, which look at the camera
        whatever the head does, but for their small jumps."""
        inverse = self.head[index, :, :3].T
        turns = []
        for eye in self.person.eyes:
            middle = self.person.vertices[eye].mean(0)
            towards = inverse @ -move(self.head[index], middle)
            left, up = self.motion.gaze[index]
            yaw = np.degrees(np.arctan2(towards[0], towards[2])) + left
            pitch = np.degrees(np.arctan2(towards[1], np.hypot(towards[0], towards[2]))) + up
            turns.append(Rotation.from_euler("YX", [yaw, -pitch], degrees=True).as_matrix())
        return turns[0], turns[1]

    def c2w(self) -> np.ndarray:
        """(N, 3, 4) float32 camera to canonical head frame."""
        axes, shift = self.frame[:, :3], self.frame[:, 3]
        turned = np.swapaxes(self.head[:, :, :3], 1, 2)
        origin = -(turned @ self.head[:, :, 3:])[..., 0]  # the camera in the rest's axes
        rotation = axes @ turned
        return np.concatenate([rotation, (origin @ axes.T + shift)[..., None]], -1).astype(
            np.float32
        )

    def points(self) -> np.ndarray:
        """(N, 478, 3) true FaceMesh points: pixels from the top left corner, and z on their scale.

        z is the distance behind the middle of the head's points, in pixels at its depth, as
        FaceMesh gives it (smaller is nearer).
        """
        found = np.empty((len(self), 478, 3), np.float32)
        still = np.eye(3, 4)
        for index in range(len(self)):
            camera = face_points(self.vertices(index))
            found[index, :, :2] = project(camera, still, self.focal, self.size, self.size)
            depth = -camera[:, 2]
            middle = depth[:MESH_POINTS].mean()
            found[index, :, 2] = (depth - middle) * self.focal / middle
        return found

    def depth_range(self) -> tuple[float, float]:
        """Nearest and farthest depth along the view axis of any of the person, decimetres."""
        used = np.unique(self.person.triangles)
        depths = [-self.vertices(index)[used, 2] for index in range(len(self))]
        return float(min(d.min() for d in depths)), float(max(d.max() for d in depths))

    def mean_face(self) -> np.ndarray:
        """(468, 3) the FaceMesh points of the mean expression, canonical head frame, decimetres."""
        return move(self.frame, mean_face(self.person, self.units))


def stage(person: Person, speech: Speech, seed: int, size: int) -> Scene:
    """Let a person say something in front of the camera.

    Args:
        person: who.
        speech: what; the clip lasts as many whole frames as it does.
        seed: of everything that moves besides the mouth.
        size: pixels.
    """
    count = int(len(speech.samples) / speech.rate * FPS)
    times = np.arange(count) / FPS
    stresses = [p.start for p in speech.phonemes if p.symbol.startswith(STRESSES[0])]
    moves = motion(times, stresses, seed)
    units = {**mouth_movement(speech.phonemes, times), **moves.units}

    eyes = np.concatenate([person.vertices[eye] for eye in person.eyes]).mean(0)
    focal = person.look.focal * size / FOCAL_SIZE
    distance = person.look.distance
    shift = (0, (0.5 - EYES_AT) * size / focal * distance, -distance) - eyes
    lean = moves.torso.as_matrix()
    pivot = person.joint("head") - (0, TORSO_PIVOT, 0)
    torso = rigid(lean, pivot, moves.sway + shift)
    head = compose(torso, rigid(moves.head.as_matrix(), person.joint("head"), np.zeros(3)))
    mean = mean_face(person, units)
    axes = frontal_axes(mean)
    frame = np.concatenate([axes, -axes @ mean.mean(0)[:, None]], axis=1)
    return Scene(person, moves, units, head, torso, frame, focal, size)


def mean_face(person: Person, units: dict[str, np.ndarray]) -> np.ndarray:
    """(468, 3) FaceMesh points of the mean expression at rest: faces are linear in the units."""
    mean = person.expression({unit: float(strength.mean()) for unit, strength in units.items()})
    return face_points(mean)[:MESH_POINTS]


def rigid(rotations: np.ndarray, pivot: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """(N, 3, 4) turn about a pivot (3,), then shift by (N, 3) or (3,)."""
    offsets = pivot - rotations @ pivot + shifts
    return np.concatenate([rotations, offsets[..., None]], axis=-1)


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """(N, 3, 4) first `inner`, then `outer`."""
    rotation = outer[..., :3] @ inner[..., :3]
    return np.concatenate([rotation, outer[..., :3] @ inner[..., 3:] + outer[..., 3:]], axis=-1)


def move(motion: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 3) moved by a rigid motion (3, 4)."""
    return points @ motion[:, :3].T + motion[:, 3]
