"""Videos of landmarks and of the fitted face, on a clip of which everything is known."""

import h5py
import numpy as np
import pytest

from preprocess.face_topology import MESH_TO_68
from preprocess.qc import face_model, landmarks
from preprocess.qc.contours import contours, edges
from preprocess.qc.drawing import MARK, View
from preprocess.qc.face_model import AXES, RESIDUAL, axis_ends, draw_axes, draw_residuals
from preprocess.qc.landmarks import draw_points, ellipse, measure_motion
from preprocess.qc.mesh import FittedFace, carriers, facing, seen_turned, shade, vertex_normals
from ssp_nerf.cameras import project
from ssp_nerf.errors import InputError
from ssp_nerf.schema import FPS, LANDMARKS
from tests.preprocess.qc import known
from tests.preprocess.stages import write_frames, write_landmarks


def test_axes_end_where_the_projection_says(tmp_path) -> None:
    face = FittedFace.read(known.write_clip(tmp_path, 3)["track"])
    view = View.whole(known.SIZE, known.SIZE, 640)
    for frame in range(3):
        canvas = np.zeros((640, 640, 3), np.uint8)
        draw_axes(canvas, face, frame, view)
        # By hand: the camera is 10 dm away, and the head has turned by -25, 0, 25 degrees.
        turn = np.radians(-25 + 25 * frame)
        for axis, (_, colour) in enumerate(AXES):
            x = {0: np.cos(turn), 1: 0.0, 2: np.sin(turn)}[axis]
            nearer = {0: -np.sin(turn), 1: 0.0, 2: np.cos(turn)}[axis]
            up = float(axis == 1)
            scale = known.FOCAL * 10 / (10 - nearer)
            tip = np.array([320 + scale * x, 320 - scale * up])
            drawn = np.argwhere(known.near(canvas, colour, 40))[:, ::-1] + 0.5
            if axis == 2 and frame == 1:  # straight at the camera
                continue
            distance = np.linalg.norm(drawn - tip, axis=1).min()
            assert distance < 3, (frame, axis)
    np.testing.assert_array_equal(axis_ends(2.0)[1:], 2 * np.eye(3))


def test_without_error_the_landmarks_lie_on_the_vertices(tmp_path) -> None:
    paths = known.write_clip(tmp_path, 4)
    face = FittedFace.read(paths["track"])
    with LANDMARKS.open(paths["landmarks"]) as file:
        found = file["points"][..., :2]
    for frame in range(4):
        np.testing.assert_allclose(face.points_at(frame), face.vertices_at(frame), atol=1e-6)
        model = face.pixels(face.points_at(frame), frame)
        np.testing.assert_allclose(model, found[frame], atol=1e-3)
        canvas = np.zeros((64, 64, 3), np.uint8)
        draw_residuals(canvas, model, found[frame], False)
        assert not known.near(canvas, RESIDUAL, 60).any()
        draw_residuals(canvas, model, found[frame] + (3, 0), False)
        assert known.near(canvas, RESIDUAL, 60).any()


def test_a_point_moves_with_the_vertices_around_it() -> None:
    vertices, triangles = known.dome()
    middles = vertices[triangles].mean(1)
    nearest, shares = carriers(middles, vertices)
    np.testing.assert_allclose(shares.sum(1), 1)
    shift = np.array([0.1, -0.2, 0.3])
    np.testing.assert_allclose(
        (shift * shares[..., None]).sum(1), np.tile(shift, (len(middles), 1))
    )
    nearest, shares = carriers(vertices, vertices)
    assert (nearest[:, 0] == np.arange(len(vertices))).all() and (shares[:, 0] > 0.999).all()


def test_only_the_outside_is_seen() -> None:
    vertices, triangles = known.dome()
    front = seen_turned(vertices, triangles, 0.0, 100, 100, 50.0)
    assert len(front.triangles) == len(triangles)
    back = seen_turned(vertices, triangles, 180.0, 100, 100, 50.0)
    assert len(back.triangles) == 0
    assert facing(triangles[:, ::-1], front.pixels).sum() == 0


def test_a_positive_turn_shows_what_is_on_the_pictures_right() -> None:
    """x is the picture's right; after a turn to the left, that side comes to the front."""
    side = seen_turned(np.eye(3), np.zeros((0, 3), int), 90.0, 100, 100, 10.0)
    np.testing.assert_allclose(side.camera[2], [1, 0, 0], atol=1e-12)  # the nose points right
    np.testing.assert_allclose(side.pixels[2], [60, 50], atol=1e-9)
    np.testing.assert_allclose(side.camera[0], [0, 0, -1], atol=1e-12)


def test_normals_of_a_dome_point_out_of_it() -> None:
    vertices, triangles = known.dome()
    normals = vertex_normals(vertices, triangles)
    expected = np.column_stack([1.2 * vertices[:, :2], np.ones(len(vertices))])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    inner = (np.abs(vertices[:, :2]) < 0.6).all(1)
    assert ((normals * expected).sum(1)[inner] > 0.98).all()


def test_what_is_near_hides_what_is_far() -> None:
    """Two squares, the nearer one tilted, so of another shade; listed in either order."""
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
    tilted = square * 0.5 + (0, 0, 1) + np.outer([-1, -1, 1, 1], [0, 0, 0.8])
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    vertices = np.concatenate([square, tilted])
    drawn = []
    for order in (
        np.concatenate([triangles, triangles + 4]),
        np.concatenate([triangles + 4, triangles]),
    ):
        canvas = np.zeros((100, 100, 3), np.uint8)
        shade(canvas, seen_turned(vertices, order, 0.0, 100, 100, 40.0), (200, 200, 200))
        drawn.append(canvas)
    np.testing.assert_array_equal(*drawn)
    assert drawn[0][50, 50, 0] != drawn[0][12, 12, 0]


@pytest.mark.parametrize("points", [68, 468, 478])
def test_contours_join_points_that_there_are(points) -> None:
    joined = contours(points)
    used = [*joined.outline, *joined.eyes, *joined.mouth, *joined.surface.ravel()]
    used += [point for line in (*joined.features, *joined.irises) for point in line]
    assert min(used) >= 0 and max(used) < points
    assert bool(joined.irises) == (points == 478)


def test_a_triangle_has_three_edges_and_two_that_touch_have_five() -> None:
    assert len(edges(np.array([[0, 1, 2]]))) == 3
    assert len(edges(np.array([[0, 1, 2], [2, 1, 3]]))) == 5


def test_an_iris_is_drawn_round() -> None:
    ring = ellipse(np.array([[2.0, 0], [0, 2], [-2, 0], [0, -2]]) + 10)
    np.testing.assert_allclose(np.linalg.norm(ring - 10, axis=1), 2)


def test_steady_motion_has_no_scatter_and_a_jump_has(tmp_path) -> None:
    points = np.random.default_rng(0).uniform(10, 50, (478, 3))
    clip = points + np.arange(600)[:, None, None] * (0.05, 0.02, 0)
    clip[400] += (6.0, 0, 0)
    path = write_landmarks(tmp_path / "landmarks.h5", clip, 64, 64)
    with LANDMARKS.open(path) as file:
        motion = measure_motion(file["points"], contours(478))
    expected = np.zeros(600)
    expected[[399, 400, 401]] = 3, 6, 3  # how far from the middle of the neighbours
    np.testing.assert_allclose(motion.scatter, expected, atol=1e-3)
    assert motion.eyes.shape == motion.mouth.shape == (600, 2)
    eyes = clip[:, list(contours(478).eyes), :2].mean(1)
    np.testing.assert_allclose(motion.eyes, eyes, atol=1e-4)


@pytest.mark.parametrize("count", [2, 3])
def test_the_shortest_clips_have_a_scatter_too(tmp_path, count) -> None:
    path = write_landmarks(tmp_path / "landmarks.h5", np.ones((count, 68, 3)), 64, 64)
    with LANDMARKS.open(path) as file:
        assert measure_motion(file["points"], contours(68)).scatter.tolist() == [0.0] * count


def test_interpolated_points_are_drawn_in_another_colour() -> None:
    points = np.random.default_rng(0).uniform(0, 64, (478, 2))
    found, filled = np.zeros((2, 64, 64, 3), np.uint8)
    draw_points(found, points, contours(478), False, 2.0)
    draw_points(filled, points, contours(478), True, 2.0)
    assert not known.near(found, MARK, 60).any()
    hue = filled[filled.any(2)].astype(float)
    np.testing.assert_allclose(
        hue / hue.max(1, keepdims=True) * 255, np.tile(MARK, (len(hue), 1)), atol=60
    )


@pytest.mark.parametrize("name", ["landmarks", "face_model"])
def test_a_video_marks_exactly_the_interpolated_frames(tmp_path, name) -> None:
    paths = known.write_clip(tmp_path, 12, interpolated=(4, 5))
    with h5py.File(paths["landmarks"], "r+") as file:
        file["points"][4:6, :, 0] += 1.5  # pixels: there is something to draw between them
    video = tmp_path / "qc" / f"{name}.mp4"
    module = {"landmarks": landmarks, "face_model": face_model}[name]
    flags = [flag for key in ("frames", "landmarks") for flag in (f"--{key}", str(paths[key]))]
    if name == "face_model":
        flags += ["--track", str(paths["track"])]
    module.main([*flags, "--video", str(video)])
    frames = known.decode(video)
    assert len(frames) == 12
    marked = known.near(frames[:, :634], MARK, 60).sum((1, 2))  # above the legend
    assert marked[[4, 5]].min() > 10 * np.delete(marked, [4, 5]).max()
    first = video.read_bytes()
    module.main([*flags, "--video", str(video)])
    assert video.read_bytes() == first


def test_the_excerpts_of_a_long_clip_hold_the_worst_frame(tmp_path) -> None:
    paths = known.write_clip(tmp_path, 120)
    video = tmp_path / "face_model.mp4"
    count = face_model.face_model_video(
        paths["frames"], paths["landmarks"], paths["track"], video, seconds=2
    )
    frames = known.decode(video)
    assert len(frames) == count == 2 * FPS
    # The error grows to the last frame, so the cursor of the last frame is at the strip's end.
    assert known.near(frames[-1][-50:], (240, 240, 240), 40)[:, -14:].any()


def test_68_points_are_drawn_where_the_mesh_has_them(tmp_path) -> None:
    paths = known.write_clip(tmp_path, 3)
    with LANDMARKS.open(paths["landmarks"]) as file:
        few = write_landmarks(tmp_path / "68.h5", file["points"][()][:, MESH_TO_68], 64, 64)
    for video in (tmp_path / "all.mp4", tmp_path / "few.mp4"):
        found = few if video.stem == "few" else paths["landmarks"]
        assert face_model.face_model_video(paths["frames"], found, paths["track"], video) == 3
        near = known.decode(video)[0, 34 : 34 + face_model.SIDE[1], 616:]
        assert not known.near(near, RESIDUAL, 60).any()  # no error, no lines
        dots = known.near(near, face_model.MODEL, 60).sum()
        assert (dots > 1000) == (video.stem == "all") and dots > 50


def test_files_of_other_clips_and_other_landmarks_are_refused(tmp_path) -> None:
    paths = known.write_clip(tmp_path, 4)
    other = write_frames(tmp_path / "other.h5", np.zeros((5, 64, 64, 3), np.uint8))
    for call in (
        lambda: landmarks.landmark_video(other, paths["landmarks"], tmp_path / "a.mp4"),
        lambda: face_model.face_model_video(
            other, paths["landmarks"], paths["track"], tmp_path / "a.mp4"
        ),
    ):
        with pytest.raises(InputError, match=r"4 frames, but .*other\.h5 has 5"):
            call()
    odd = write_landmarks(tmp_path / "odd.h5", np.ones((4, 5, 3)), 64, 64)
    with pytest.raises(InputError, match="5 points a face"):
        landmarks.landmark_video(paths["frames"], odd, tmp_path / "a.mp4")
    with pytest.raises(InputError, match="5 points a frame"):
        face_model.face_model_video(paths["frames"], odd, paths["track"], tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()


def test_the_cameras_of_the_known_clip_are_the_projects() -> None:
    c2w = known.cameras(3)
    middle = project(np.zeros((1, 3)), c2w[1], known.FOCAL, known.SIZE, known.SIZE)
    np.testing.assert_allclose(middle, [[32, 32]])
