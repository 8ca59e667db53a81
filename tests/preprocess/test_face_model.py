"""Pose, focal length and shape against a face, expressions and a camera that are known."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from scipy.spatial.transform import Rotation

from preprocess import face_topology as mesh
from preprocess.face_fit import (
    Fit,
    all_expressions,
    first_fit,
    fit_clip,
    points_of,
    skull_errors,
    to_shape,
)
from preprocess.face_model import depth_range, main, person
from preprocess.face_models import build, facemesh, makehuman
from preprocess.face_template import ALONG_CONTOUR, precision, similarities, subdivide
from preprocess.focal import search_focal
from preprocess.head_frame import frontal_axes
from preprocess.quiet import quiet_native_stderr
from preprocess.seen_points import JAW_OUTLINE
from preprocess.smoothing import smooth_poses, whittaker
from ssp_nerf.cameras import c2w_from_head_pose_opencv, project, to_camera
from ssp_nerf.schema import LANDMARKS, TRACK
from tests.preprocess.faces import KnownClip, known_clip
from tests.preprocess.stages import refused, write_frames, write_landmarks

NOISE = 0.5  # pixels
MEAN_DISTANCE = NOISE * np.sqrt(np.pi / 2)
"""Mean length of a 2-D Gaussian error: what remains if the fit is right."""


@cache
def skin() -> np.ndarray:
    """(468, 3) FaceMesh points of a real face."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    with quiet_native_stderr():
        detector = FaceMesh(static_image_mode=True, refine_landmarks=True)
        faces = detector.process(skimage.data.astronaut()).multi_face_landmarks
    return np.array([(p.x, p.y, p.z) for p in faces[0].landmark[: mesh.MESH_POINTS]])


@cache
def clip(focal: float = 1300.0) -> KnownClip:
    return known_clip(skin(), frames=100, focal=focal, noise=NOISE)


@cache
def fitted(focal: float = 1300.0, given: float | None = None, smoothness: float = 0.0) -> Fit:
    return fit_landmarks(clip(focal), given, smoothness)


def fit_landmarks(known: KnownClip, given: float | None = None, smoothness: float = 0.0) -> Fit:
    """With the face model that is learned from the clip."""
    points = points_of(facemesh.learn(known.points))
    focal = (
        search_focal(points, centred(known), known.height, np.ones(len(centred(known))))[0]
        if given is None
        else given
    )
    trust = np.ones(len(known.points))
    fit = fit_clip(centred(known), points, known.height, focal, smoothness, trust)
    return all_expressions(fit, centred(known), known.height)


def centred(known: KnownClip) -> np.ndarray:
    return known.points[:, : mesh.MESH_POINTS, :2] - np.array([known.width, known.height]) / 2


def rotation_errors(fit: Fit, known: KnownClip, relative: bool = False) -> np.ndarray:
    """(N,) degrees between the fitted and the true rotations, or between those from their mean."""
    c2w = c2w_from_head_pose_opencv(fit.rotations, fit.translations)
    found, true = (Rotation.from_matrix(pose[..., :3]) for pose in (c2w, known.c2w))
    if relative:
        found = (true * found.inv()).mean() * found
    return np.degrees((true.inv() * found).magnitude())


def head_in_camera(c2w: np.ndarray) -> np.ndarray:
    """(N, 3) the head's origin in camera coordinates."""
    return to_camera(np.zeros((1, 3)), c2w)[:, 0]


@pytest.mark.parametrize("smoothness", [0.0, 1.0])
def test_known_poses_are_found(smoothness: float) -> None:
    known, fit = clip(), fitted(given=1300.0, smoothness=smoothness)
    assert rotation_errors(fit, known).mean() < 1.0
    found = head_in_camera(c2w_from_head_pose_opencv(fit.rotations, fit.translations))
    error = found - head_in_camera(known.c2w)
    assert np.abs(error[:, :2]).mean() < 0.02, "0.2 % of the distance, across the view"
    assert np.abs(error[:, 2]).mean() < 0.02 * 1300 * 1.6 / 225, "2 % of the distance: the irises"
    # Free unknowns take a little noise out, smoothing and the prior put a little in.
    assert skull_errors(fit, centred(known)).mean() == pytest.approx(MEAN_DISTANCE, rel=0.1)


def test_the_shape_is_found() -> None:
    fit = fitted(given=1300.0)
    (rotation,), (scale,), (shift,) = similarities(fit.shape, clip().shape[None])
    assert scale == pytest.approx(1, abs=0.02)
    error = np.linalg.norm(scale * fit.shape @ rotation.T + shift - clip().shape, axis=1)
    assert error.mean() < 0.01, "1 mm"
    np.testing.assert_allclose(frontal_axes(fit.shape), np.eye(3), atol=0.05)


def test_the_focal_length_is_found_roughly_and_in_order() -> None:
    """One view says little of it: the prior draws 900 and 1800 together, but keeps their order."""
    found = []
    for true in (900.0, 1300.0, 1800.0):
        known = clip(true)
        points = points_of(facemesh.learn(known.points))
        focal, curve = search_focal(
            points, centred(known), known.height, np.ones(len(centred(known)))
        )
        assert min(curve) <= focal <= max(curve)
        found.append(focal)
    assert found == sorted(found)
    assert found[1] == pytest.approx(1300, rel=0.15)
    # What the head does is right even then: its turns from one frame to another.
    assert rotation_errors(fitted(900.0), clip(900.0), relative=True).mean() < 1


def test_a_longer_clip_says_no_more_of_the_focal_length() -> None:
    """FaceMesh errs the same way whenever the head turns the same way; the prior stays felt."""
    known = clip(900.0)
    found = []
    for times in (1, 4):
        points = np.tile(known.points, (times, 1, 1))
        pixels = np.tile(centred(known), (times, 1, 1))
        model = points_of(facemesh.learn(points))
        found.append(search_focal(model, pixels, known.height, np.ones(len(pixels)))[0])
    assert found[1] == pytest.approx(found[0], rel=0.03)


def test_the_sides_of_the_face_say_little_of_height() -> None:
    weights = precision(clip().shape)
    temples, middle = [127, 356, 234, 454], [4, 152, 10, 61, 291]
    np.testing.assert_allclose(weights[temples], [[1, ALONG_CONTOUR**-2]] * 4)
    np.testing.assert_allclose(weights[middle], 1)


def test_a_sliding_outline_hardly_turns_the_head() -> None:
    """As FaceMesh does, let the sides follow only two thirds of the height that a nod gives."""
    known = clip()
    sides = np.flatnonzero(precision(known.shape)[:, 1] < 1)
    nod = Rotation.from_matrix(known.c2w[..., :3]).inv().as_euler("YXZ")[:, 1]
    nod -= nod.mean()
    depth = (known.shape[sides, 2] - known.shape[:, 2].mean()) * known.points[:, :, 0].std() / 0.5
    points = known.points.copy()
    points[:, sides, 1] -= nod[:, None] * depth / 3
    fit = fit_landmarks(replace(known, points=points), 1300.0)
    assert rotation_errors(fit, known, relative=True).mean() < 0.4, "0.5 if heights weigh the same"


def test_the_distance_is_smoothed_more_than_the_rest() -> None:
    """White noise of equal size: less of it is left in the distance, and the mean stays."""
    random = np.random.default_rng(0)
    translations = random.normal(0, 0.01, (200, 3)) + (0, 0, 9)
    rotations = np.tile(np.eye(3), (200, 1, 1))
    _, smooth = smooth_poses(rotations, translations, 1.0, np.ones(200))
    left = smooth.std(0)
    assert left[2] < 0.7 * left[:2].min()
    assert smooth[:, 2].mean() == pytest.approx(translations[:, 2].mean(), abs=1e-9)


def test_twice_the_focal_length_is_twice_the_distance() -> None:
    """The trade-off itself: another lens fits nearly as well, from farther away."""
    near, far = fitted(given=1300.0), fitted(given=2600.0)
    assert far.translations[:, 2].mean() == pytest.approx(
        2 * near.translations[:, 2].mean(), rel=0.05
    )
    errors = [skull_errors(fit, centred(clip())).mean() for fit in (near, far)]
    assert errors[1] < 1.1 * errors[0]


def test_smoothing_takes_the_jitter_out() -> None:
    known = clip()
    rough, smooth = fitted(given=1300.0), fitted(given=1300.0, smoothness=1.0)
    jitter = [
        np.linalg.norm(
            np.diff(c2w_from_head_pose_opencv(f.rotations, f.translations)[..., 3], n=2, axis=0),
            axis=1,
        ).mean()
        for f in (rough, smooth)
    ]
    assert jitter[1] < jitter[0] / 2
    errors = [rotation_errors(f, known, relative=True).mean() for f in (rough, smooth)]
    assert errors[1] < errors[0], "and it is nearer to the truth"


def test_whittaker_has_the_response_it_claims() -> None:
    time = np.arange(600)
    penalty, trust = np.ones(598), np.ones(600)
    for period in (6, 8, 12, 40):
        wave = np.sin(2 * np.pi * time / period)
        smooth = whittaker(wave[:, None], penalty, trust)[:, 0]
        gain = 1 / (1 + (2 * np.sin(np.pi / period)) ** 4)
        np.testing.assert_allclose(smooth[100:500], gain * wave[100:500], atol=1e-6)


def test_whittaker_leaves_lines_and_bridges_gaps() -> None:
    line = np.linspace(-1, 3, 50)[:, None]
    trust = np.ones(50)
    np.testing.assert_allclose(whittaker(line, np.full(48, 9.0), trust), line, atol=1e-9)
    trust[20:30] = 0
    holed = np.where(trust[:, None] > 0, line, 100.0)
    np.testing.assert_allclose(whittaker(holed, np.ones(48), trust), line, atol=1e-4)


def test_a_cut_is_not_smeared() -> None:
    """A jump of 0.3 dm between two quiet takes: the frames at the cut keep their places."""
    random = np.random.default_rng(0)
    translations = random.normal(0, 0.002, (80, 3)) + (0, 0, 9)
    translations[40:, 0] += 0.3
    _, smooth = smooth_poses(np.tile(np.eye(3), (80, 1, 1)), translations, 1.0, np.ones(80))
    assert np.abs(smooth - translations)[38:42, 0].max() < 0.01
    quiet = slice(5, 35)
    assert (
        np.diff(smooth[quiet], 2, axis=0).std() < np.diff(translations[quiet], 2, axis=0).std() / 2
    )


def test_moving_the_head_frame_changes_no_picture() -> None:
    """Of the mean expression: what a frame adds to it keeps its axes."""
    fit = fitted(given=1300.0)
    fit = replace(fit, expression=np.zeros_like(fit.expression))
    turn = Rotation.from_rotvec([0.1, -0.2, 0.05]).as_matrix()
    moved = to_shape(fit, 1.3 * fit.shape @ turn.T + (0.1, 0.2, -0.3))
    np.testing.assert_allclose(moved.project(), fit.project(), atol=1e-6)
    np.testing.assert_allclose(moved.shape, 1.3 * fit.shape @ turn.T + (0.1, 0.2, -0.3), atol=1e-9)


@cache
def morphed(focal: float = 1300.0) -> tuple[KnownClip, np.ndarray]:
    """A clip of a head of the model makehuman, and its identity's coefficients."""
    model, random = makehuman.load(), np.random.default_rng(3)
    identity = random.normal(size=len(model.identity))
    face = model.points(model.vertices + np.tensordot(identity, model.identity, axes=1))
    time = np.arange(100) / 25
    moves = model.points(model.expression)
    strength = 0.4 * np.sin(
        np.outer(time, random.uniform(2, 9, len(moves))) + np.arange(len(moves))
    )
    faces = face + np.tensordot(strength, moves, axes=1)
    turns = [0.15 * np.sin(1.1 * time), 0.25 * np.sin(0.7 * time + 1), 0.08 * np.sin(1.7 * time)]
    rotations = np.diag([1.0, -1.0, -1.0]) @ Rotation.from_rotvec(np.transpose(turns)).as_matrix()
    shifts = np.stack([0.1 * np.sin(time), 0.1 * np.cos(time), 9 + 0.1 * np.sin(0.5 * time)], 1)
    c2w = c2w_from_head_pose_opencv(rotations, shifts)
    pixels = project(faces, c2w, focal, 450, 450) + random.normal(0, NOISE, (100, 468, 2))
    points = np.zeros((100, mesh.POINTS, 3))
    points[:, : mesh.MESH_POINTS, :2] = pixels
    return KnownClip(points, face, c2w, focal, 450, 450), identity


def test_a_head_of_the_model_is_recognised() -> None:
    known, identity = morphed()
    points = points_of(makehuman.load())
    fit = fit_clip(centred(known), points, known.height, 1300.0, 0.0, np.ones(100))
    fit = all_expressions(fit, centred(known), known.height)
    mean_head = first_fit(points, centred(known), 1300.0)
    errors = [rotation_errors(f, known, relative=True).mean() for f in (fit, mean_head)]
    assert errors[0] < 0.7 and errors[0] < errors[1] / 2
    error = fit.shape - fit.shape.mean(0) - (known.shape - known.shape.mean(0))
    assert np.linalg.norm(error, axis=1).mean() < 0.02, "2 mm; the head differs by 4 from the mean"
    # The first components move the face most, so they are the best known.
    found = fit.identity[:10] @ identity[:10] / np.linalg.norm(fit.identity[:10])
    assert found / np.linalg.norm(identity[:10]) > 0.8
    # Expressions are held back for the sake of the poses, and move the brows.
    assert skull_errors(fit, centred(known)).mean() < 1.7 * MEAN_DISTANCE


@pytest.mark.parametrize("observed", [np.arange(468), mesh.MESH_TO_68[17:]])
def test_offsets_reach_the_vertices_without_overshooting(observed: np.ndarray) -> None:
    """Offsets of neighbours that contradict each other, as a detector's may."""
    model = makehuman.load()
    points = points_of(model).only(observed)
    fit = first_fit(points, np.zeros((0, len(observed), 2)), 1300.0)
    offsets = np.random.default_rng(0).normal(0, 0.02, points.mean.shape)
    moved = person(replace(fit, offsets=offsets), model, observed) - model.vertices
    length = np.linalg.norm(moved, axis=1)
    assert length.max() < 1.1 * np.linalg.norm(offsets, axis=1).max()
    at_points = model.points(moved)[observed]
    assert np.corrcoef(at_points.ravel(), offsets.ravel())[0, 1] > 0.8
    back = model.vertices[:, 2] < model.vertices[:, 2].min() + 0.3
    assert length[back].max() < 0.1 * length.max(), "the back of the head is not seen"


def test_the_68_points_are_enough(tmp_path: Path) -> None:
    """Whatever the outline of the jaw does, which is another part of the skin each time."""
    known, _ = morphed()
    points = known.points[:, mesh.MESH_TO_68]
    points[:, JAW_OUTLINE] = 200.0
    landmarks = write_landmarks(tmp_path / "l.h5", points, known.width, known.height)
    track = tmp_path / "track.h5"
    main([*inputs(landmarks), "--track", str(track), "--focal", "1300", "--no-photometric"])
    arrays, attributes = TRACK.read(track)
    assert attributes["model"] == "makehuman"
    found, true = (Rotation.from_matrix(c[:, :, :3]) for c in (arrays["c2w"], known.c2w))
    turns = found * true.inv()
    assert np.degrees((turns.mean().inv() * turns).magnitude()).mean() < 1.2
    pixels = project(arrays["face_points"], arrays["c2w"], 1300, known.width, known.height)
    off = np.linalg.norm(pixels - known.points[:, :468, :2], axis=-1)
    assert np.median(off) < 4, "all 468 points, of which 56 were seen"


def test_similarities_undo_a_known_motion() -> None:
    random = np.random.default_rng(0)
    cloud = random.normal(size=(30, 3))
    turns = Rotation.random(6, random_state=1).as_matrix()
    scales, shifts = random.uniform(0.5, 2, 6), random.normal(size=(6, 3))
    moved = scales[:, None, None] * (cloud @ np.swapaxes(turns, 1, 2)) + shifts[:, None]
    for found, true in zip(similarities(cloud, moved), (turns, scales, shifts), strict=True):
        np.testing.assert_allclose(found, true, atol=1e-9)


def test_subdividing_keeps_the_surface() -> None:
    vertices, faces = skin(), mesh.triangles()
    finer, split = subdivide(vertices, faces)
    edges = {tuple(sorted(e)) for f in faces for e in ((f[0], f[1]), (f[1], f[2]), (f[2], f[0]))}
    assert len(finer) == len(vertices) + len(edges)
    assert len(split) == 4 * len(faces)

    def normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        a, b, c = points[triangles.T]
        return np.cross(b - a, c - a) / 2

    # Four quarters, each with the direction of the whole.
    quarters = normals(finer, split).reshape(4, len(faces), 3)
    np.testing.assert_allclose(
        quarters, np.tile(normals(vertices, faces) / 4, (4, 1, 1)), atol=1e-12
    )


def inputs(landmarks: Path) -> list[str]:
    """The landmarks, and plain pictures, which say nothing of the pose."""
    arrays, attributes = LANDMARKS.read(landmarks)
    size = (len(arrays["points"]), int(attributes["height"]), int(attributes["width"]), 3)
    frames = write_frames(landmarks.with_name("frames.h5"), np.full(size, 128, np.uint8))
    return ["--landmarks", str(landmarks), "--frames", str(frames)]


@pytest.mark.parametrize("model", ["makehuman", "facemesh"])
def test_a_track_is_written(tmp_path: Path, model: str) -> None:
    known = clip()
    landmarks = write_landmarks(tmp_path / "l.h5", known.points, known.width, known.height)
    track = tmp_path / "track.h5"
    main([*inputs(landmarks), "--track", str(track), "--focal", "1300", "--model", model])
    arrays, attributes = TRACK.read(track)
    assert attributes["focal"] == 1300 and attributes["model"] == model
    vertices = arrays["face_points"]
    np.testing.assert_allclose(vertices.mean(0), 0, atol=1e-5)
    # x to the right of a frontal picture (her left), y up, z out of the face.
    assert vertices[mesh.LEFT_EYE[0], 0] > 0 > vertices[mesh.RIGHT_EYE[0], 0]
    assert vertices[10, 1] > 0 > vertices[152, 1]
    assert vertices[4, 2] > 0.95 * vertices[:, 2].max(), "the tip of the nose"
    triangles = vertices[mesh.triangles()]
    outward = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    assert outward[:, 2].mean() > 0
    # The mean pose of a head that sways to all sides is nearly frontal.
    mean = Rotation.from_matrix(arrays["c2w"][..., :3]).mean().magnitude()
    assert np.degrees(mean) < 15
    pixels = project(vertices, arrays["c2w"], 1300, known.width, known.height)
    seen = np.linalg.norm(pixels - known.points[:, : mesh.MESH_POINTS, :2], axis=-1)
    assert seen.mean() < 8, "the mean expression, so not exactly"
    depths = -to_camera(vertices, arrays["c2w"])[..., 2]
    assert 0 < attributes["near"] < depths.min() and attributes["far"] > depths.max() + 2
    # The irises tell the size, whatever the model's own is.
    spread = [np.sqrt(((p - p.mean(0)) ** 2).sum(1).mean()) for p in (vertices, known.shape)]
    assert spread[0] == pytest.approx(spread[1], rel=0.03)
    # A frame's own face is nearer to what was seen than the mean expression.
    basis, vertices = arrays["basis"], arrays["vertices"]
    assert basis.shape == (arrays["expression"].shape[1], *vertices.shape)
    if model == "facemesh":
        faces = vertices + np.tensordot(arrays["expression"], basis, axes=1)
        own = project(faces[:, : mesh.MESH_POINTS], arrays["c2w"], 1300, known.width, known.height)
        near = np.linalg.norm(own - known.points[:, : mesh.MESH_POINTS, :2], axis=-1)
        assert near.mean() < 0.7 * seen.mean()


def test_a_clip_is_fitted_with_the_stored_model_as_with_one_built_now(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    known = clip()
    landmarks = write_landmarks(tmp_path / "l.h5", known.points[:30], known.width, known.height)
    built = tmp_path / "built.h5"
    build.main(["--model", "makehuman", "--built", str(built)])
    arguments = [*inputs(landmarks), "--focal", "1300", "--no-photometric", "--track"]
    main([*arguments, str(tmp_path / "a.h5")])
    main([*arguments, str(tmp_path / "b.h5"), "--built", str(built)])
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    capfd.readouterr()
    arguments += [str(tmp_path / "c.h5"), "--model", "ict", "--built", str(built)]
    line = refused(main, arguments, capfd)
    for words in ("makehuman", "ict", "face_model.model", "preprocess.face_models.build"):
        assert words in line


def test_the_head_frame_is_that_of_the_face_points(tmp_path: Path) -> None:
    known = clip()
    landmarks = write_landmarks(tmp_path / "l.h5", known.points[:30], known.width, known.height)
    main([*inputs(landmarks), "--track", str(tmp_path / "t.h5"), "--focal", "1300"])
    points = TRACK.read(tmp_path / "t.h5")[0]["face_points"]
    np.testing.assert_allclose(frontal_axes(points), np.eye(3), atol=1e-5)


def test_the_same_landmarks_give_the_same_bytes(tmp_path: Path) -> None:
    known = clip()
    landmarks = write_landmarks(tmp_path / "l.h5", known.points[:30], known.width, known.height)
    tracks = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for track in tracks:
        main([*inputs(landmarks), "--track", str(track)])
    assert tracks[0].read_bytes() == tracks[1].read_bytes()


def test_near_stays_before_the_camera() -> None:
    c2w = np.eye(3, 4)[None].copy()
    c2w[0, 2, 3] = 1.1
    near, far = depth_range(np.zeros((4, 3)), c2w)
    assert near == pytest.approx(0.11) and far == pytest.approx(3.6)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--focal", "-5"], "face_model.focal"),
        (["--smoothness", "-1"], "face_model.smoothness"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], flags: list[str], words: str
) -> None:
    landmarks = write_landmarks(tmp_path / "l.h5", np.zeros((2, 478, 3)), 64, 64)
    track = tmp_path / "track.h5"
    assert words in refused(main, [*inputs(landmarks), "--track", track, *flags], capfd)
    assert not track.exists()


def test_other_landmarks_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    landmarks = write_landmarks(tmp_path / "l.h5", np.zeros((2, 21, 3)), 64, 64)
    line = refused(main, [*inputs(landmarks), "--track", tmp_path / "t.h5"], capfd)
    assert "21 points" in line and "478" in line and "68" in line and str(landmarks) in line


def test_the_clip_s_own_model_needs_all_points(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    landmarks = write_landmarks(tmp_path / "l.h5", np.zeros((2, 68, 3)), 64, 64)
    arguments = [*inputs(landmarks), "--track", tmp_path / "t.h5", "--model", "facemesh"]
    line = refused(main, arguments, capfd)
    assert "68 points" in line and "478" in line and "face_model.model" in line
