"""Head poses from the pictures themselves: photometric bundle adjustment of the rigid skin.

A detector of landmarks has seen mostly upright faces and shows too little of a nod. The skin shows
all of it. The texture of the face, one value for each point of the mesh, is that which the pictures
have on average when each is looked up where its pose puts the point; poses and shape are moved
until the pictures agree on it, as pictures are aligned by Lucas and Kanade (1981; Baker and
Matthews, Lucas-Kanade 20 Years On, 2004), all pictures at once, with the texture eliminated (as
Alismail, Browning and Lucey, Photometric Bundle Adjustment, 2016). The poses from landmarks are
start and weak prior; where the skin lies, see `preprocess.skull_surface`.
"""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from preprocess.camera import HUBER, NOISE_HEIGHT, project_with_jacobian
from preprocess.face_template import similarities
from preprocess.skull_surface import Surface
from preprocess.some_frames import evenly
from ssp_nerf.progress import progress

KEY_FRAMES = 60
"""Texture and shape are found on so many frames, evenly over the clip, the rest aligned to them."""
ROUNDS = (1.5, 1.5, 1.0, 1.0, 0.7, 0.7)
"""Standard deviation of the blur in each round, pixels at 450 rows. Coarser pictures of skin show
its shading, which stays with the lamp, more than its colour, which turns with the head."""
ALIGN_STEPS = 4
WINDOW = 1.6
"""Contrast is measured within so many times the blur: light that changes over more is taken out."""
FLOOR = 4.0
"""Grey levels of contrast, of 255, below which skin counts as plain: noise is not blown up."""

POSE_PRIOR = np.array([0.05, 0.05, 0.05, 0.05, 0.05, 0.1])
"""Standard deviation of a pose from landmarks: turn (radians), place, distance (decimetres)."""
PICTURE_WEIGHT = 10000.0
"""All points of a frame count as so many against the priors: some six for each point, for their
values err by less than the points of plain skin, which set the scale, differ."""

FACING = 0.25, 0.6
"""Cosine between skin and view from which on a point counts, and from which on fully."""
SEEN = 0.3  # least mean weight over the clip: a point seen rarely has no texture
NOTHING = 1e-6  # variance of plain pictures, so that nothing is divided by 0
UNSURE = 0.1  # share of the median variance added to each point's own
AGREES = 0.5
"""Least correlation of a picture with the texture; below it, the pose of the landmarks stays."""
FAR = np.radians(10)  # so does it beyond this turn from them


@dataclass(frozen=True)
class Poses:
    """Head to camera, OpenCV axes, decimetres.

    Attributes:
        focal: pixels.
        rotations, translations: (N, 3, 3), (N, 3).
    """

    focal: float
    rotations: np.ndarray
    translations: np.ndarray

    def at(self, frames: np.ndarray) -> "Poses":
        """Those of some of the frames."""
        return replace(
            self, rotations=self.rotations[frames], translations=self.translations[frames]
        )

    def moved(self, moves: np.ndarray) -> "Poses":
        """Turned and shifted by (N, 6), camera axes."""
        turns = Rotation.from_rotvec(moves[:, :3]).as_matrix()
        return replace(
            self,
            rotations=turns @ self.rotations,
            translations=self.translations + moves[:, 3:],
        )

    def moves_from(self, other: "Poses") -> np.ndarray:
        """(N, 6) by which they are moved from others."""
        turns = Rotation.from_matrix(self.rotations) * Rotation.from_matrix(other.rotations).inv()
        return np.column_stack([turns.as_rotvec(), self.translations - other.translations])


@dataclass(frozen=True)
class View:
    """What one picture has at the M points of a surface.

    Attributes:
        values: (M,) normalised brightness.
        by_pose: (M, 6) derivative by a small turn and shift of the head, camera axes.
        by_point: (M, 3) derivative by the point, head frame.
        weights: (M,) 1 where the point faces the camera, 0 where it is turned away.
    """

    values: np.ndarray
    by_pose: np.ndarray
    by_point: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Texture:
    """(M,) mean of the pictures, and (M,) precision: how surely a point shows it."""

    values: np.ndarray
    precision: np.ndarray


def refine_poses(poses: Poses, surface: Surface, frames: Any) -> tuple[Poses, np.ndarray]:
    """Align all frames' poses with the pictures.

    Args:
        poses: from landmarks.
        surface: the skin over the skull.
        frames: (N, H, W, 3) uint8 array, or HDF5 dataset, read one at a time.

    Returns:
        The poses, and (N,) bool where the picture was followed; elsewhere the pose is that of the
        landmarks. They are those of the surface as it was given, though the pictures are explained
        by one that has adjusted to them, moved rigidly onto it.
    """
    blur = frames.shape[1] / NOISE_HEIGHT
    keys = evenly(len(frames), KEY_FRAMES)
    found, points, texture = bundle(poses.at(keys), [grey(frames[k]) for k in keys], surface, blur)

    # What the key frames were corrected by, filled in between, is where the others start.
    everyone = np.arange(len(frames))
    moves = found.moves_from(poses.at(keys))
    start = np.column_stack([np.interp(everyone, keys, column) for column in moves.T])
    followed = np.zeros(len(frames), bool)
    moves = np.zeros((len(frames), 6))
    for i in progress(everyone, "fit_face_model", len(everyone)):
        picture = normalise(grey(frames[i]), ROUNDS[-1] * blur)
        pose, agreement = align(poses, i, picture, points, surface.normals, texture, start[i])
        followed[i] = agreement > AGREES and np.linalg.norm(pose[:3]) < FAR
        if followed[i]:
            moves[i] = pose
    return onto(poses.moved(moves), points, surface.points), followed


def onto(poses: Poses, points: np.ndarray, target: np.ndarray) -> Poses:
    """The poses of `points` (M, 3) as poses of the rigid body `target` (M, 3)."""
    (rotation,), (scale,), (shift,) = similarities(points, target[None])
    rotations = poses.rotations @ rotation.T
    return replace(
        poses,
        rotations=rotations,
        translations=scale * poses.translations - rotations @ shift,
    )


def align(
    poses: Poses,
    frame: int,
    picture: np.ndarray,
    points: np.ndarray,
    normals: np.ndarray,
    texture: Texture,
    start: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Turn and shift (6,) of a frame's pose that fit the picture best, and the correlation there.

    Args:
        picture: (H, W, 3) from `normalise`.
        points, normals: (M, 3) head frame.
        start: (6,) turn and shift to start from.
    """
    turn, shift = Rotation.from_rotvec(start[:3]), start[3:].copy()
    for step in range(ALIGN_STEPS + 1):
        rotation = turn.as_matrix() @ poses.rotations[frame]
        translation = poses.translations[frame] + shift
        seen = look(picture, points, normals, rotation, translation, poses.focal)
        missing = texture.values - seen.values
        weights = seen.weights * robust(missing, texture.precision)
        if step == ALIGN_STEPS:
            break
        weighted = seen.by_pose.T * (weights * PICTURE_WEIGHT / len(points))
        pose = np.concatenate([turn.as_rotvec(), shift])
        change = np.linalg.solve(
            weighted @ seen.by_pose + np.diag(POSE_PRIOR**-2.0),
            weighted @ missing - pose / POSE_PRIOR**2,
        )
        turn, shift = Rotation.from_rotvec(change[:3]) * turn, shift + change[3:]
    return np.concatenate([turn.as_rotvec(), shift]), correlation(
        seen.values, texture.values, seen.weights * (texture.precision > 0)
    )


def bundle(
    poses: Poses, pictures: list[np.ndarray], surface: Surface, blur: float
) -> tuple[Poses, np.ndarray, Texture]:
    """Gauss-Newton on all poses and the coefficients of the shape at once, the texture eliminated.

    Args:
        poses: of these frames.
        pictures: (H, W) grey each.
        blur: factor of `ROUNDS`.

    Returns:
        The poses, the points (M, 3), and what they look like.
    """
    first, count, size = poses, len(pictures), len(surface.points)
    coefficients, points = np.zeros(len(surface.basis)), surface.points
    split = 6 * count
    for sigma in ROUNDS:
        views = [
            look(
                normalise(picture, sigma * blur), points, surface.normals, turn, shift, poses.focal
            )
            for picture, turn, shift in zip(
                pictures, poses.rotations, poses.translations, strict=True
            )
        ]
        values = np.stack([view.values for view in views])
        weights = np.stack([view.weights for view in views])
        texture = mean_texture(values, weights)
        weights *= robust(texture.values - values, texture.precision) * PICTURE_WEIGHT / size
        total = np.maximum(weights.sum(0), np.finfo(float).tiny)
        missing = weights * ((weights * values).sum(0) / total - values)

        by_pose = np.stack([view.by_pose for view in views])
        by_point = np.stack([view.by_point for view in views])
        by_point -= np.einsum("nm,nml->ml", weights, by_point) / total[:, None]
        weighted = np.swapaxes(by_pose * weights[..., None], 1, 2)  # (N, 6, M)
        flat = weighted.reshape(split, size)
        # How a point's information is spread over the axes, summed over the pictures (M, 3, 3).
        spread = np.einsum("nm,nmi,nmj->mij", weights, by_point, by_point, optimize=True)
        mixed = np.einsum("nkm,nmi->nkmi", weighted, by_point, optimize=True).reshape(split, -1)
        basis = surface.basis.reshape(len(surface.basis), -1)

        normal = np.eye(split + len(basis))
        normal[:split, :split] = -(flat / total) @ flat.T
        for i, block in enumerate(weighted @ by_pose):
            at = slice(6 * i, 6 * i + 6)
            normal[at, at] += block + np.diag(POSE_PRIOR**-2.0)
        normal[:split, split:] = mixed @ basis.T
        normal[split:, :split] = normal[:split, split:].T
        turned = np.einsum("mij,kmj->kmi", spread, surface.basis).reshape(len(basis), -1)
        normal[split:, split:] += basis @ turned.T
        drift = poses.moves_from(first)
        pull = np.einsum("nm,nmk->nk", missing, by_pose) - drift / POSE_PRIOR**2
        push = basis @ np.einsum("nm,nml->ml", missing, by_point).ravel() - coefficients
        step = np.linalg.solve(normal, np.concatenate([pull.ravel(), push]))
        poses = poses.moved(step[:split].reshape(count, 6))
        coefficients = coefficients + step[split:]
        points = surface.points + np.tensordot(coefficients, surface.basis, axes=1)
    return poses, points, texture


def look(
    picture: np.ndarray,
    points: np.ndarray,
    normals: np.ndarray,
    rotation: np.ndarray,
    translation: np.ndarray,
    focal: float,
) -> View:
    """Look a normalised picture (H, W, 3) up where a pose (OpenCV axes) puts points (M, 3)."""
    height, width = picture.shape[:2]
    turned = points @ rotation.T
    camera = turned + translation
    pixels, by_camera = project_with_jacobian(camera, focal)
    # Coordinates count from the corner of the picture, arrays from the middle of a pixel.
    u, v = (pixels + (width / 2 - 0.5, height / 2 - 0.5)).T.astype(np.float32)
    found = cv2.remap(picture, u[None], v[None], cv2.INTER_LINEAR)[0].astype(np.float64)
    slope = np.einsum("ma,mai->mi", found[:, 1:], by_camera)
    facing = -((normals @ rotation.T) * camera).sum(1) / np.linalg.norm(camera, axis=1)
    weights = np.clip((facing - FACING[0]) / (FACING[1] - FACING[0]), 0, 1)
    weights *= (u > 1) & (u < width - 2) & (v > 1) & (v < height - 2)
    by_pose = np.concatenate([np.cross(turned, slope), slope], axis=1)
    return View(found[:, 0], by_pose, slope @ rotation, weights)


def normalise(picture: np.ndarray, blur: float) -> np.ndarray:
    """(H, W) grey -> (H, W, 3) local contrast, without light and shade, and its x and y slopes."""
    low = cv2.GaussianBlur(picture, (0, 0), blur)
    detail = low - cv2.GaussianBlur(low, (0, 0), WINDOW * blur)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), WINDOW * blur))
    even = detail / (contrast + FLOOR)
    slope = np.array([[-0.5, 0.0, 0.5]])
    return np.dstack([even, cv2.filter2D(even, -1, slope), cv2.filter2D(even, -1, slope.T)])


def grey(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) float32, 0 to 255."""
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)


def mean_texture(values: np.ndarray, weights: np.ndarray) -> Texture:
    """Mean of (N, M) values; points that differ from picture to picture, as lids and hair do, or
    are rarely seen, are unsure."""
    total = np.maximum(weights.sum(0), np.finfo(float).tiny)
    mean = (weights * values).sum(0) / total
    variance = (weights * (values - mean) ** 2).sum(0) / total
    precision = (weights.mean(0) > SEEN) / (variance + UNSURE * np.median(variance) + NOTHING)
    return Texture(mean, precision)


def robust(missing: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Precision times Huber's weight of residuals (..., M)."""
    surprise = np.abs(missing) * np.sqrt(precision)
    return precision * np.minimum(1, HUBER / np.maximum(surprise, np.finfo(float).tiny))


def correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> float:
    """Weighted correlation of (M,) with (M,), 0 where nothing is seen."""
    total = max(weights.sum(), np.finfo(float).tiny)
    a, b = a - weights @ a / total, b - weights @ b / total
    length = np.sqrt((weights @ a**2) * (weights @ b**2))
    return float((weights * a) @ b / length) if length > 0 else 0.0
