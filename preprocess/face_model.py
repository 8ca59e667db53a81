"""Stage fit_face_model: head pose, one focal length, mean-expression mesh.

The head pose is what training takes for the camera pose. Size, distance and focal length trade off
in a single view: the size comes from the irises (4 %), the focal length mostly from a prior (see
`preprocess.face_fit`), and the distance follows from both.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from preprocess import face_topology as mesh
from preprocess.face_fit import (
    Fit,
    fit_clip,
    refit_face,
    skull_errors,
    smooth_poses,
)
from preprocess.face_template import build_template, subdivide
from preprocess.photometric_fit import refine_poses
from ssp_nerf import cli
from ssp_nerf.cameras import c2w_from_head_pose_opencv, to_camera
from ssp_nerf.errors import InputError
from ssp_nerf.frame_store import PackedFrames
from ssp_nerf.schema import FRAMES, LANDMARKS, TRACK

IN_FRONT = 1.0
"""Decimetres that the person may reach in front of the nearest point of the face mesh: a chest is
2.4 dm deep (Gordon et al., ANSUR, 1988) and its front, under a head that leans back, comes about as
far forward as the face."""
BEHIND = 2.5
"""Decimetres behind the farthest point of the mesh, which lies before the ears: the rest of a head
2.0 dm long (ANSUR, 1988), hair, and shoulders half a chest behind the throat."""
NEAREST_SHARE = 0.1
"""Near is at least this share of the mean distance, however short the lens."""


def fit_face_model(
    landmarks: Path,
    frames: Path,
    track: Path,
    focal: float | None,
    expressions: int,
    smoothness: float,
    photometric: bool,
) -> None:
    """Fit the face model to a clip's landmarks and pictures, and write track.h5.

    Args:
        landmarks: landmarks.h5 with FaceMesh points and irises.
        frames: frames.h5, in which they were found.
        track: track.h5, to be written.
        focal: pixels at the stored size, or None to search for it.
        expressions: size of the expression basis.
        smoothness: weight of the penalty on the poses' second differences; 1 damps head motion
            with a period below 6 frames to less than half, 0 leaves the poses as they are.
        photometric: align the poses with the pictures, see `preprocess.photometric_fit`.

    Raises:
        InputError: not FaceMesh points, or a setting that makes no sense.
    """
    if focal is not None and focal <= 0:
        raise InputError(
            f"face_model.focal is {focal}, expected pixels above 0, or `auto` to search for it."
        )
    if expressions < 0 or smoothness < 0:
        raise InputError(
            f"face_model.expressions is {expressions} and face_model.smoothness {smoothness}, "
            "expected both to be 0 or more."
        )
    arrays, attributes = LANDMARKS.read(landmarks)
    points = arrays["points"].astype(np.float64)
    width, height = int(attributes["width"]), int(attributes["height"])
    if points.shape[1] != mesh.POINTS:
        raise InputError(
            f"{landmarks}: {points.shape[1]} points a frame from {attributes['detector']}, but the "
            f"face model is built from the {mesh.POINTS} points of FaceMesh with irises. "
            "Detect the landmarks with FaceMesh."
        )
    if arrays["interpolated"].all():
        raise InputError(f"{landmarks}: no face was detected in any frame, nothing to fit.")

    template = build_template(points)
    pixels = points[:, : mesh.MESH_POINTS, :2] - np.array([width / 2, height / 2])
    trust = 1.0 - arrays["interpolated"]
    fit, curve = fit_clip(pixels, template, height, focal, expressions, smoothness, trust)
    if photometric:
        fit = follow_pictures(fit, frames, pixels, smoothness, trust)
    errors = skull_errors(fit, pixels)
    report(fit, curve, errors)

    c2w = c2w_from_head_pose_opencv(fit.rotations, fit.translations)
    vertices, faces = subdivide(fit.shape, mesh.triangles())
    near, far = depth_range(vertices, c2w)
    with TRACK.create(
        track,
        {
            "N": len(points),
            "V": len(vertices),
            "F": len(faces),
            "P": mesh.MESH_POINTS,
            "E": fit.expression.shape[1],
        },
        {"focal": fit.focal, "width": width, "height": height, "near": near, "far": far},
        {
            "focal": focal or "auto",
            "expressions": expressions,
            "smoothness": smoothness,
            "photometric": photometric,
        },
    ) as out:
        out["c2w"][...] = c2w
        out["vertices"][...] = vertices
        out["faces"][...] = faces
        out["identity"][...] = fit.shape - template.shape
        out["expression"][...] = fit.expression
        out["reprojection_error"][...] = errors


def follow_pictures(
    fit: Fit, frames: Path, pixels: np.ndarray, smoothness: float, trust: np.ndarray
) -> Fit:
    """Poses aligned with the pictures, smoothed again; what they leave of the landmarks, shape and
    expression take up."""
    with FRAMES.open(frames) as stored:
        pictures = PackedFrames(stored["frames"])
        if len(pictures) != len(pixels):
            raise InputError(
                f"{frames} has {len(pictures)} frames, the landmarks have {len(pixels)}. "
                "Detect the landmarks in these frames."
            )
        height = pictures.shape[1]
        fit, followed = refine_poses(fit, pictures)
    print(f"pictures followed in {followed.sum()} of {len(followed)} frames", file=sys.stderr)
    return refit_face(smooth_poses(fit, smoothness, trust), pixels, height)


def depth_range(vertices: np.ndarray, c2w: np.ndarray) -> tuple[float, float]:
    """Nearest and farthest depth along the view axis that the person can have, decimetres.

    Args:
        vertices: (V, 3) face mesh, head frame, decimetres.
        c2w: (N, 3, 4) camera poses.
    """
    depths = -to_camera(vertices, c2w)[..., 2]
    near = max(depths.min() - IN_FRONT, NEAREST_SHARE * depths.mean())
    return float(near), float(depths.max() + BEHIND)


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
        "--focal",
        type=focal_or_auto,
        default="auto",
        metavar="PIXELS|auto",
        help="focal length at the stored size (config key face_model.focal)",
    )
    parser.add_argument(
        "--expressions",
        type=int,
        default=8,
        help="size of the expression basis (config key face_model.expressions)",
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
            options.focal,
            options.expressions,
            options.smoothness,
            options.photometric,
        )

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
