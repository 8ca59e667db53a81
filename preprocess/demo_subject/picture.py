"""Drawing: a person in camera space, softly lit, in front of a backdrop, with its parsing map.

Embree finds what each sample sees; here it gets its colour. Light is computed in linear RGB: a
large key light whose shadows are soft, light from all around that corners receive less of, and a
little gloss. A pixel is seen through its middle, and where an edge is near through four places, of
which it is the mean; its class is that of most of them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from scipy.sparse import csr_matrix

from preprocess import makehuman
from preprocess.demo_subject.paint import linear
from preprocess.demo_subject.person import EYE, HAIR, LIMBUS, SKIN, TEETH, TONGUE, Person
from preprocess.demo_subject.rays import RayCaster
from ssp_nerf import parsing_map as classes

SAMPLES = 2  # a side of each pixel at an edge
EDGE_DEPTH = 0.05
"""Decimetres between a pixel and its neighbours that make an edge, where their class does not."""
AMBIENT_RAYS, AMBIENT_SEED = 96, 7
KEY_LIGHT = np.array([-3.5, 4.5, 7.0])
"""Where the key light is from the head, decimetres, camera axes: in front, above, to the left."""
KEY_SIZE, KEY_RAYS = 2.5, 12
"""Radius of the light in decimetres (a softbox), and the rays from each vertex towards it."""
KEY_COLOUR = np.array([1.02, 0.98, 0.92], np.float32) * 0.95
SKY_COLOUR = np.array([0.42, 0.45, 0.5], np.float32)
GROUND_COLOUR = np.array([0.26, 0.22, 0.2], np.float32)
WRAP = {
    SKIN: (0.35, 0.18, 0.12),
    EYE: (0.3,) * 3,
    TEETH: (0.3,) * 3,
    TONGUE: (0.3,) * 3,
    HAIR: (0.2,) * 3,
}
"""How far light goes round into the shade, for red, green, blue: skin scatters red most."""
GLOSS = {
    SKIN: (0.05, 18.0),
    EYE: (0.55, 160.0),
    TEETH: (0.25, 60.0),
    TONGUE: (0.1, 30.0),
    HAIR: (0.10, 14.0),
}
"""Strength and exponent of the highlight (Blinn and Phong)."""
TEETH_COLOUR, TONGUE_COLOUR, SCLERA = (232, 224, 205), (178, 84, 84), (226, 220, 214)
PUPIL, IRIS = 0.0234, 0.0527
"""Radii around the eye's axis in the base mesh, decimetres; `LIMBUS` is the iris's dark rim."""
SHADOW_BIAS = 0.01  # decimetres off the surface, against shadows of facets on themselves
MOUTH_SKY = 0.3
"""Teeth and tongue get at least this share of the light around: it scatters inside the mouth."""
MOUTH_OPEN = {"jawOpen": 0.5}
CLASS_OF = {EYE: classes.EYE, TEETH: classes.TEETH, TONGUE: classes.TEETH, HAIR: classes.HAIR}


@dataclass(frozen=True)
class View:
    """A camera at the origin, looking along -z with y up (OpenGL).

    Attributes:
        size: pixels, a square picture.
        focal: pixels.
    """

    size: int
    focal: float

    def directions(self, samples: int) -> np.ndarray:
        """(size, size, samples^2, 3) directions of the rays through each pixel, z = -1."""
        steps = (np.arange(self.size * samples) + 0.5) / samples - self.size / 2
        x, y = np.meshgrid(steps / self.focal, -steps / self.focal)
        fine = np.stack([x, y, -np.ones_like(x)], axis=-1).astype(np.float32)
        pixels = fine.reshape(self.size, samples, self.size, samples, 3).swapaxes(1, 2)
        return pixels.reshape(self.size, self.size, samples**2, 3)


class Surface(NamedTuple):
    """The person in one frame: what rays meet, and what is known at its vertices."""

    caster: RayCaster
    at_vertices: np.ndarray  # (V, 11): place, normal, key light, open sky, colour
    head: np.ndarray  # (3,)


class Seen(NamedTuple):
    """What R rays see: colour (R, 3) linear, class (R,), depth (R,); background: 0, 0, infinity."""

    colour: np.ndarray
    label: np.ndarray
    depth: np.ndarray


class Painter:
    """Draws one person, frame by frame.

    Args:
        person: who.
        view: the camera.
        backdrop: (size, size, 3) uint8, the scene without the person.
    """

    def __init__(self, person: Person, view: View, backdrop: np.ndarray):
        self.person, self.view = person, view
        self.middles = view.directions(1)[:, :, 0]
        self.parts = view.directions(SAMPLES)
        triangles = person.triangles
        corners = np.arange(triangles.size) // 3
        self.used = np.unique(triangles)
        self.sum_at_vertices = csr_matrix(
            (np.ones(triangles.size), (triangles.ravel(), corners)),
            shape=(len(person.vertices), len(triangles)),
        )
        self.colour = vertex_colours(person)
        self.beside_axis = beside_eye_axis(person)
        self.wrap = np.array([WRAP[m] for m in range(len(WRAP))], np.float32)
        self.gloss = np.array([GLOSS[m] for m in range(len(GLOSS))], np.float32)
        generator = np.random.default_rng(AMBIENT_SEED)
        self.light = KEY_LIGHT + KEY_SIZE * ball(generator, KEY_RAYS)
        around = ball(generator, AMBIENT_RAYS)
        # What the lips hide at rest is seen with the mouth open, and then light reaches it.
        self.open_sky = np.maximum(
            *(self._ambient(person.expression(units), around) for units in ({}, MOUTH_OPEN))
        )
        mouth = np.isin(person.material, (TEETH, TONGUE))
        inside = np.unique(triangles[mouth])
        self.open_sky[inside] = np.maximum(self.open_sky[inside], MOUTH_SKY)
        self.behind = linear(backdrop)

    def draw(self, vertices: np.ndarray, head: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw a frame.

        Args:
            vertices: (V, 3) the person in camera axes, decimetres.
            head: (3,) the middle of the head there; the light is placed from it.

        Returns:
            (size, size, 3) uint8 RGB and (size, size) uint8 classes.
        """
        caster = RayCaster(vertices, self.person.triangles)
        normals = self._normals(vertices)
        lit = self._lit(caster, vertices, normals, head)
        at_vertices = np.concatenate(
            [vertices, normals, lit[:, None], self.open_sky[:, None], self.colour], axis=1
        )
        surface = Surface(caster, at_vertices.astype(np.float32), head)

        shape = self.view.size, self.view.size
        colour, label = self.behind.copy(), np.zeros(shape, np.uint8)
        depth = np.full(shape, np.inf, np.float32)
        box = self._box_around(vertices)
        middle = self._look(surface, self.middles[box].reshape(-1, 3))
        person = (middle.label != classes.BACKGROUND).reshape(label[box].shape)
        colour[box][person] = middle.colour[person.ravel()]
        label[box] = middle.label.reshape(person.shape)
        depth[box] = middle.depth.reshape(person.shape)

        edge = edges(label, depth)
        parts = self._look(surface, self.parts[edge].reshape(-1, 3))
        labels = parts.label.reshape(-1, SAMPLES**2)
        behind = np.repeat(self.behind[edge], SAMPLES**2, axis=0)
        colours = np.where(parts.label[:, None] == classes.BACKGROUND, behind, parts.colour)
        colour[edge] = colours.reshape(-1, SAMPLES**2, 3).mean(1)
        label[edge] = majority(labels)
        return to_srgb(colour), label

    def _look(self, surface: Surface, rays: np.ndarray) -> Seen:
        """What rays (R, 3) from the camera see of the person."""
        person = self.person
        triangle, weights, _ = surface.caster.hits(np.zeros(3), rays)
        met = np.flatnonzero(triangle >= 0)
        triangle, weights = triangle[met], weights[met]
        corners = person.triangles[triangle]
        material = person.material[triangle]
        place, normal, key, sky, albedo = np.split(
            interpolate(surface.at_vertices, corners, weights), [3, 6, 7, 8], axis=1
        )
        normal = unit(normal)
        normal *= np.where((normal * place).sum(1, keepdims=True) > 0, -1, 1)  # seen from behind

        label = np.array([CLASS_OF.get(m, 0) for m in range(len(WRAP))], np.uint8)[material]
        skin = np.flatnonzero(material == SKIN)
        texel = texels_of(person, triangle[skin], weights[skin])
        albedo[skin] = bilinear(person.skin_colour, texel)
        nearest = texel.round().astype(int)
        label[skin] = person.skin_class[nearest[:, 1], nearest[:, 0]]
        eye = np.flatnonzero(material == EYE)
        albedo[eye] = self._eye_colours(interpolate(self.beside_axis, corners[eye], weights[eye]))

        seen = Seen(
            np.zeros((len(rays), 3), np.float32),
            np.full(len(rays), classes.BACKGROUND, np.uint8),
            np.full(len(rays), np.inf, np.float32),
        )
        seen.colour[met] = self._shade(place, normal, key, sky, albedo, material, surface.head)
        seen.label[met] = label
        seen.depth[met] = -place[:, 2]
        return seen

    def _box_around(self, vertices: np.ndarray) -> tuple[slice, slice]:
        """Rows and columns of the smallest upright box of pixels around the person."""
        size = self.view.size
        used = vertices[self.used]
        x, y = (self.view.focal * used[:, :2] / -used[:, 2:] * (1, -1) + size / 2).T
        left, right = np.clip([x.min(), x.max() + 1], 0, size).astype(int)
        top, bottom = np.clip([y.min(), y.max() + 1], 0, size).astype(int)
        return slice(top, bottom), slice(left, right)

    def _normals(self, vertices: np.ndarray) -> np.ndarray:
        a, b, c = np.moveaxis(vertices[self.person.triangles], 1, 0)
        return unit(self.sum_at_vertices @ np.cross(b - a, c - a))

    def _ambient(self, vertices: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """(V,) share of the light from all around that reaches each vertex, at rest."""
        caster = RayCaster(vertices, self.person.triangles)
        normals = self._normals(vertices)[self.used]
        share = np.zeros(len(vertices))
        # A direction of the unit ball added to the normal is distributed like the cosine.
        for direction in unit(directions):
            towards = unit(normals + 0.98 * direction)
            share[self.used] += ~caster.blocked(vertices[self.used], towards)
        return share / len(directions)

    def _lit(
        self, caster: RayCaster, vertices: np.ndarray, normals: np.ndarray, head: np.ndarray
    ) -> np.ndarray:
        """(V,) share of the key light that each vertex sees."""
        share = np.zeros(len(vertices))
        facing = self.used[
            ((head + KEY_LIGHT - vertices[self.used]) * normals[self.used]).sum(1) > -KEY_SIZE
        ]
        for lamp in self.light:
            towards = unit(head + lamp - vertices[facing])
            start = vertices[facing] + SHADOW_BIAS * normals[facing]
            share[facing] += ~caster.blocked(start, towards)
        return share / len(self.light)

    def _shade(
        self,
        place: np.ndarray,
        normal: np.ndarray,
        key: np.ndarray,
        sky: np.ndarray,
        albedo: np.ndarray,
        material: np.ndarray,
        head: np.ndarray,
    ) -> np.ndarray:
        """(R, 3) linear RGB of what the samples see."""
        light = unit((head + KEY_LIGHT).astype(np.float32) - place)
        view = unit(-place)
        facing = (normal * light).sum(1, keepdims=True)
        wrap = self.wrap[material]
        direct = np.clip((facing + wrap) / (1 + wrap) ** 2, 0, None) * KEY_COLOUR * key
        up = 0.5 + 0.5 * normal[:, 1:2]
        around = (SKY_COLOUR * up + GROUND_COLOUR * (1 - up)) * sky
        strength, exponent = np.split(self.gloss[material], 2, axis=1)
        half = np.clip((normal * unit(light + view)).sum(1, keepdims=True), 0, 1)
        return albedo * (direct + around) + strength * half**exponent * key * KEY_COLOUR

    def _eye_colours(self, beside_axis: np.ndarray) -> np.ndarray:
        """(R, 3) linear RGB of the eyeballs at places (R, 2) beside their axes."""
        radius = np.linalg.norm(beside_axis, axis=1, keepdims=True)
        iris = linear(self.person.look.paint.iris)
        colour = np.where(radius < LIMBUS, iris * 0.35, linear(SCLERA))
        colour = np.where(radius < IRIS, iris * (0.6 + 0.6 * (radius / IRIS) ** 2), colour)
        return np.where(radius < PUPIL, 0.008, colour)


def vertex_colours(person: Person) -> np.ndarray:
    """(V, 3) linear RGB of what is not painted by texture: hair, teeth, tongue."""
    colours = np.zeros((len(person.vertices), 3))
    for material, colour in (
        (HAIR, person.look.paint.hair),
        (TEETH, TEETH_COLOUR),
        (TONGUE, TONGUE_COLOUR),
    ):
        colours[np.unique(person.triangles[person.material == material])] = linear(colour)
    return colours * person.hair_shade[:, None]


def beside_eye_axis(person: Person) -> np.ndarray:
    """(V, 2) where the eyeballs' vertices are beside their axes in the base mesh, decimetres.

    The axes run along z through the eyeballs' middles.
    """
    beside = np.zeros((len(person.vertices), 2))
    for eye in person.eyes:
        flat = makehuman.base_mesh().vertices[eye, :2]
        beside[eye] = flat - (flat.min(0) + flat.max(0)) / 2
    return beside


def texels_of(person: Person, triangle: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(R, 2) float32 column and row in the skin's texture of points in triangles."""
    height, width = person.skin_class.shape
    u, v = np.moveaxis(np.einsum("rk,rkc->rc", weights, person.texture[triangle]), -1, 0)
    texel = np.stack([u * width - 0.5, (1 - v) * height - 0.5], axis=1)
    return texel.clip(0, width - 1).astype(np.float32)


def interpolate(values: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(V, C) values at vertices -> (R, C) at points with corners (R, 3) and weights (R, 3)."""
    return sum(values[corners[:, k]] * weights[:, k, None] for k in range(3))


def edges(label: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels beside which, or in which, something else begins; eyes and the
    inside of the mouth altogether.

    Args:
        label: (H, W) uint8 classes.
        depth: (H, W) float32 decimetres, infinite behind the person.
    """
    around = np.ones((3, 3), np.uint8)
    other = cv2.dilate(label, around) != cv2.erode(label, around)
    finite = np.minimum(depth, np.finfo(np.float32).max)
    jump = cv2.dilate(finite, around) - cv2.erode(finite, around) > EDGE_DEPTH
    return other | jump | np.isin(label, (classes.EYE, classes.TEETH))


def bilinear(picture: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(R, C) of a picture (H, W, C) at places (R, 2), column and row, inside it."""
    column, row = np.floor(places).astype(int).T
    right, below = (places - np.floor(places)).T[..., None]
    last_row, last_column = picture.shape[0] - 1, picture.shape[1] - 1
    next_row, next_column = np.minimum(row + 1, last_row), np.minimum(column + 1, last_column)
    above = picture[row, column] * (1 - right) + picture[row, next_column] * right
    beneath = picture[next_row, column] * (1 - right) + picture[next_row, next_column] * right
    return above * (1 - below) + beneath * below


def majority(labels: np.ndarray) -> np.ndarray:
    """(R, 4) classes of samples -> (R,) the class of most; of two pairs the lower one."""
    a, b, c, d = np.sort(labels, axis=1).T
    return np.where((a == b) | (b == c), b, np.where(c == d, c, a))


def unit(vectors: np.ndarray) -> np.ndarray:
    """(..., 3) vectors of length one."""
    length = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    return vectors / np.maximum(length, np.finfo(np.float32).tiny)


def ball(generator: np.random.Generator, count: int) -> np.ndarray:
    """(count, 3) points of a sphere's surface, evenly: Fibonacci's spiral, turned at random."""
    step = np.arange(count) + 0.5
    z = 1 - 2 * step / count
    turn = np.pi * (1 + 5**0.5) * step + generator.uniform(0, 2 * np.pi)
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=1)


def to_srgb(light: np.ndarray) -> np.ndarray:
    """Linear light (..., 3) -> sRGB uint8 (IEC 61966-2-1)."""
    light = np.clip(light, 0, 1)
    value = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * value).round().astype(np.uint8)
