"""The offline default: a morphable head from MakeHuman's base mesh and sliders (CC0).

MakeHuman has sliders, not statistics. So heads are drawn at random, each with its own mixture of
ancestries, sexes and ages and with every slider of the face a little off its middle, and their
principal components are the identities. Expressions are MakeHuman's face units, which have the
names of ARKit's.
"""

import json
from functools import cache

import numpy as np

from preprocess.face_models import FaceModel
from preprocess.face_template import RIGID, similarities, undo
from preprocess.face_topology import MESH_POINTS
from preprocess.makehuman import base_mesh, data_folder, offsets
from preprocess.makehuman_points import anchors

HEADS = 400
SEED = 0
COMPONENTS = 60
ANCESTRIES, SEXES, AGES = ("caucasian", "asian", "african"), ("female", "male"), ("young", "old")
SLIDERS = ("head", "forehead", "eyebrows", "eyes", "nose", "cheek", "mouth", "chin", "ears")
"""Groups of MakeHuman's sliders that shape a head."""
MIXTURE = 0.5
"""Dirichlet's parameter: most are mainly of one ancestry, sex and age, some of none."""
SLIDER_DEVIATION = 0.2
"""Share of a slider's way, one standard deviation: its end is the limit of what looks human."""
ASYMMETRY = 0.25
"""Share of it that the sides of a face differ by."""
UNIT_DEVIATION = 0.3
"""The same for a face unit: 1 is all that a face can do."""
LOWEST = 5.8
"""Decimetres in the base mesh: the head and its throat, no shoulders."""
DEVIATION = 0.015
"""Decimetres: FaceMesh's points on these meshes, whose places differ by 1 to 2 mm from head to head
(`preprocess.makehuman_points`)."""
NOT_SKIN = ("tongueOut",)


@cache
def load() -> FaceModel:
    """Build the model."""
    base = base_mesh()
    quads = base.groups["body"][..., 0]
    quads = quads[base.vertices[quads, 1].min(1) > LOWEST]
    used, quads = np.unique(quads, return_inverse=True)
    quads = quads.reshape(-1, 4)
    corners, weights = anchors()
    corners = np.searchsorted(used, corners[:MESH_POINTS])

    heads = random_heads(used)
    skull = corners[RIGID][:, 0]
    mean = base.vertices[used]
    for _ in range(2):
        # Size, place and direction of a head are the pose's, not the shape's.
        rotations, scales, shifts = similarities(mean[skull], heads[:, skull])
        aligned = undo(heads, rotations, scales, shifts)
        mean = aligned.mean(0)
    flat = (aligned - mean).reshape(len(heads), -1)
    _, singular, components = np.linalg.svd(flat, full_matrices=False)
    identity = components * (singular / np.sqrt(len(heads)))[:, None]
    return FaceModel(
        "makehuman",
        mean,
        np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32),
        identity[:COMPONENTS].reshape(-1, *mean.shape),
        np.stack([UNIT_DEVIATION * offsets({f"faceunits/{unit}": 1.0})[used] for unit in units()]),
        corners,
        weights[:MESH_POINTS],
        DEVIATION,
    ).in_head_frame()


def random_heads(used: np.ndarray) -> np.ndarray:
    """(HEADS, V, 3) vertices `used` (V,) of people that nobody is."""
    generator = np.random.default_rng(SEED)
    kinds = {
        (i, j, k): offsets({f"macrodetails/{ancestry}-{sex}-{age}": 1.0})[used]
        for i, ancestry in enumerate(ANCESTRIES)
        for j, sex in enumerate(SEXES)
        for k, age in enumerate(AGES)
    }
    ends = [
        [tuple(offsets({f"{group}/{end}": 1.0})[used] for end in side) for side in sides]
        for group, sides in sliders()
    ]
    heads = np.tile(base_mesh().vertices[used], (HEADS, 1, 1))
    for head in heads:
        ancestry, sex, age = (
            generator.dirichlet(np.full(len(kind), MIXTURE)) for kind in (ANCESTRIES, SEXES, AGES)
        )
        for (i, j, k), offset in kinds.items():
            head += ancestry[i] * sex[j] * age[k] * offset
        for sides in ends:
            common = generator.normal()
            for low, high in sides:
                own = common if len(sides) == 1 else common + ASYMMETRY * generator.normal()
                head += SLIDER_DEVIATION * abs(own) * (high if own > 0 else low)
    return heads


def sliders() -> list[tuple[str, list[tuple[str, str]]]]:
    """Each slider's group, and its two ends, once or for both sides of the face."""
    content = json.loads((data_folder() / "mpfb2" / "targets" / "target.json").read_text())
    found = []
    for group in SLIDERS:
        for slider in content[group]["categories"]:
            ends = slider.get("opposites")
            if ends is None:
                continue  # shapes of the head that are all or nothing, such as head-square
            sides = ("left", "right") if slider["has_left_and_right"] else ("unsided",)
            found.append((group, [(ends[f"negative-{s}"], ends[f"positive-{s}"]) for s in sides]))
    return found


def units() -> list[str]:
    """Names of the face units that speech and mimics use."""
    folder = data_folder() / "faceunits01" / "targets" / "faceunits"
    names = sorted(file.stem for file in folder.glob("*.target"))
    return [name for name in names if not name.startswith(NOT_SKIN)]
