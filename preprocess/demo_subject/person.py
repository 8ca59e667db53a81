"""A person: MakeHuman's mesh with sliders set, hair, and the paint on it all.

Vertices are those of MakeHuman's base mesh (decimetres, head frame axes) followed by the hair's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from preprocess import makehuman
from preprocess.demo_subject.hair import Haircut, hair_shell
from preprocess.demo_subject.paint import Paint, paint_skin
from preprocess.demo_subject.rays import RayCaster

SKIN, EYE, TEETH, TONGUE, HAIR = range(5)
"""What a triangle is made of."""
GROUPS = {
    "body": SKIN,
    "helper-r-eye": EYE,
    "helper-l-eye": EYE,
    "helper-upper-teeth": TEETH,
    "helper-lower-teeth": TEETH,
    "helper-tongue": TONGUE,
}
LIMBUS = 0.0585
"""Radius of the iris, around the eye's axis in the base mesh, decimetres."""
TEETH_SHOW = 0.04
"""Decimetres that the upper teeth are lowered: MakeHuman's end where the lip does and would never
be seen; a few millimetres show when people speak."""
TONGUE_FALLS = np.array([0.0, -0.35, -0.1])
"""Decimetres that the tongue sinks, besides what the face unit moves it, in a wide open mouth."""
LOWEST = 3.0
"""Decimetres in the base mesh; nothing below the chest is ever in the picture."""
SKULL_MIDDLE = 0.35
"""Depth of the skull's middle, from the joint of the head (0) to the eyes (1)."""
WITHOUT_HEAD = (
    *("root", "spine", "clavicle", "shoulder", "upperarm", "lowerarm", "wrist", "finger"),
    *("metacarpal", "breast", "pelvis", "upperleg", "lowerleg", "foot", "toe"),
)
NECK_SHARE = {"neck01": 0.2, "neck02": 0.5, "neck03": 0.8}
"""How far the bones of the neck follow the head."""
SKULL_SHARE = 0.9  # from this share of the head's motion on, it is head and not neck
HANGING_HAIR_SHARE = 0.25
"""How far the ends of long hair follow the head; the rest lies on the shoulders."""
HANGING_HAIR_TOP, HANGING_HAIR_LENGTH = 0.6, 1.8  # decimetres, from the head's middle down


@dataclass(frozen=True)
class Look:
    """Everything that makes a person: sliders, haircut, colours.

    Attributes:
        sliders: MakeHuman target -> value.
        haircut: where hair grows.
        paint: colours of skin, lips, brows, eyes, hair and clothes.
        strands: seed of the hair's strands and the skin's spots.
        iris: width of an iris, decimetres; adults' are 0.117, a twentieth more or less.
        focal: of the camera that films the person, pixels at 450 rows.
        distance: of the camera, decimetres.
    """

    sliders: Mapping[str, float]
    haircut: Haircut
    paint: Paint
    strands: int = 0
    iris: float = 0.117
    focal: float = 1200.0
    distance: float = 9.0


@dataclass(frozen=True)
class Person:
    """A person at rest, ready to be moved and drawn.

    Attributes:
        look: what it was made from.
        vertices: (V, 3) neutral face, decimetres.
        triangles: (F, 3) vertex indices.
        material: (F,) uint8, one of SKIN, EYE, TEETH, TONGUE, HAIR.
        texture: (F, 3, 2) float32, texture coordinates of the corners; used on skin.
        skin_colour: (H, W, 3) float32 linear RGB over texture space.
        skin_class: (H, W) uint8 class of `ssp_nerf.parsing_map` over texture space.
        hair_shade: (V,) brightness of the strands; 1 elsewhere.
        head_share: (V,) share of the head's motion each vertex takes; the torso's is the rest.
    """

    look: Look
    vertices: np.ndarray
    triangles: np.ndarray
    material: np.ndarray
    texture: np.ndarray
    skin_colour: np.ndarray
    skin_class: np.ndarray
    hair_shade: np.ndarray
    head_share: np.ndarray

    def joint(self, name: str) -> np.ndarray:
        """(3,) place of a MakeHuman joint, decimetres."""
        return self.vertices[makehuman.centre(f"joint-{name}")].mean(0)

    @cached_property
    def eyes(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices of the right and of the left eyeball."""
        return makehuman.centre("helper-r-eye"), makehuman.centre("helper-l-eye")

    def expression(self, units: Mapping[str, float]) -> np.ndarray:
        """(V, 3) the face with these face units (ARKit names) at these strengths, decimetres."""
        moved = self.vertices.copy()
        for unit, strength in units.items():
            if strength:
                index, offset = makehuman.target(f"faceunits/{unit}")
                moved[index] += strength * offset
        moved[makehuman.centre("helper-tongue")] += TONGUE_FALLS * units.get("jawOpen", 0.0)
        return moved


def build_person(look: Look) -> Person:
    """Put a person together."""
    base = makehuman.base_mesh()
    generator = np.random.default_rng(look.strands)
    body = base.vertices + makehuman.offsets(look.sliders)
    body[makehuman.centre("helper-upper-teeth")] -= (0, TEETH_SHOW, 0)
    # The iris, painted on the eyeball, sets the scale.
    eyeball = makehuman.centre("helper-l-eye")
    painted = np.ptp(body[eyeball, 0]) / np.ptp(base.vertices[eyeball, 0]) * 2 * LIMBUS
    body *= look.iris / painted

    triangles, material, texture = [], [], []
    for group, kind in GROUPS.items():
        quads = base.groups[group]
        quads = quads[base.vertices[quads[..., 0], 1].min(1) > LOWEST]
        split = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        triangles.append(split[..., 0])
        texture.append(base.texture[split[..., 1]])
        material.append(np.full(len(split), kind, np.uint8))

    skin = triangles[0]
    eye, nape = (body[makehuman.centre(f"joint-{joint}")].mean(0) for joint in ("l-eye", "head"))
    middle = np.array([0.0, eye[1], nape[2] + SKULL_MIDDLE * (eye[2] - nape[2])])
    share = head_share()
    skull = RayCaster(body, skin[(share[skin] > SKULL_SHARE).all(1)])
    hair, hair_triangles, shade = hair_shell(skull, middle, look.haircut, generator)
    triangles.append(hair_triangles + len(body))
    material.append(np.full(len(hair_triangles), HAIR, np.uint8))
    texture.append(np.zeros((len(hair_triangles), 3, 2)))

    hanging = np.clip((middle[1] - HANGING_HAIR_TOP - hair[:, 1]) / HANGING_HAIR_LENGTH, 0, 1)
    colour, classes = paint_skin(look.paint, generator)
    return Person(
        look=look,
        vertices=np.concatenate([body, hair]),
        triangles=np.concatenate(triangles),
        material=np.concatenate(material),
        texture=np.concatenate(texture).astype(np.float32),
        skin_colour=colour,
        skin_class=classes,
        hair_shade=np.concatenate([np.ones(len(body)), shade]),
        head_share=np.concatenate([share, 1 - (1 - HANGING_HAIR_SHARE) * hanging]),
    )


def head_share() -> np.ndarray:
    """(V,) share of the head's motion that each vertex of the base mesh takes, from the rig."""
    share = np.zeros(len(makehuman.base_mesh().vertices))
    for bone, weights in makehuman.bone_weights().items():
        if bone in NECK_SHARE:
            share += NECK_SHARE[bone] * weights
        elif not bone.startswith(WITHOUT_HEAD):
            share += weights
    return share
