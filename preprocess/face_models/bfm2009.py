"""The Basel Face Model 2009, the 3DMM of the paper and of AD-NeRF.

Paysan et al., A 3D Face Model for Pose and Illumination Invariant Face Recognition, AVSS 2009. Its
licence asks each user to get `01_MorphableModel.mat` from the University of Basel.

The file has identities and textures, but neither landmarks nor expressions. The landmarks are found
by looking at the mean face (`preprocess.face_models.by_picture`), the expressions are MakeHuman's,
carried over by them.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from preprocess import face_topology as mesh
from preprocess.face_models import FaceModel, makehuman
from preprocess.face_models.by_picture import find_points
from preprocess.face_models.surface import nearest_on_mesh
from ssp_nerf.errors import InputError
from ssp_nerf.weights import require_weights

WEIGHTS = "01_MorphableModel.mat"
ARRAYS = ("shapeMU", "shapePC", "shapeEV", "texMU", "tl")
COMPONENTS = 80
"""Identities that are used, of 199: as AD-NeRF's tracker and Deep3DFaceReconstruction."""
DECIMETRES = 1e-5  # in a micrometre
DEVIATION = 0.02
"""Decimetres: the points are found in pictures of the mean face, to a pixel of 0.7 mm or two."""
FADES = 0.1
"""Decimetres from FaceMesh's mesh at which an expression has faded by a factor of e: it ends at the
hairline and the jaw."""


def load(weights: Path) -> FaceModel:
    """Read the model from `weights`/01_MorphableModel.mat.

    Raises:
        InputError: the file is missing, or is no such model.
    """
    path = require_weights(weights, WEIGHTS, "face_model.model", "makehuman")
    arrays = read(path)
    vertices = arrays["shapeMU"].reshape(-1, 3) * DECIMETRES
    components = arrays["shapePC"][:, :COMPONENTS] * arrays["shapeEV"].ravel()[:COMPONENTS]
    identity = components.T.reshape(-1, *vertices.shape) * DECIMETRES
    colours = arrays["texMU"].reshape(-1, 3).clip(0, 255).astype(np.uint8)
    faces = outward(vertices, arrays["tl"].astype(np.int64) - 1)
    found = find_points(vertices, faces, colours)
    if found is None:
        raise InputError(
            f"{path}: no face is found in pictures of its mean shape with its mean texture, so it "
            "is not the Basel Face Model. Get the file anew, or set face_model.model to makehuman."
        )
    corners, shares = found
    points = np.einsum("pk,pkd->pd", shares, vertices[corners])
    return FaceModel(
        "bfm2009",
        vertices,
        faces.astype(np.int32),
        identity,
        borrowed_expressions(vertices, points),
        corners,
        shares,
        DEVIATION,
    ).in_head_frame()


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the model, whose sizes belong together.

    Raises:
        InputError: not a MATLAB file, or not this model.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    remedy = "Get the file anew, or set face_model.model to makehuman."
    try:
        content: dict[str, Any] = loadmat(path, variable_names=ARRAYS)
        arrays = {name: np.asarray(content[name], np.float64) for name in ARRAYS if name in content}
    except (MatReadError, ValueError, TypeError, NotImplementedError, OSError, zlib.error) as error:
        raise InputError(
            f"{path}: expected the Basel Face Model 2009 (a MATLAB 5 file), but it cannot be read "
            f"({error}). {remedy}"
        ) from error
    missing = [name for name in ARRAYS if name not in arrays]
    if missing:
        raise InputError(
            f"{path}: expected the Basel Face Model 2009, but it has no {', '.join(missing)}. "
            f"{remedy}"
        )
    size, triangles = arrays["shapeMU"].size, arrays["tl"]
    fits = (
        size % 3 == 0
        and arrays["texMU"].size == size
        and arrays["shapePC"].ndim == 2
        and arrays["shapePC"].shape == (size, arrays["shapeEV"].size)
        and triangles.ndim == 2
        and triangles.shape[1] == 3
        and len(triangles) > 0
        and triangles.min() >= 1
        and triangles.max() <= size // 3
    )
    if not fits:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise InputError(f"{path}: sizes that do not belong together: {shapes}. {remedy}")
    return arrays


def outward(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Triangles turned so that most of a face, whose z axis points out of it, looks outward."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    return faces if np.cross(b - a, c - a)[:, 2].sum() > 0 else faces[:, ::-1]


def borrowed_expressions(vertices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(E, V, 3) MakeHuman's expressions on another model, decimetres.

    Each vertex moves with the place of FaceMesh's mesh that is nearest to it, less the farther it
    is away.

    Args:
        vertices: (V, 3). points: (468, 3) FaceMesh's points on them.
    """
    lender = makehuman.load()
    at, shares = nearest_on_mesh(vertices, points, mesh.triangles())
    places = np.einsum("vk,vkd->vd", shares, points[at])
    fade = np.exp(-np.linalg.norm(places - vertices, axis=1) / FADES)
    lent = lender.points(lender.expression)
    return np.einsum("v,vk,evkd->evd", fade, shares, lent[:, at], optimize=True)
