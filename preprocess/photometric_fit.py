"""Head poses from the pictures themselves: photometric bundle adjustment of the rigid skin.

A detector of landmarks has seen mostly upright faces and shows too little of a nod. The skin shows
all of it. The texture of the face, one value for each point of the mesh, is that which the pictures
have on average when each is looked up where its pose puts the point; poses and shape are moved
until the pictures agree on it, as pictures are aligned by Lucas and Kanade (1981; Baker and
Matthews, Lucas-Kanade 20 Years On, 2004), all pictures at once, with the texture eliminated (as
Alismail, Browning and Lucey, Photometric Bundle Adjustment, 2016). The poses from landmarks are
start and weak prior.
"""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from preprocess import face_topology as mesh
from preprocess.face_fit import (
    HUBER,
    NOISE_HEIGHT,
    Fit,
    at_frames,
    evenly,
    project_with_jacobian,
    to_template,
)
from preprocess.face_template import OUTER_EYE_CORNERS, subdivide

KEY_FRAMES = 60
"""Texture and shape are found on so many frames, evenly over the clip, the rest aligned to them."""
ROUNDS = (1.5, 1.5, 1.0, 1.0, 1.0, 1.0)
"""Standard deviation of the blur in each round, pixels at 450 rows. Coarser pictures of skin show
its shading, which stays with the lamp, more than its colour, which turns with the head."""
ALIGN_STEPS = 4
WINDOW = 1.6
"""Contrast is measured within so many times the blur: light that changes over more is taken out."""
FLOOR = 4.0
"""Grey levels of contrast, of 255, below which skin counts as plain: noise is not blown up."""

POSE_PRIOR = np.array([0.05, 0.05, 0.05, 0.05, 0.05, 0.1])
"""Standard deviation of a pose from landmarks: turn (radians), place, distance (decimetres)."""
SHAPE_PRIOR, SHAPE_LENGTH = 0.03, 0.2
"""How far, decimetres, the shape from landmarks is wrong, and over what length together."""
PICTURE_WEIGHT = 3000.0
"""All points of a frame count as so many independent ones against the priors: about one a point.
More would leave the depth of the face, and so the size of the turns, to little motion."""

LOWEST = 0.5
"""Of the way from the base of the nose up to the outer corners of the eyes: skin below it moves
with the mouth."""
FACING = 0.25, 0.6
"""Cosine between skin and view from which on a point counts, and from which on fully."""
SEEN = 0.3  # least mean weight over the clip: a point seen rarely has no texture
NOTHING = 1e-6  # variance of plain pictures, so that nothing is divided by 0
UNSURE = 0.1  # share of the median variance added to each point's own
AGREES = 0.5
"""Least correlation of a picture with the texture; below it, the pose of the landmarks stays."""
FAR = np.radians(10)  # so does it beyond this turn from them


@dataclass(frozen=True)
class Surface:
    """Points on the part of the face that moves with the skull.

    Attributes:
        corners: (M, 468) barycentric weights: points = corners @ shape.
        normals: (M, 3) outward, head frame.
    """

    corners: np.ndarray
    normals: np.ndarray


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


def refine_poses(fit: Fit, frames: Any) -> tuple[Fit, np.ndarray]:
    """Align all frames' poses with the pictures; shape and expressions are left as they are.

    Args:
        fit: from landmarks.
        frames: (N, H, W, 3) uint8 array, or HDF5 dataset.

    Returns:
        The fit, and (N,) bool where the picture was followed; elsewhere the pose is that of the
        landmarks.
    """
    blur = frames.shape[1] / NOISE_HEIGHT
    surface = rigid_surface(fit.shape)
    keys = evenly(len(frames), KEY_FRAMES)
    found, texture = bundle(at_frames(fit, keys), [grey(frames[k]) for k in keys], surface, blur)
    shaped = replace(fit, shape=found.shape)
    points = surface.corners @ found.shape

    # What the key frames were corrected by, filled in between, is where the others start.
    turns = (
        Rotation.from_matrix(found.rotations) * Rotation.from_matrix(fit.rotations[keys]).inv()
    ).as_rotvec()
    moves = np.column_stack([turns, found.translations - fit.translations[keys]])
    everyone = np.arange(len(frames))
    start = np.column_stack([np.interp(everyone, keys, column) for column in moves.T])

    rotations, translations = fit.rotations.copy(), fit.translations.copy()
    followed = np.zeros(len(frames), bool)
    for i in everyone:
        picture = normalise(grey(frames[i]), ROUNDS[-1] * blur)
        pose, agreement = align(shaped, i, picture, points, surface.normals, texture, start[i])
        followed[i] = agreement > AGREES and np.linalg.norm(pose[:3]) < FAR
        if followed[i]:
            rotations[i] = Rotation.from_rotvec(pose[:3]).as_matrix() @ rotations[i]
            translations[i] += pose[3:]
    # The shape that suits the pictures served to find the poses: they show but a band of it.
    moved = to_template(replace(shaped, rotations=rotations, translations=translations), fit.shape)
    return replace(moved, shape=fit.shape, basis=fit.basis), followed


def align(
    fit: Fit,
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
        rotation = turn.as_matrix() @ fit.rotations[frame]
        seen = look(picture, points, normals, rotation, fit.translations[frame] + shift, fit.focal)
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
    fit: Fit, pictures: list[np.ndarray], surface: Surface, blur: float
) -> tuple[Fit, Texture]:
    """Gauss-Newton on all poses and the shape at once, the texture eliminated.

    Args:
        fit: of these frames.
        pictures: (H, W) grey each.
        blur: factor of `ROUNDS`.
    """
    first, count, size = fit, len(pictures), len(surface.corners)
    moved = np.flatnonzero(surface.corners.any(0))
    corners = surface.corners[:, moved]
    spread = covariance(fit.shape, fit.shape[moved])
    stiffness = np.linalg.inv(spread[moved] + 1e-2 * SHAPE_PRIOR**2 * np.eye(len(moved)))
    poses, offset = 6 * count, np.zeros((len(moved), 3))
    for sigma in ROUNDS:
        points = surface.corners @ fit.shape
        views = [
            look(normalise(picture, sigma * blur), points, surface.normals, turn, shift, fit.focal)
            for picture, turn, shift in zip(pictures, fit.rotations, fit.translations, strict=True)
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
        flat = weighted.reshape(poses, size)

        normal = np.zeros((poses + offset.size,) * 2)
        normal[:poses, :poses] = -(flat / total) @ flat.T
        for i, block in enumerate(weighted @ by_pose):
            at = slice(6 * i, 6 * i + 6)
            normal[at, at] += block + np.diag(POSE_PRIOR**-2.0)
        for a in range(3):
            rows = slice(poses + a * len(moved), poses + (a + 1) * len(moved))
            mixed = (weighted * by_point[:, None, :, a]).reshape(poses, size) @ corners
            normal[:poses, rows], normal[rows, :poses] = mixed, mixed.T
            for b in range(3):
                both = (weights * by_point[..., a] * by_point[..., b]).sum(0)
                columns = slice(poses + b * len(moved), poses + (b + 1) * len(moved))
                normal[rows, columns] = corners.T @ (both[:, None] * corners)
            normal[rows, rows] += stiffness
        gone = Rotation.from_matrix(fit.rotations) * Rotation.from_matrix(first.rotations).inv()
        drift = np.column_stack([gone.as_rotvec(), fit.translations - first.translations])
        pull = np.einsum("nm,nmk->nk", missing, by_pose) - drift / POSE_PRIOR**2
        push = corners.T @ np.einsum("nm,nml->ml", missing, by_point) - stiffness @ offset
        step = np.linalg.solve(normal, np.concatenate([pull.ravel(), push.T.ravel()]))
        change = step[:poses].reshape(count, 6)
        offset = offset + step[poses:].reshape(3, -1).T
        fit = replace(
            fit,
            shape=first.shape + spread @ (stiffness @ offset),
            rotations=Rotation.from_rotvec(change[:, :3]).as_matrix() @ fit.rotations,
            translations=fit.translations + change[:, 3:],
        )
    return fit, texture


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


def covariance(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(P, Q) how far offsets of the shape at (P, 3) and (Q, 3) go together, squared decimetres."""
    distance = np.linalg.norm(points[:, None] - others, axis=-1)
    return SHAPE_PRIOR**2 * np.exp(-0.5 * (distance / SHAPE_LENGTH) ** 2)


def rigid_surface(shape: np.ndarray) -> Surface:
    """Forehead, temples, cheekbones and bridge of the nose, without lids and brows.

    Args:
        shape: (468, 3) head frame.
    """
    soft = {*mesh.RIGHT_EYE, *mesh.LEFT_EYE, *mesh.RIGHT_EYEBROW, *mesh.LEFT_EYEBROW}
    around = {v for face in mesh.triangles().tolist() if soft & set(face) for v in face}
    base, eyes = shape[mesh.NOSE_BASE, 1], shape[list(OUTER_EYE_CORNERS), 1].mean()
    faces = np.array(
        [
            face
            for face in mesh.triangles().tolist()
            if not set(face) <= around and shape[face, 1].min() > base
        ]
    )
    corners = np.eye(len(shape))
    for _ in range(2):  # to about a point for every four pixels
        corners, faces = subdivide(corners, faces)
    a, b, c = np.moveaxis((corners @ shape)[faces], 1, 0)
    normals = np.zeros((len(corners), 3))
    np.add.at(normals, faces, np.cross(b - a, c - a)[:, None])
    rigid = (corners @ shape)[:, 1] > base + LOWEST * (eyes - base)
    rigid &= np.isin(np.arange(len(corners)), faces)
    lengths = np.linalg.norm(normals[rigid], axis=1, keepdims=True)
    return Surface(corners[rigid], normals[rigid] / lengths)
