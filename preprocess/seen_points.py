"""Which of FaceMesh's points a clip's landmarks show, and where, read a few frames at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from preprocess import face_topology as mesh
from ssp_nerf.errors import InputError

JAW_OUTLINE = np.array([*range(6), *range(11, 17)])
"""Of the 68 points, those that mark the visible outline of the jaw, which is another place on the
skin whenever the head turns."""


@dataclass(frozen=True)
class CentredPoints:
    """Some of a clip's landmarks, read as they are asked for: pixels from the image centre.

    Attributes:
        points: (N, P, 3) HDF5 dataset.
        columns: which of the P.
        size: width and height of the picture, pixels.
    """

    points: Any
    columns: np.ndarray
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, frames: slice | np.ndarray) -> np.ndarray:
        chosen = self.points[frames][:, self.columns, :2]
        return chosen.astype(np.float64) - np.array(self.size) / 2


def observed_points(
    count: int, landmarks: Path, attributes: Mapping[str, object]
) -> tuple[np.ndarray, np.ndarray]:
    """Which of FaceMesh's 468 points are seen, and which landmarks show them.

    Raises:
        InputError: landmarks that are neither FaceMesh's nor iBUG's.
    """
    if count in (mesh.MESH_POINTS, mesh.POINTS):
        return np.arange(mesh.MESH_POINTS), np.arange(mesh.MESH_POINTS)
    if count == len(mesh.MESH_TO_68):
        columns = np.setdiff1d(np.arange(count), JAW_OUTLINE)
        return mesh.MESH_TO_68[columns], columns
    raise InputError(
        f"{landmarks}: {count} points a frame from {attributes['detector']}, expected "
        f"{mesh.POINTS} (FaceMesh) or {len(mesh.MESH_TO_68)} (iBUG). Detect the landmarks again "
        "with one of the detectors of landmarks.detector."
    )
