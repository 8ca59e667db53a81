"""ICT-FaceKit (Li et al., Learning Formation of Physically-Based Face Attributes, CVPR 2020; MIT).

Its folder `FaceXModel` holds a neutral head, heads at one standard deviation of each identity
(identity000.obj, ...) and heads with each expression at its full, which have ARKit's names.
Whatever identities and expressions are there are used.
"""

import json
from pathlib import Path

import numpy as np
from scipy.interpolate import RBFInterpolator

from preprocess.face_models import FaceModel, makehuman
from preprocess.face_models.surface import nearest_on_mesh
from preprocess.face_topology import MESH_TO_68
from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file

FOLDER = "FaceXModel"
NEUTRAL, INDICES = "generic_neutral_mesh.obj", "vertex_indices.json"
LANDMARKS = "idx_to_landmark_verts"
FACE_VERTICES, HEAD_VERTICES = 9409, 11248
"""The first vertices are the face, the next ones head and neck; after them come the insides of
mouth and eyes, teeth, eyeballs and lashes (ICT-FaceKit's README)."""
DECIMETRES = 0.1  # in a unit of the model, a centimetre
UNIT_DEVIATION = 0.3
"""Standard deviation of an expression; 1 is all that a face can do."""
DEVIATION = 0.02
"""Decimetres: FaceMesh's points are found on the model by its 68 landmarks (see `face_points`)."""


def load(weights: Path) -> FaceModel:
    """Read the model from `weights`/FaceXModel.

    Raises:
        InputError: files that are missing or are no such heads.
    """
    folder = Path(weights) / FOLDER
    remedy = (
        f"Put ICT-FaceKit's folder {FOLDER} into {Path(weights).resolve()} (config key "
        "face_model.weights), or set face_model.model to makehuman, which needs no file."
    )
    indices = read_indices(folder / INDICES, remedy)
    neutral, faces = read_obj(folder / NEUTRAL, remedy, with_faces=True)
    identities = sorted(folder.glob("identity[0-9]*.obj"))
    expressions = [folder / f"{name}.obj" for name in indices["expressions"]]
    expressions = [path for path in expressions if path.is_file()]
    if not identities or not expressions:
        raise InputError(
            f"{folder}: {len(identities)} identities and {len(expressions)} expressions, expected "
            f"some of both. {remedy}"
        )

    def offsets(paths: list[Path]) -> np.ndarray:
        heads = np.stack([read_obj(path, remedy, len(neutral))[0] for path in paths])
        return (heads - neutral)[:, :HEAD_VERTICES] * DECIMETRES

    faces = faces[(faces < HEAD_VERTICES).all(1)]
    vertices = neutral[:HEAD_VERTICES] * DECIMETRES
    corners, shares = face_points(
        vertices, faces[(faces < FACE_VERTICES).all(1)], np.array(indices[LANDMARKS])
    )
    return FaceModel(
        "ict",
        vertices,
        faces,
        offsets(identities),
        UNIT_DEVIATION * offsets(expressions),
        corners,
        shares,
        DEVIATION,
    ).in_head_frame()


def face_points(
    vertices: np.ndarray, faces: np.ndarray, landmarks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where FaceMesh's points lie: corners and weights (468, 3).

    They are known on MakeHuman's mean head, and so are the 68 landmarks; the thin-plate spline that
    brings its landmarks onto this model's brings its points near this model's surface.

    Args:
        vertices: (V, 3). faces: (F, 3) those of the face.
        landmarks: (68,) vertices at the iBUG landmarks.
    """
    known = makehuman.load()
    points = known.points(known.vertices)
    warp = RBFInterpolator(points[MESH_TO_68], vertices[landmarks], kernel="thin_plate_spline")
    return nearest_on_mesh(warp(points), vertices, faces)


def read_indices(path: Path, remedy: str) -> dict[str, list]:
    """vertex_indices.json.

    Raises:
        InputError: not there, or without what is needed.
    """
    path = require_file(path, "ICT-FaceKit's vertex_indices.json", remedy)
    try:
        content = json.loads(path.read_text())
        names = [str(name) for name in content["expressions"]]
        landmarks = [int(vertex) for vertex in content[LANDMARKS]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: expected ICT-FaceKit's vertex indices, but {error!r}. {remedy}"
        ) from error
    if len(landmarks) != len(MESH_TO_68) or not all(0 <= v < FACE_VERTICES for v in landmarks):
        raise InputError(
            f"{path}: expected {len(MESH_TO_68)} landmark vertices below {FACE_VERTICES}, got "
            f"{len(landmarks)}, or some of the rest of the head. {remedy}"
        )
    return {"expressions": names, LANDMARKS: landmarks}


def read_obj(
    path: Path, remedy: str, expected: int | None = None, with_faces: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) of a Wavefront OBJ and, if asked for, its triangles (F, 3), quads split.

    Raises:
        InputError: not there, not an OBJ, or another number of vertices than `expected`.
    """
    path = require_file(path, "a head of ICT-FaceKit", remedy)
    try:
        lines = path.read_text().splitlines()
        words = " ".join(line[2:] for line in lines if line.startswith("v ")).split()
        vertices = np.array(words, np.float64).reshape(-1, 3)
        polygons = [
            [int(corner.split("/")[0]) - 1 for corner in line.split()[1:]]
            for line in lines
            if with_faces and line.startswith("f ")
        ]
    except ValueError as error:
        raise InputError(f"{path}: expected a Wavefront OBJ, but {error}. {remedy}") from error
    least = HEAD_VERTICES if expected is None else expected
    if len(vertices) < least or (expected is not None and len(vertices) != expected):
        raise InputError(
            f"{path}: {len(vertices)} vertices, expected "
            f"{least if expected else f'{least} or more'} as in ICT-FaceKit. {remedy}"
        )
    split = [[p[0], p[k], p[k + 1]] for p in polygons for k in range(1, len(p) - 1)]
    triangles = np.array(split, np.int32).reshape(-1, 3)
    known = (triangles >= 0) & (triangles < len(vertices))
    if with_faces and not (len(triangles) and known.all()):
        raise InputError(
            f"{path}: {len(triangles)} triangles, expected those of its own vertices. {remedy}"
        )
    return vertices, triangles
