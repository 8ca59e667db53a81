"""One identity, one focal length, a pose and an expression for each frame: least squares on points.

Axes and projection are those of `preprocess.camera`. The unknowns are solved in turn, each block in
closed form or by a Gauss-Newton step, for all frames at once, and points that miss by much weigh
less (iteratively reweighted least squares). Priors are Gaussians: unit ones on the coefficients of
the face model, and one of the model's `deviation` on the offset of each point beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from preprocess.camera import (
    HUBER,
    NOISE_HEIGHT,
    cross_matrices,
    huber_weights,
    project_with_jacobian,
)
from preprocess.face_models import FaceModel
from preprocess.face_template import RIGID, precision, similarities
from preprocess.face_topology import MESH_POINTS
from preprocess.smoothing import smooth_poses
from preprocess.some_frames import seen_evenly

PIXEL_NOISE = 1.0
"""Standard deviation of a landmark, pixels at 450 rows; landmarks that miss by much more than this
weigh less (Huber)."""
CORRELATION_FRAMES = 25.0
INDEPENDENT_POINTS = 10.0
"""Errors of landmarks last, and neighbours err together: so many frames (a second) say as much as
one, and all points of a frame as much as so many. Were each point counted for itself, the
expressions would take up a good part of the nods."""

POSE_ROUNDS = 4
FIT_ROUNDS = 12
REFIT_ROUNDS = 4
BLOCK = 256
"""Frames at once."""
EXPRESSION_BLOCK = 16
"""Frames whose arrays fit into a processor's cache while their expressions are solved for."""
FIT_FRAMES = 160
"""Identity and mean expression are found on so many frames, evenly over the clip."""


@dataclass(frozen=True)
class Points:
    """A face model at the P points that are seen.

    Attributes:
        mean: (P, 3) head frame, decimetres.
        identity: (I, P, 3), expression: (K, P, 3) per standard deviation, decimetres.
        deviation: decimetres.
        precision: (P, 2) how much x and y of each point weigh.
        skull: (P,) bool, those that no expression moves.
    """

    mean: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    deviation: float
    precision: np.ndarray
    skull: np.ndarray

    def only(self, chosen: np.ndarray) -> "Points":
        """The same model at some of the points, (P,) bool or numbers."""
        return Points(
            self.mean[chosen],
            self.identity[:, chosen],
            self.expression[:, chosen],
            self.deviation,
            self.precision[chosen],
            self.skull[chosen],
        )


def points_of(model: FaceModel) -> Points:
    """A face model at the 468 points of FaceMesh."""
    mean = model.points(model.vertices)
    skull = np.isin(np.arange(MESH_POINTS), RIGID)
    return Points(
        mean,
        model.points(model.identity),
        model.points(model.expression),
        model.deviation,
        precision(mean),
        skull,
    )


@dataclass(frozen=True)
class Fit:
    """All unknowns.

    Attributes:
        focal: pixels.
        points: the model.
        identity: (I,) and mean_expression: (K,) coefficients, standard deviations.
        offsets: (P, 3) of this person's points beside the model's, decimetres.
        rotations, translations: (N, 3, 3), (N, 3) head to camera, OpenCV axes.
        expression: (N, K) coefficients, differences from the mean expression.
    """

    focal: float
    points: Points
    identity: np.ndarray
    mean_expression: np.ndarray
    offsets: np.ndarray
    rotations: np.ndarray
    translations: np.ndarray
    expression: np.ndarray

    @property
    def shape(self) -> np.ndarray:
        """(P, 3) the points of the mean expression, head frame, decimetres."""
        return self.on_model + self.offsets

    @property
    def on_model(self) -> np.ndarray:
        """(P, 3) the same without the offsets beside the model."""
        points = self.points
        identity = np.tensordot(self.identity, points.identity, axes=1)
        expression = np.tensordot(self.mean_expression, points.expression, axes=1)
        return points.mean + identity + expression

    def faces(self) -> np.ndarray:
        """(N, P, 3) each frame's points in the head frame."""
        return self.shape + np.tensordot(self.expression, self.points.expression, axes=1)

    def project(self) -> np.ndarray:
        """(N, P, 2) pixels from the image centre, x right and y down."""
        camera = self.faces() @ np.swapaxes(self.rotations, 1, 2) + self.translations[:, None]
        return self.focal * camera[..., :2] / camera[..., 2:]

    def at(self, frames: np.ndarray | slice) -> "Fit":
        """The fit of some of the frames."""
        return replace(
            self,
            rotations=self.rotations[frames],
            translations=self.translations[frames],
            expression=self.expression[frames],
        )


class Pixels(Protocol):
    """Points (N, P, 2) of a clip's frames, an array or read from a file a few frames at a time."""

    def __len__(self) -> int: ...

    def __getitem__(self, frames: slice | np.ndarray, /) -> np.ndarray: ...


def fit_clip(
    pixels: Pixels,
    points: Points,
    height: int,
    focal: float,
    smoothness: float,
    trust: np.ndarray,
) -> Fit:
    """Fit a clip.

    Args:
        pixels: (N, P, 2) points from the image centre, x right and y down.
        points: the face model at these points.
        height: of the picture, pixels.
        focal: pixels.
        smoothness: weight of the penalty on the poses' second differences, see
            `preprocess.smoothing.whittaker`.
        trust: (N,) weight of each frame in the smoothing, 0 where the points were filled in.
    """
    noise = PIXEL_NOISE * height / NOISE_HEIGHT
    some = seen_evenly(trust, FIT_FRAMES)
    learned = first_fit(points, pixels[some], focal)
    for _ in range(FIT_ROUNDS):
        learned = step_pose(learned, pixels[some], noise)
        learned = step_expression(learned, pixels[some], noise, INDEPENDENT_POINTS)
        learned = step_identity(centre_expression(learned), pixels[some], noise)
    learned = to_shape(learned, learned.on_model)

    parts = []
    for block in blocks(len(pixels)):
        part = take_face(first_fit(points, pixels[block], focal), learned)
        for _ in range(POSE_ROUNDS):
            part = step_pose(part, pixels[block], noise)
            part = step_expression(part, pixels[block], noise, INDEPENDENT_POINTS)
        parts.append(part)
    return smoothed(joined(parts), smoothness, trust)


def refit_face(fit: Fit, pixels: Pixels, height: int, trust: np.ndarray) -> Fit:
    """Identity and expressions anew, for poses that are better known.

    Args:
        fit: the poses are kept, but for the head frame, which stays with the model.
        pixels: (N, P, 2) points from the image centre, x right and y down.
        height: of the picture, pixels.
        trust: (N,) 0 where the points were filled in.
    """
    noise = PIXEL_NOISE * height / NOISE_HEIGHT
    some = seen_evenly(trust, FIT_FRAMES)
    learned = fit.at(some)
    for _ in range(REFIT_ROUNDS):
        learned = step_expression(learned, pixels[some], noise, INDEPENDENT_POINTS)
        learned = step_identity(centre_expression(learned), pixels[some], noise)
    fit = to_shape(take_face(fit, learned), learned.on_model)
    return all_expressions(fit, pixels, height)


def all_expressions(fit: Fit, pixels: Pixels, height: int) -> Fit:
    """The poses are settled: what they leave is expression, as far as the model goes.

    Args:
        fit: poses and identity are kept.
        pixels: (N, P, 2) points from the image centre, x right and y down.
        height: of the picture, pixels.
    """
    noise = PIXEL_NOISE * height / NOISE_HEIGHT
    return joined(
        [
            step_expression(fit.at(block), pixels[block], noise, len(fit.points.mean))
            for block in blocks(len(pixels))
        ]
    )


def blocks(count: int) -> list[slice]:
    """All frames, so many at once that memory does not grow with the clip."""
    return [slice(start, start + BLOCK) for start in range(0, count, BLOCK)]


def joined(parts: Sequence[Fit]) -> Fit:
    """Fits of the same face in frames that follow each other, as one."""
    return replace(
        parts[0],
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("rotations", "translations", "expression")
        },
    )


def smoothed(fit: Fit, smoothness: float, trust: np.ndarray) -> Fit:
    """The fit with its poses smoothed over time."""
    rotations, translations = smooth_poses(fit.rotations, fit.translations, smoothness, trust)
    return replace(fit, rotations=rotations, translations=translations)


def first_fit(points: Points, pixels: np.ndarray, focal: float) -> Fit:
    """The mean face with the pose that suits each frame (Terzakis and Lourakis, SQPnP, 2020)."""
    count = len(pixels)
    camera = np.array([[focal, 0, 0], [0, focal, 0], [0, 0, 1.0]])
    straight = np.zeros(4)  # a lens that does not distort
    rotations, translations = np.empty((count, 3, 3)), np.empty((count, 3))
    for i, seen in enumerate(pixels):
        _, turn, shift = cv2.solvePnP(
            points.mean, np.ascontiguousarray(seen), camera, straight, flags=cv2.SOLVEPNP_SQPNP
        )
        rotations[i], translations[i] = Rotation.from_rotvec(turn[:, 0]).as_matrix(), shift[:, 0]
    return Fit(
        focal=focal,
        points=points,
        identity=np.zeros(len(points.identity)),
        mean_expression=np.zeros(len(points.expression)),
        offsets=np.zeros_like(points.mean),
        rotations=rotations,
        translations=translations,
        expression=np.zeros((count, len(points.expression))),
    )


def take_face(fit: Fit, other: Fit) -> Fit:
    """The poses of one fit with the identity, mean expression and offsets of another."""
    return replace(
        fit,
        identity=other.identity,
        mean_expression=other.mean_expression,
        offsets=other.offsets,
    )


def centre_expression(fit: Fit) -> Fit:
    """The same faces with the mean of the expressions moved into the mean expression."""
    mean = fit.expression.mean(0)
    return replace(
        fit,
        mean_expression=fit.mean_expression + mean,
        expression=fit.expression - mean,
    )


def step_pose(fit: Fit, pixels: np.ndarray, noise: float) -> Fit:
    """One Gauss-Newton step on all poses."""
    turned = fit.faces() @ np.swapaxes(fit.rotations, 1, 2)
    projected, by_point = project_with_jacobian(turned + fit.translations[:, None], fit.focal)
    residuals = pixels - projected
    weights = huber_weights(residuals, noise)[..., None] * fit.points.precision
    # A small turn w moves a point by w x turned, a small shift d by d.
    jacobian = np.concatenate([by_point @ -cross_matrices(turned), by_point], axis=-1)
    flat = jacobian.reshape(len(jacobian), -1, 6)
    weighted = np.swapaxes(flat * weights.reshape(len(flat), -1, 1), 1, 2)
    step = np.linalg.solve(weighted @ flat, weighted @ residuals.reshape(len(flat), -1, 1))
    turn = Rotation.from_rotvec(step[:, :3, 0]).as_matrix()
    return replace(
        fit, rotations=turn @ fit.rotations, translations=fit.translations + step[:, 3:, 0]
    )


def step_identity(fit: Fit, pixels: np.ndarray, noise: float) -> Fit:
    """Identity and offsets that fit all frames best, both at once.

    Each point's offset is eliminated: with information A (3, 3) and pull b of its pixels, and
    prior precision 1 / deviation^2, M = (A + 1 / deviation^2)^-1 is what the identity sees of it:
    information A - A M A, pull b - A M b.
    """
    residuals, jacobian, weights = linearise(fit, pixels, noise)
    weights /= CORRELATION_FRAMES * noise**2
    weighted = jacobian * weights[..., None]
    information = np.einsum("npai,npaj->pij", weighted, jacobian)
    pull = np.einsum("npai,npa->pi", weighted, residuals)
    pull += np.einsum("pij,pj->pi", information, fit.offsets)
    left = np.linalg.inv(information + np.eye(3) / fit.points.deviation**2)
    through = information @ left
    seen = information - through @ information
    seen_pull = pull - np.einsum("pij,pj->pi", through, pull)

    basis = fit.points.identity
    size = len(basis)
    normal = np.einsum("kpi,pij,lpj->kl", basis, seen, basis, optimize=True) + np.eye(size)
    right = np.einsum("kpi,pi->k", basis, seen_pull) - fit.identity
    change = np.linalg.solve(normal, right)
    moved = np.tensordot(change, basis, axes=1)
    rest = pull - np.einsum("pij,pj->pi", information, moved)
    return replace(
        fit,
        identity=fit.identity + change,
        offsets=np.einsum("pij,pj->pi", left, rest),
    )


def step_expression(fit: Fit, pixels: np.ndarray, noise: float, independent: float) -> Fit:
    """The expression of each frame that fits best, against which all points of a frame count as
    `independent` ones; the prior is a unit Gaussian about no expression."""
    points, size = len(fit.points.mean), len(fit.points.expression)
    information = independent / points / noise**2
    # Single precision is enough for a step.
    basis = fit.points.expression.transpose(2, 1, 0).reshape(3, -1).astype(np.float32)
    expression = np.empty((len(pixels), size))
    for start in range(0, len(pixels), EXPRESSION_BLOCK):
        block = slice(start, start + EXPRESSION_BLOCK)
        part = fit.at(block)
        camera = part.faces() @ np.swapaxes(part.rotations, 1, 2) + part.translations[:, None]
        inverse = (1 / camera[..., 2:]).astype(np.float32)
        ratio = camera[..., :2].astype(np.float32) * inverse
        residuals = pixels[block] - fit.focal * ratio
        weights = huber_weights(residuals, noise)[..., None] * fit.points.precision
        turned = (part.rotations.astype(np.float32) @ basis).reshape(-1, 3, points, size)
        by_expression = np.stack(
            [turned[:, axis] - ratio[..., axis, None] * turned[:, 2] for axis in range(2)], axis=1
        )
        scale = fit.focal * inverse * np.sqrt(weights * information)  # (n, P, 2)
        by_expression *= np.moveaxis(scale, -1, 1)[..., None].astype(np.float32)
        flat = by_expression.reshape(len(residuals), -1, size)
        missing = residuals * np.sqrt(weights * information)
        missing = np.moveaxis(missing, -1, 1).reshape(len(flat), -1, 1).astype(np.float32)
        across = np.swapaxes(flat, 1, 2)
        prior = (part.expression + fit.mean_expression)[..., None]
        step = np.linalg.solve(across @ flat + np.eye(size), across @ missing - prior)
        expression[block] = part.expression + step[..., 0]
    return replace(fit, expression=expression)


def linearise(
    fit: Fit, pixels: np.ndarray, noise: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residuals (N, P, 2), Jacobian (N, P, 2, 3) by the head-frame point, weights (N, P, 2)."""
    camera = fit.faces() @ np.swapaxes(fit.rotations, 1, 2) + fit.translations[:, None]
    projected, by_point = project_with_jacobian(camera, fit.focal)
    residuals = pixels - projected
    weights = huber_weights(residuals, noise)[..., None] * fit.points.precision
    return residuals, by_point @ fit.rotations[:, None], weights


def to_shape(fit: Fit, shape: np.ndarray) -> Fit:
    """Nearly the same pictures, with the points of the mean expression brought onto `shape` (P, 3)
    as a rigid body.

    Size, place and direction of the head cannot be seen apart from those of the camera, and the
    offsets let them drift a little.
    """
    (rotation,), (scale,), (shift,) = similarities(fit.shape, shape[None])
    undo_shift = rotation.T @ shift / scale
    moved = scale * fit.shape @ rotation.T + shift
    return replace(
        fit,
        offsets=moved - fit.on_model,
        rotations=fit.rotations @ rotation.T,
        translations=scale * (fit.translations - fit.rotations @ undo_shift),
    )


def skull_errors(fit: Fit, pixels: Pixels) -> np.ndarray:
    """(N,) mean distance of the points of the skull from where they are seen, pixels."""
    errors = [
        np.linalg.norm(fit.at(block).project() - pixels[block], axis=-1)[:, fit.points.skull]
        for block in blocks(len(pixels))
    ]
    return np.concatenate(errors).mean(-1)


def huber_cost(fit: Fit, pixels: np.ndarray, noise: float) -> float:
    """Mean Huber cost of all points, in units of squared noise."""
    distance = np.linalg.norm(fit.project() - pixels, axis=-1) / noise
    return float(np.where(distance < HUBER, distance**2, 2 * HUBER * distance - HUBER**2).mean())
