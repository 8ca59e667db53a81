"""The paint on the skin: colour and class of every texel of MakeHuman's texture space.

Where things are is said in places of the neutral base mesh (decimetres), which the texture space is
mapped to once: so every identity, whatever its sliders, has its lips on its lips.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from scipy.spatial import cKDTree

from preprocess import makehuman
from preprocess.demo_subject.rays import RayCaster
from ssp_nerf import parsing_map as classes

TEXTURE = 2048  # texels a side, as MakeHuman's masks; the face is 450 of them wide

BROW = ((0.10, 7.445), (0.22, 7.475), (0.36, 7.49), (0.48, 7.465), (0.57, 7.41))
"""Middle line of the left eyebrow in the base mesh, x and y: on the ridge that the face units
browInnerUp and browOuterUp lift."""
BROW_THICKNESS = 0.052, 0.02  # half its height at the inner and at the outer end, decimetres
FACE_ONLY = 1.0  # decimetres; what is painted on the face lies before this depth
NOSE_MOVED = 0.25
"""The nose is where MakeHuman's sliders of its size move the skin by this share of their most."""
NOSE_SLIDERS = ("nose/nose-scale-horiz-incr", "nose/nose-scale-depth-incr")
RED_SPOTS = ((0.42, 6.95, 0.22), (0.0, 6.98, 0.13))
"""Where blood shines through: cheeks and the tip of the nose; |x|, y and radius, decimetres."""
EYE_SHADE = (0.31, 7.27, 0.17)  # around the eyes it is darker
BLUSH = np.array([0.12, -0.16, -0.14], np.float32)  # share of light that redder skin gains, loses
MOUTH, LASHES = (96, 34, 34), (38, 26, 22)  # sRGB
LASH_REACH = 0.02  # decimetres from the eyeball that lashes darken
BROW_EDGE = 0.15  # from here on the paint is dark enough to be called eyebrow
COLLAR_WIDTH = 0.1  # decimetres
COLLAR_REACH = 1.0  # decimetres from the middle; farther out the shoulders rise to its height
CLOTH_SHADOW = 0.06  # decimetres over which the collar's shadow fades
JAW_AXIS = 0.4
"""Depth of the vertical axis around which the jaw is described, decimetres in the base mesh."""
JAW = ((0.0, 6.24), (30.0, 6.3), (60.0, 6.55), (85.0, 6.85), (110.0, 6.9), (180.0, 6.9))
"""The lower edge of the head: height in the base mesh at these degrees around the axis, from the
chin over the corner of the jaw to the ear lobe and the nape."""
BODY_VERTICES = 13380
TEXEL_BLUR = 0.8  # standard deviation, texels


@dataclass(frozen=True)
class Paint:
    """Colours, sRGB 0 to 255, and the cut of the clothes.

    Attributes:
        neckline: height of the collar in the base mesh at the throat and at the nape, decimetres.
        neckline_v: how much lower it is in front for each decimetre nearer to the middle: a V.
        stubble: 0 to 1, shadow of a beard.
    """

    skin: tuple[int, int, int]
    lips: tuple[int, int, int]
    brows: tuple[int, int, int]
    iris: tuple[int, int, int]
    hair: tuple[int, int, int]
    cloth: tuple[int, int, int]
    collar: tuple[int, int, int]
    neckline: tuple[float, float] = (5.75, 6.1)
    neckline_v: float = 0.0
    stubble: float = 0.0
    brow_weight: float = 1.0


def linear(colour: object) -> np.ndarray:
    """sRGB, 0 to 255, to linear light, 0 to 1 (IEC 61966-2-1)."""
    value = np.asarray(colour, np.float32) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


@cache
def texels() -> tuple[np.ndarray, np.ndarray]:
    """The corners (H W, 3) and barycentric weights (H W, 3) of each texel's place on the skin.

    Row 0 is at the top. Texels beside the skin get the weights (1, 0, 0) of some triangle.
    """
    base = makehuman.base_mesh()
    quads = base.groups["body"]
    split = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    flat = np.concatenate([base.texture, np.zeros((len(base.texture), 1))], axis=1)
    steps = (np.arange(TEXTURE) + 0.5) / TEXTURE
    u, v = np.meshgrid(steps, 1 - steps)
    origins = np.stack([u, v, np.ones_like(u)], axis=-1).reshape(-1, 3)
    down = np.broadcast_to([0.0, 0.0, -1.0], origins.shape)
    triangle, weights, _ = RayCaster(flat, split[..., 1]).hits(origins, down)
    return split[..., 0][triangle], weights


def texel_values(values: np.ndarray) -> np.ndarray:
    """(V, C) values of the base mesh's vertices -> (H, W, C) float32 over texture space."""
    corners, weights = texels()
    flat = np.einsum("rk,rkc->rc", weights, values.astype(np.float32)[corners])
    return flat.reshape(TEXTURE, TEXTURE, -1)


@cache
def places() -> np.ndarray:
    """(H, W, 3) float32: where each texel is on the base mesh, decimetres."""
    return texel_values(makehuman.base_mesh().vertices)


@cache
def nose() -> np.ndarray:
    """(H, W) bool."""
    moved = makehuman.offsets(dict.fromkeys(NOSE_SLIDERS, 1.0))
    share = texel_values(np.linalg.norm(moved, axis=-1, keepdims=True))[..., 0]
    return share > NOSE_MOVED * share.max()


@cache
def eyebrows() -> np.ndarray:
    """(H, W) float32: 1 in the middle of an eyebrow, 0 outside."""
    x, y, z = np.moveaxis(places(), -1, 0)
    x = np.abs(x)
    line = np.array(BROW)
    along = np.clip((x - line[0, 0]) / (line[-1, 0] - line[0, 0]), 0, 1)
    half = BROW_THICKNESS[0] + (BROW_THICKNESS[1] - BROW_THICKNESS[0]) * along**2
    within = (x > line[0, 0]) & (x < line[-1, 0]) & (z > FACE_ONLY)
    return (1 - np.abs(y - np.interp(x, line[:, 0], line[:, 1])) / half).clip(0) * within


def paint_skin(paint: Paint, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Colour and class of the skin, and of the clothes painted on it.

    Args:
        paint: the colours.
        generator: draws spots and the hairs of the brows.

    Returns:
        (H, W, 3) float32 linear RGB, and (H, W) uint8 class, over texture space.
    """
    x, y, z = np.moveaxis(places(), -1, 0)
    side = np.abs(x)
    face = (z > FACE_ONLY) & (y > 6.0)
    lips, ears, mouth = (makehuman.mask(name) for name in ("lips", "ears", "inside-mouth"))

    # Skin: blotches and fine grain, blood in cheeks, nose and ears, shade around the eyes.
    colour = linear(paint.skin) * np.exp(0.04 * noise(generator, 24) + 0.04 * noise(generator, 300))
    for spot_x, spot_y, radius in RED_SPOTS:
        near = np.exp(-(((side - spot_x) ** 2 + (y - spot_y) ** 2) / radius**2)) * face
        colour *= 1 + near[..., None] * BLUSH
    colour *= 1 + 0.6 * ears[..., None] * BLUSH
    shade_x, shade_y, radius = EYE_SHADE
    near = np.exp(-(((side - shade_x) ** 2 + (y - shade_y) ** 2) / radius**2)) * face
    colour *= 1 - 0.22 * near[..., None]
    beard = paint.stubble * ((y < 6.95) & (y > 6.0) & (z > 0.4)) * np.clip((6.98 - y) / 0.12, 0, 1)
    colour *= 1 - 0.35 * (beard * (1 - lips))[..., None] * (1 + 0.3 * noise(generator, 700))

    mix(colour, linear(paint.lips) * (1 + 0.1 * noise(generator, 300)), lips)
    mix(colour, linear(MOUTH), mouth)
    brows = eyebrows()
    hairs = 1 + 0.35 * noise(generator, 900)[..., 0]
    mix(colour, linear(paint.brows), np.clip(2.2 * brows * hairs, 0, 1) * paint.brow_weight)
    mix(colour, linear(LASHES), lash_line())

    front = np.clip((z + 0.2) / 1.2, 0, 1)
    collar = paint.neckline[1] + (paint.neckline[0] - paint.neckline[1]) * front
    collar = collar - paint.neckline_v * np.clip(0.8 - side, 0, None) * front
    below = collar - y
    cloth = np.clip(below / 0.01, 0, 1)
    weave = linear(paint.cloth) * (1 + 0.08 * noise(generator, 500) + 0.04 * noise(generator, 40))
    band = np.clip((COLLAR_WIDTH - below) / 0.01, 0, 1) * (side < COLLAR_REACH)
    mix(weave, linear(paint.collar), band)
    # The cloth lies on the skin and throws a thin shadow on it.
    colour *= 1 - 0.5 * np.clip(1 + below / CLOTH_SHADOW, 0, 1)[..., None] * (below < 0)[..., None]
    mix(colour, weave, cloth)

    label = np.full(places().shape[:2], classes.CHEEK, np.uint8)
    label[nose()] = classes.NOSE
    label[ears > 0.5] = classes.EAR
    label[brows > BROW_EDGE] = classes.EYEBROW
    label[mouth > 0.5] = classes.TEETH
    label[lips > 0.5] = classes.LIP
    label[~above_jaw() & (ears <= 0.5) & (mouth <= 0.5)] = classes.NECK
    label[below > 0] = classes.TORSO
    # One sample sees a pixel, which is about two texels wide.
    return cv2.GaussianBlur(colour, (0, 0), TEXEL_BLUR).astype(np.float32), label


def above_jaw() -> np.ndarray:
    """(H, W) bool: does the skin belong to the head, rather than to the neck?

    The border follows the edge of the jaw from the chin to under the ear, then the hairline.
    """
    x, y, z = np.moveaxis(places(), -1, 0)
    azimuth = np.degrees(np.arctan2(np.abs(x), z - JAW_AXIS))
    edge = np.interp(azimuth, [a for a, _ in JAW], [height for _, height in JAW])
    return y > edge


def lash_line() -> np.ndarray:
    """(H, W) float32: the rims of the lids, dark with lashes."""
    base = makehuman.base_mesh()
    eyes = np.concatenate([base.vertices[makehuman.centre(f"helper-{s}-eye")] for s in "lr"])
    distance = cKDTree(eyes).query(base.vertices[:BODY_VERTICES])[0]
    near = np.zeros((len(base.vertices), 1))
    near[:BODY_VERTICES, 0] = distance
    z = places()[..., 2]
    return np.clip(1.6 - texel_values(near)[..., 0] / LASH_REACH, 0, 1) * (z > FACE_ONLY)


def mix(colour: np.ndarray, other: np.ndarray, share: np.ndarray) -> None:
    """Paint `other` over `colour` (H, W, 3), in place, with opacity (H, W)."""
    colour += share[..., None] * (other - colour)


def noise(generator: np.random.Generator, cells: int) -> np.ndarray:
    """(H, W, 1) float32 smooth noise of about unit size, with so many cells a side."""
    coarse = generator.standard_normal((cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (TEXTURE, TEXTURE), interpolation=cv2.INTER_CUBIC)[..., None]
