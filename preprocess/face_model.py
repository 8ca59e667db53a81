"""Stage fit_face_model: head pose, one focal length, mean-expression mesh (paper, section 3.1).

The head pose is what training takes for the camera pose. Distance and focal length trade off in a
single view: the size comes from the irises (4 %; where the landmarks have none it is the face
model's own), the focal length mostly from a prior (see
`preprocess.focal`), and the distance follows from both.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from preprocess import face_topology as mesh
from preprocess.face_fit import (
    Fit,
    Pixels,
    all_expressions,
    blocks,
    fit_clip,
    points_of,
    refit_face,
    skull_errors,
    smoothed,
)
from preprocess.face_models import FaceModel, facemesh
from preprocess.face_models.build import MODELS as BUILT
from preprocess.face_models.build import build, read_face_model
from preprocess.face_template import IRIS_DIAMETER, LEFT_IRIS_SIDES, RIGHT_IRIS_SIDES
from preprocess.focal import search_focal
from preprocess.head_frame import frontal_axes
from preprocess.photometric_fit import Poses, refine_poses
from preprocess.seen_points import CentredPoints, observed_points
from preprocess.skull_surface import skull_surface
from preprocess.some_frames import seen_evenly
from ssp_nerf import cli
from ssp_nerf.cameras import c2w_from_head_pose_opencv, to_camera
from ssp_nerf.errors import InputError
from ssp_nerf.frame_store import PackedFrames
from ssp_nerf.schema import FRAMES, LANDMARKS, TRACK

MODELS = (*BUILT, "facemesh")
OFFSET_LENGTH = 0.2
"""Decimetres over which a person's offsets beside the face model go together."""
OFFSET_NOISE = 1e-6  # of their variance, for points that a model has in one place

SIZE_FRAMES = 160
"""The size is measured in so many frames, evenly over the clip."""

IN_FRONT = 1.0
"""Decimetres that the person may reach in front of the nearest point of the face: a chest is
2.4 dm deep (Gordon et al., ANSUR, 1988) and its front, under a head that leans back, comes about as
far forward as the face."""
BEHIND = 2.5
"""Decimetres behind the farthest of FaceMesh's points, which lies before the ears: the rest of a
head 2.0 dm long (ANSUR, 1988), hair, and shoulders half a chest behind the throat."""
NEAREST_SHARE = 0.1
"""Near is at least this share of the mean distance, however short the lens."""


def fit_face_model(
    landmarks: Path,
    frames: Path,
    track: Path,
    model: str,
    weights: Path,
    built: Path | None,
    focal: float | None,
    smoothness: float,
    photometric: bool,
) -> None:
    """Fit the face model to a clip's landmarks and pictures, and write track.h5.

    Args:
        landmarks: landmarks.h5 with FaceMesh's points or the 68 of iBUG.
        frames: frames.h5, in which they were found.
        track: track.h5, to be written.
        model: one of `MODELS`.
        weights: folder of face models that do not ship in a package.
        built: the model as `preprocess.face_models.build` stored it, or None to build it now.
        focal: pixels at the stored size, or None to search for it.
        smoothness: weight of the penalty on the poses' second differences; 1 damps head motion
            with a period below 6 frames to less than half, 0 leaves the poses as they are.
        photometric: align the poses with the pictures, see `preprocess.photometric_fit`.

    Raises:
        InputError: no landmarks, a face model that is missing, or a setting that makes no sense.
    """
    if focal is not None and focal <= 0:
        raise InputError(
            f"face_model.focal is {focal}, expected pixels above 0, or `auto` to search for it."
        )
    if smoothness < 0:
        raise InputError(f"face_model.smoothness is {smoothness}, expected 0 or more.")
    with LANDMARKS.open(landmarks) as file:
        points, attributes = file["points"], file.attrs
        interpolated = file["interpolated"][()]
        width, height = int(attributes["width"]), int(attributes["height"])
        if interpolated.all():
            raise InputError(f"{landmarks}: no face was detected in any frame, nothing to fit.")
        observed, columns = observed_points(points.shape[1], landmarks, attributes)
        face_model = load_model(model, weights, built, points, landmarks, attributes)

        pixels = CentredPoints(points, columns, (width, height))
        seen = points_of(face_model).only(observed)
        trust = 1.0 - interpolated
        curve: dict[float, float] = {}
        found = focal
        if found is None:
            found, curve = search_focal(seen, pixels, height, trust)
        fit = fit_clip(pixels, seen, height, found, smoothness, trust)
        if photometric:
            fit = follow_pictures(fit, face_model, observed, frames, pixels, smoothness, trust)
        else:
            fit = all_expressions(fit, pixels, height)
        errors = skull_errors(fit, pixels)
        size = size_by_irises(fit, points, trust)
    report(fit, curve, errors)
    settings = {
        "model": model,
        "focal": focal or "auto",
        "smoothness": smoothness,
        "photometric": photometric,
    }
    write_track(track, fit, face_model, observed, size, errors, (width, height), settings)


def load_model(
    name: str,
    weights: Path,
    built: Path | None,
    points: Any,
    landmarks: Path,
    attributes: Mapping[str, object],
) -> FaceModel:
    """The face model of that name; `facemesh` is learned from the clip's points (N, P, 3).

    Raises:
        InputError: it cannot be had.
    """
    if name != "facemesh":
        return read_face_model(built, name) if built else build(name, weights)
    if points.shape[1] != mesh.POINTS:
        raise InputError(
            f"{landmarks}: {points.shape[1]} points a frame from {attributes['detector']}, but "
            f"the face model facemesh is learned from the {mesh.POINTS} points of FaceMesh "
            "with irises. Set landmarks.detector to mediapipe, or face_model.model to "
            "makehuman."
        )
    return facemesh.learn(points)


def follow_pictures(
    fit: Fit,
    model: FaceModel,
    observed: np.ndarray,
    frames: Path,
    pixels: Pixels,
    smoothness: float,
    trust: np.ndarray,
) -> Fit:
    """Poses aligned with the pictures, smoothed again; what they leave of the landmarks, identity
    and expression take up."""
    with FRAMES.open(frames) as stored:
        pictures = PackedFrames(stored["frames"])
        if len(pictures) != len(pixels):
            raise InputError(
                f"{frames} has {len(pictures)} frames, the landmarks have {len(pixels)}. "
                "Detect the landmarks in these frames."
            )
        height = pictures.shape[1]
        face = model.points(person(fit, model, observed))
        face[observed] = fit.shape
        surface = skull_surface(face)
        poses, followed = refine_poses(
            Poses(fit.focal, fit.rotations, fit.translations), surface, pictures
        )
    print(f"pictures followed in {followed.sum()} of {len(followed)} frames", file=sys.stderr)
    fit = replace(fit, rotations=poses.rotations, translations=poses.translations)
    return refit_face(smoothed(fit, smoothness, trust), pixels, height, trust)


def person(fit: Fit, model: FaceModel, observed: np.ndarray) -> np.ndarray:
    """(V, 3) the model's vertices with this person's identity, mean expression and offsets.

    The offsets of the observed points are spread over the rest by kriging: they go together over
    `OFFSET_LENGTH`, and die away beyond it. The covariance is exponential; a smoother one
    overshoots between points as close as FaceMesh's.
    """
    vertices = (
        model.vertices
        + np.tensordot(fit.identity, model.identity, axes=1)
        + np.tensordot(fit.mean_expression, model.expression, axes=1)
    )
    points = model.points(vertices)[observed]

    def together(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-cdist(a, b) / OFFSET_LENGTH)

    among = together(points, points) + OFFSET_NOISE * np.eye(len(points))
    weights = np.linalg.solve(among, fit.offsets)
    return vertices + together(vertices, points) @ weights


def size_by_irises(fit: Fit, points: Any, trust: np.ndarray) -> float:
    """By what the fit's lengths are to be multiplied, so that irises have the width they have in
    nearly all adults; 1 for landmarks without irises, when the model's own size is kept.

    Args:
        fit: of FaceMesh's points.
        points: (N, P, 3) landmarks, an HDF5 dataset.
        trust: (N,) 0 where the points were filled in.
    """
    if points.shape[1] != mesh.POINTS:
        return 1.0
    some = seen_evenly(trust, SIZE_FRAMES)
    seen, part = points[some].astype(np.float64), fit.at(some)
    depth = (part.faces() @ np.swapaxes(part.rotations, 1, 2))[..., 2] + part.translations[:, 2:]
    widths = [
        np.linalg.norm(seen[:, a] - seen[:, b], axis=1) * depth[:, list(eye)].mean(1) / fit.focal
        for (a, b), eye in ((RIGHT_IRIS_SIDES, mesh.RIGHT_EYE), (LEFT_IRIS_SIDES, mesh.LEFT_EYE))
    ]
    return float(IRIS_DIAMETER / np.median(widths))


def write_track(
    path: Path,
    fit: Fit,
    model: FaceModel,
    observed: np.ndarray,
    size: float,
    errors: np.ndarray,
    picture: tuple[int, int],
    settings: Mapping[str, object],
) -> None:
    """Write track.h5, all in the head frame of this person's mean expression, `size` times as
    large as the fit has it."""
    vertices = size * person(fit, model, observed)
    points = model.points(vertices)
    axes, origin = frontal_axes(points), points.mean(0)
    rotations = fit.rotations @ axes.T
    translations = size * fit.translations + fit.rotations @ origin
    c2w = c2w_from_head_pose_opencv(rotations, translations)
    points = (points - origin) @ axes.T
    near, far = depth_range(points, c2w)
    with TRACK.create(
        path,
        {
            "N": len(c2w),
            "V": len(vertices),
            "F": len(model.faces),
            "I": len(fit.identity),
            "E": fit.expression.shape[1],
        },
        {
            "model": model.name,
            "focal": fit.focal,
            "width": picture[0],
            "height": picture[1],
            "near": near,
            "far": far,
        },
        settings,
    ) as out:
        out["c2w"][...] = c2w
        out["vertices"][...] = (vertices - origin) @ axes.T
        out["faces"][...] = model.faces
        out["face_points"][...] = points
        out["identity"][...] = fit.identity
        out["expression"][...] = fit.expression
        out["basis"][...] = size * model.expression @ axes.T
        out["reprojection_error"][...] = errors


def depth_range(points: np.ndarray, c2w: np.ndarray) -> tuple[float, float]:
    """Nearest and farthest depth along the view axis that the person can have, decimetres.

    Args:
        points: (468, 3) FaceMesh's points on the face, head frame, decimetres.
        c2w: (N, 3, 4) camera poses.
    """
    ends = []
    for block in blocks(len(c2w)):
        depths = -to_camera(points, c2w[block])[..., 2]
        ends.append((depths.min(), depths.mean(1).sum(), depths.max()))
    nearest, total, farthest = np.transpose(ends)
    near = max(nearest.min() - IN_FRONT, NEAREST_SHARE * total.sum() / len(c2w))
    return float(near), float(farthest.max() + BEHIND)


def report(fit: Fit, curve: dict[float, float], errors: np.ndarray) -> None:
    """Say what was found, for the log."""
    for focal, cost in curve.items():
        print(f"focal {focal:7.1f} px: cost {cost:.4f}", file=sys.stderr)
    print(
        f"focal {fit.focal:.1f} px, distance {fit.translations[:, 2].mean():.2f} dm, reprojection "
        f"error of the skull: mean {errors.mean():.3f} px, worst frame {errors.max():.3f} px "
        f"({errors.argmax()})",
        file=sys.stderr,
    )


def focal_or_auto(text: str) -> float | None:
    """`auto` -> None, a number -> pixels."""
    return None if text == "auto" else float(text)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.face_model", __doc__)
    parser.add_argument("--landmarks", type=Path, required=True, help="landmarks.h5")
    parser.add_argument("--frames", type=Path, required=True, help="frames.h5")
    parser.add_argument("--track", type=Path, required=True, help="track.h5, written")
    parser.add_argument(
        "--model",
        choices=MODELS,
        default="makehuman",
        help="makehuman: offline; facemesh: learned from the clip, offline; ict, bfm2009: files "
        "that the user brings (config key face_model.model)",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        default=Path("weights"),
        help="folder of face models that the user brings (config key face_model.weights)",
    )
    parser.add_argument(
        "--built",
        type=Path,
        help="the model, as `python -m preprocess.face_models.build` stored it; without, it is "
        "built now",
    )
    parser.add_argument(
        "--focal",
        type=focal_or_auto,
        default="auto",
        metavar="PIXELS|auto",
        help="focal length at the stored size (config key face_model.focal)",
    )
    parser.add_argument(
        "--smoothness",
        type=float,
        default=1.0,
        help="weight of the penalty on the poses' second differences: 1 damps motion with a period "
        "below 6 frames to less than half, 0 for none (config key face_model.smoothness)",
    )
    parser.add_argument(
        "--photometric",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="align the poses with the pictures (config key face_model.photometric)",
    )

    def command(options: argparse.Namespace) -> None:
        fit_face_model(
            options.landmarks,
            options.frames,
            options.track,
            options.model,
            options.weights,
            options.built,
            options.focal,
            options.smoothness,
            options.photometric,
        )

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
