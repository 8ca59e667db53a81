"""Where the 478 points of FaceMesh lie on MakeHuman's mesh: the truth of landmarks.

FaceMesh defines its points by examples, not by anatomy. So the truth is: the place on the skin that
the detector names most consistently on bald faces from several sides, once and for all; from then
on each point moves with its place. The irises are where they are painted.
`preprocess.demo_subject.find_facemesh` made the table.
"""

import csv
from functools import cache
from pathlib import Path

import numpy as np

TABLE = Path(__file__).with_name("makehuman_points.csv")
COLUMNS = ("point", "vertex_a", "vertex_b", "vertex_c", "weight_a", "weight_b", "weight_c")


@cache
def anchors() -> tuple[np.ndarray, np.ndarray]:
    """(478, 3) vertices of the base mesh, and (478, 3) their weights: where each point lies."""
    with open(TABLE, newline="") as file:
        rows = list(csv.DictReader(file))
    corners = np.array([[int(row[name]) for name in COLUMNS[1:4]] for row in rows])
    weights = np.array([[float(row[name]) for name in COLUMNS[4:]] for row in rows])
    return corners, weights / weights.sum(1, keepdims=True)


def face_points(vertices: np.ndarray) -> np.ndarray:
    """The FaceMesh points (..., 478, 3) on a person's vertices (..., V, 3), any frame."""
    corners, weights = anchors()
    return np.einsum("pk,...pkd->...pd", weights, vertices[..., corners, :])
