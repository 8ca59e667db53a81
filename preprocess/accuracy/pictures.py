"""How near to the truth is what the stages read off the frames: points, classes, background."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from preprocess import face_topology as mesh
from preprocess.accuracy.pose import PERCENT, number
from ssp_nerf.metrics.psnr import psnr
from ssp_nerf.parsing_map import CLASSES

GROUPS = {
    "eyes": (*mesh.RIGHT_EYE, *mesh.LEFT_EYE),
    "irises": (*mesh.RIGHT_IRIS, *mesh.LEFT_IRIS),
    "brows": (*mesh.RIGHT_EYEBROW, *mesh.LEFT_EYEBROW),
    "nose": mesh.NOSE,
    "lips": (*mesh.LIPS_OUTER, *mesh.LIPS_INNER),
    "face_oval": mesh.FACE_OVAL,
}
OUTER_CORNERS = (mesh.RIGHT_EYE[0], mesh.LEFT_EYE[0])
"""Of the eyes; iBUG 300-W norms landmark errors by the distance between them."""
PSNR_CEILING = 99.0
"""Decibels. JSON has no infinity for pictures that are the same, and no video comes near it."""


def landmark_accuracy(
    points: np.ndarray, truth: np.ndarray, truth68: np.ndarray
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Distances between points and true points in the picture, pixels, over all frames.

    True points are fixed places on the skin, chosen where the detector puts them on other heads on
    average, so a point may be off by a constant on this one. A track takes that for the shape of
    the face; what harms it is the scatter about each point's own mean error.

    Args:
        points: (N, 478, 2) FaceMesh points that a stage found, pixels.
        truth: (N, 478, 2).
        truth68: (N, 68, 2) the iBUG points; `MESH_TO_68` of `points` are held to them.

    Returns:
        Figures for JSON, and the mean of each frame, (N,).
    """
    offsets = points - truth
    error = np.linalg.norm(offsets, axis=-1)
    between = np.linalg.norm(truth[:, OUTER_CORNERS[0]] - truth[:, OUTER_CORNERS[1]], axis=-1)
    error68 = np.linalg.norm(points[:, mesh.MESH_TO_68] - truth68, axis=-1)
    figures = {
        "mean_px": number(error.mean()),
        "p95_px": number(np.percentile(error, 95)),
        "scatter_px": number(np.sqrt(offsets.var(0).sum(-1)).mean()),
        "mean_percent_of_eye_distance": number(PERCENT * (error.mean(1) / between).mean()),
        "mean_68_px": number(error68.mean()),
        "p95_68_px": number(np.percentile(error68, 95)),
        "groups_mean_px": {
            name: number(error[:, list(chosen)].mean()) for name, chosen in GROUPS.items()
        },
    }
    return figures, {"landmark_error_px": error.mean(1)}


def parsing_accuracy(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """Intersection over union of each class, both counted over all pixels of all frames.

    Args:
        pairs: parsing map (H, W) uint8 and its truth, for each frame.

    Returns:
        `classes`, None for one that neither shows, their `mean` without those, and how many are in
        it, `shown`.
    """
    count = len(CLASSES)
    confusion = np.zeros((count, count), np.int64)
    for labels, truth in pairs:
        both = truth.astype(np.intp) * count + labels
        confusion += np.bincount(both.ravel(), minlength=count**2).reshape(count, count)
    shared = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - shared
    ratios = [float(i / u) if u else float("nan") for i, u in zip(shared, union, strict=True)]
    return {
        "mean": number(float(np.nanmean(ratios))),
        "shown": int((union > 0).sum()),
        "classes": {name: number(iou) for name, iou in zip(CLASSES, ratios, strict=True)},
    }


def background_accuracy(
    background: np.ndarray, truth: np.ndarray, seen: np.ndarray, claimed: np.ndarray
) -> dict[str, Any]:
    """PSNR of the background where it could be seen, and where it had to be made up.

    Args:
        background, truth: (H, W, 3) uint8.
        seen: (H, W) bool, background in at least one frame of the true parsing.
        claimed: (H, W) bool, seen as the stage has it.

    Returns:
        Decibels, at most 99, None where there is no such pixel; and shares of the picture.
    """

    def decibels(mask: np.ndarray) -> float | None:
        return number(min(psnr(background, truth, mask), PSNR_CEILING)) if mask.any() else None

    return {
        "psnr_seen_db": decibels(seen),
        "psnr_never_seen_db": decibels(~seen),
        "seen_percent": number(PERCENT * seen.mean()),
        "psnr_claimed_seen_db": decibels(claimed),
        "psnr_claimed_never_seen_db": decibels(~claimed),
        "claimed_seen_percent": number(PERCENT * claimed.mean()),
    }
