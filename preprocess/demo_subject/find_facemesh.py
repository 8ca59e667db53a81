"""Find where FaceMesh puts its points on MakeHuman's mesh, by looking at bald faces.

`python -m preprocess.demo_subject.find_facemesh --table preprocess/makehuman_points.csv`
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from preprocess import face_topology as mesh
from preprocess import makehuman
from preprocess.demo_subject.hair import Haircut
from preprocess.demo_subject.paint import Paint
from preprocess.demo_subject.person import HAIR, LIMBUS, SKIN, Look, Person, build_person
from preprocess.demo_subject.picture import Painter, View, texels_of, unit
from preprocess.demo_subject.rays import RayCaster
from preprocess.landmarks_mediapipe import FaceMesh
from preprocess.makehuman_points import COLUMNS
from ssp_nerf import cli
from ssp_nerf import parsing_map as classes
from ssp_nerf.files import whole_output
from ssp_nerf.progress import progress

VIEW = View(450, 1200.0)
DISTANCE = 9.0  # decimetres from the eyes
TURNS = [(yaw, pitch) for pitch in (-8, 0, 8) for yaw in (-24, -12, 0, 12, 24)]  # degrees
PALE = ((222, 180, 152), (188, 98, 94), (92, 64, 46), (84, 92, 70), (0,) * 3, (90,) * 3, (90,) * 3)
DARK = ((146, 98, 72), (134, 78, 72), (34, 26, 22), (58, 40, 28), (0,) * 3, (90,) * 3, (90,) * 3)
"""Skin, lips, brows, irises, hair, clothes, collar, sRGB."""
LINE = (90.0,) * 7  # bald
EXPRESSIONS: tuple[dict[str, float], ...] = ({}, {"jawOpen": 0.3})
"""With closed lips one cannot tell the inner rim of the upper lip from that of the lower one."""
FACING = 0.35
"""Cosine between skin and view below which a place is seen too obliquely to be sure of."""
ELSEWHERE = 0.1
"""Decimetres from which on a place is simply another one: rays that just miss the chin meet the
throat, however far behind it is."""
CENTRAL = 0.2  # decimetres from the middle of the face that either side shows
GREY = 128
MOUTH_CORNER = 0.19
"""Decimetres from the middle; FaceMesh's inner corners are farther out."""
COLUMN = 0.035  # decimetres between MakeHuman's columns of lip vertices, and a little more
FALLS_WITH_JAW = -0.12
"""Decimetres that the lower lip falls at least where the mouth is open; the upper one less."""
SITTERS = tuple(
    Look({f"macrodetails/{kind}": 1, **more}, Haircut(LINE, 0.1, 9), paint)
    for kind, more, paint in (
        ("caucasian-male-young", {"head/head-square": 0.3}, Paint(*PALE)),
        ("african-female-young", {"head/head-oval": 0.3}, Paint(*DARK)),
        ("asian-male-young", {"mouth/mouth-scale-horiz-incr": 0.3}, Paint(*PALE)),
        ("caucasian-female-old", {}, Paint(*PALE)),
    )
)
"""Heads that are nobody's: what is measured on the people of `looks` must not define the truth."""
IRIS_DIRECTIONS = ((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1))
"""The points of an iris, from its middle: FaceMesh's order, x to the left of the person, y up."""


def find_anchors() -> tuple[np.ndarray, np.ndarray]:
    """Look at bald faces from all sides and find where the detector puts its points.

    Returns:
        As `makehuman_points.anchors`.
    """
    views = []
    people = [bald(build_person(look)) for look in SITTERS]
    seen = [(p, e, t) for p in people for e in EXPRESSIONS for t in TURNS]
    painter: Painter | None = None
    for person, expression, (yaw, pitch) in progress(seen, "find the points", len(seen), "view"):
        if painter is None or painter.person is not person:
            painter = Painter(person, VIEW, np.full((VIEW.size, VIEW.size, 3), GREY, np.uint8))
        turn = Rotation.from_euler("YX", [yaw, pitch], degrees=True).as_matrix()
        eye = person.joint("l-eye") * (0, 1, 1)
        vertices = (person.expression(expression) - eye) @ turn.T - (0, 0, DISTANCE)
        image, _ = painter.draw(vertices, np.array([0, 0, -DISTANCE]))
        points = FaceMesh().points(image)  # a new one: what it saw before would sway it
        if points is not None:
            pixels = points[: mesh.MESH_POINTS, :2]
            views.append(places_under(person, vertices, pixels, yaw, bool(expression)))
    skin, irises = on_lip_rims(*medoids(views)), on_irises()
    return np.concatenate([skin[0], irises[0]]), np.concatenate([skin[1], irises[1]])


def on_lip_rims(corners: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put the inner points of the lips (as `makehuman_points.anchors`) where the lips meet.

    Through a mouth that is a little open a ray passes the rim and meets the lip behind it. The rim
    is the lowest of the upper lip, the highest of the lower, at the point's own distance from the
    middle; a lip is upper or lower by whether it falls with the jaw.
    """
    base = makehuman.base_mesh()
    falls = makehuman.offsets({"faceunits/jawOpen": 1.0})[:, 1] < FALLS_WITH_JAW
    quads = base.groups["body"]
    height, width = (lips := makehuman.mask("lips")).shape
    u, v = np.moveaxis(base.texture[quads[..., 1]].mean(1), -1, 0)
    on_lips = lips[((1 - v) * height).astype(int), (u * width).astype(int)] > 0.5
    lip = np.unique(quads[on_lips][..., 0])
    half = len(mesh.LIPS_INNER) // 2  # from corner to corner along the lower lip, then the upper
    for order, point in enumerate(mesh.LIPS_INNER):
        place = weights[point] @ base.vertices[corners[point]]
        if abs(place[0]) > MOUTH_CORNER:
            continue  # in the corners both lips are one
        own = lip[falls[lip] == (order < half)]
        up = base.vertices[own, 1] * (1 if order < half else -1)
        aside = base.vertices[own, 0] - place[0]
        rim = [
            own[near][up[near].argmax()]
            for near in ((aside <= 0) & (aside > -COLUMN), (aside > 0) & (aside < COLUMN))
            if near.any()
        ]
        ends = base.vertices[rim, 0]
        share = np.interp(place[0], ends, np.arange(len(rim)))
        corners[point] = rim[0], rim[-1], rim[-1]
        weights[point] = 1 - share, share, 0
    return corners, weights


def on_irises() -> tuple[np.ndarray, np.ndarray]:
    """(10, 3) vertices and (10, 3) weights of the irises' middles and rims, right eye first."""
    base = makehuman.base_mesh()
    corners, weights = [], []
    for group in ("helper-r-eye", "helper-l-eye"):
        quads = base.groups[group][..., 0]
        triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        eyeball = base.vertices[makehuman.centre(group)]
        middle = (eyeball.min(0) + eyeball.max(0)) / 2
        starts = middle + np.pad(LIMBUS * np.array(IRIS_DIRECTIONS), ((0, 0), (0, 1)))
        ahead = np.broadcast_to([0.0, 0.0, 1.0], starts.shape)
        met, shares, _ = RayCaster(base.vertices, triangles).hits(starts, ahead)
        corners.append(triangles[met])
        weights.append(shares)
    return np.concatenate(corners), np.concatenate(weights)


def bald(person: Person) -> Person:
    """The person without hair."""
    keep = person.material != HAIR
    return replace(
        person,
        triangles=person.triangles[keep],
        material=person.material[keep],
        texture=person.texture[keep],
    )


@dataclass(frozen=True)
class Places:
    """What P rays met: corners (P, 3) with their weights (P, 3), and how far to trust each (P,).

    Trust is the cosine between skin and view, 0 where the ray met something else.
    """

    corners: np.ndarray
    weights: np.ndarray
    trust: np.ndarray


def places_under(
    person: Person, vertices: np.ndarray, pixels: np.ndarray, yaw: float, opened: bool
) -> Places:
    """Where the rays through pixels (P, 2) meet the skin.

    Of a side that is turned away the detector draws the outline, wherever its points are; so only
    what is turned to the camera, or near the middle, is trusted.
    """
    rays = np.stack(
        [
            (pixels[:, 0] - VIEW.size / 2) / VIEW.focal,
            (VIEW.size / 2 - pixels[:, 1]) / VIEW.focal,
            -np.ones(len(pixels)),
        ],
        axis=1,
    )
    triangle, weights, _ = RayCaster(vertices, person.triangles).hits(np.zeros(3), rays)
    corners = person.triangles[triangle]
    a, b, c = np.moveaxis(vertices[corners], 1, 0)
    cosine = -(unit(np.cross(b - a, c - a)) * unit(rays)).sum(1)
    skin = person.material[triangle] == SKIN
    texel = texels_of(person, triangle, weights).round().astype(int)
    cavity = person.skin_class[texel[:, 1], texel[:, 0]] == classes.TEETH
    unsure = np.isin(np.arange(len(pixels)), mesh.LIPS_INNER) & (not opened)
    aside = (weights * makehuman.base_mesh().vertices[corners, 0]).sum(1)
    away = aside * np.sign(yaw) > CENTRAL
    trust = np.where((triangle >= 0) & skin & ~cavity & ~unsure & ~away, cosine, 0)
    return Places(corners, weights, np.where(trust > FACING, trust, 0))


def medoids(views: Sequence[Places]) -> tuple[np.ndarray, np.ndarray]:
    """For each point the place that is nearest to all the others, as `makehuman_points.anchors`."""
    base = makehuman.base_mesh().vertices
    corners = np.stack([view.corners for view in views])
    weights = np.stack([view.weights for view in views])
    trust = np.stack([view.trust for view in views])
    places = np.einsum("npk,npkd->npd", weights, base[corners])
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1).clip(max=ELSEWHERE)
    cost = np.where(trust > 0, (apart * trust[None]).sum(1), np.inf)
    best = cost.argmin(0)
    lost = np.flatnonzero(~np.isfinite(cost.min(0)))
    assert not len(lost), f"points {lost} were never seen on the skin"
    point = np.arange(len(best))
    return corners[best, point], weights[best, point]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.demo_subject.find_facemesh", __doc__)
    parser.add_argument("--table", type=Path, required=True, help="CSV file to write")

    def command(options: argparse.Namespace) -> None:
        corners, weights = find_anchors()
        with whole_output(options.table) as partial, open(partial, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for point, (vertices, shares) in enumerate(zip(corners, weights, strict=True)):
                writer.writerow([point, *vertices, *(f"{share:.5f}" for share in shares)])

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
