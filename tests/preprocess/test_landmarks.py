"""Gaps: filled on a straight line, marked, refused where too long. What the mesh is made of."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mediapipe.python.solutions import face_mesh_connections as connections
from PIL import Image

from preprocess import face_topology as topology
from preprocess.face_tracking import PATIENCE, Clip, find_faces
from preprocess.gaps import fill_gaps, gaps
from preprocess.landmarks import detect_landmarks, main
from preprocess.landmarks_mediapipe import FaceMesh, MediapipeDetector
from preprocess.missing_faces import WITH, WITHOUT, sample
from ssp_nerf.errors import InputError
from ssp_nerf.schema import FRAMES, LANDMARKS, RENDER
from tests.clips import talking_frame
from tests.preprocess.stages import write_frames

SIDE = 192
FACES = 14


def frames_file(path: Path, without: set[int], count: int = FACES) -> Path:
    """A frames file of the talking head; it has left the picture in the frames `without`."""
    box = np.array([0, 0, SIDE, SIDE])
    with FRAMES.create(path, {"N": count, "H": SIDE, "W": SIDE}, {"source_box": box}, {}) as file:
        for i in range(count):
            if i not in without:
                file["frames"][i] = talking_frame(i / 25, SIDE, SIDE)
    return path


def test_fill_gaps_is_linear_inside_and_constant_outside() -> None:
    line = np.arange(10, dtype=np.float32)[:, None, None] * np.array([[[1, -2, 0.5]]], np.float32)
    found = np.array([0, 0, 1, 0, 0, 0, 1, 1, 0, 0], bool)
    filled = fill_gaps(np.where(found[:, None, None], line, 99), found)
    np.testing.assert_allclose(filled[2:8], line[2:8], rtol=1e-6)
    np.testing.assert_array_equal(filled[:2], line[[2, 2]])
    np.testing.assert_array_equal(filled[8:], line[[7, 7]])


def test_gaps_are_runs_of_missing_frames() -> None:
    assert gaps(np.array([0, 1, 1, 0, 0, 1, 0], bool)) == [(0, 0), (3, 4), (6, 6)]
    assert gaps(np.ones(3, bool)) == []
    assert gaps(np.zeros(3, bool)) == [(0, 2)]


def test_a_short_gap_is_filled_and_marked(tmp_path: Path) -> None:
    frames = frames_file(tmp_path / "frames.h5", without={5, 6, 7})
    detect_landmarks([frames], tmp_path / "landmarks.h5", max_gap=3)
    arrays, attributes = LANDMARKS.read(tmp_path / "landmarks.h5")
    points, filled = arrays["points"], arrays["interpolated"]
    assert np.flatnonzero(filled).tolist() == [5, 6, 7]
    np.testing.assert_allclose(points[6], (points[4] + points[8]) / 2, atol=1e-3)
    assert (attributes["width"], attributes["height"]) == (SIDE, SIDE)
    assert points.shape == (FACES, 478, 3)
    # The nose is on the face, nearer than the ears, and lies where the clip put it.
    assert np.abs(points[0, 4, :2] - SIDE / 2).max() < 0.1 * SIDE
    assert points[0, 4, 2] < points[0, [234, 454], 2].min()


def test_a_long_gap_is_refused_with_its_frames(tmp_path: Path) -> None:
    frames = frames_file(tmp_path / "frames.h5", without={5, 6, 7, 12, 13})
    with pytest.raises(InputError, match=r"no face in frames 5-7 \(0\.20-0\.32 s\), longer"):
        detect_landmarks([frames], tmp_path / "landmarks.h5", max_gap=2)
    assert not (tmp_path / "landmarks.h5").exists()
    detect_landmarks([frames], tmp_path / "landmarks.h5", max_gap=2, allow_missing=True)
    assert LANDMARKS.read(tmp_path / "landmarks.h5")[0]["interpolated"].sum() == 5


def test_too_long_a_gap_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A row for each gap, of thumbnails framed red where there is no face and green where one is;
    the picture goes when the reason for it has."""
    frames = frames_file(tmp_path / "frames.h5", without={5, 6, 7, 12, 13})
    picture = tmp_path / "logs" / "missing_faces.png"
    paths = ["--frames", frames, "--landmarks", tmp_path / "landmarks.h5", "--missing", picture]
    with pytest.raises(SystemExit):
        main([*map(str, paths), "--max-gap", "1"])
    line = capfd.readouterr().err.splitlines()[-1]
    assert "frames 5-7 (0.20-0.32 s), 12-13 (0.48-0.56 s)" in line
    assert f"They are shown in {picture}." in line
    with Image.open(picture) as image:
        pixels = np.asarray(image)
    wrong, right = ((pixels == colour).all(axis=2) for colour in (WITHOUT, WITH))
    # 4 (5 6 7) 8, and 11 (12 13) at the end of the clip.
    assert cv2.connectedComponents(wrong.astype(np.uint8))[0] - 1 == 3 + 2
    assert cv2.connectedComponents(right.astype(np.uint8))[0] - 1 == 2 + 1

    main([*map(str, paths), "--max-gap", "3"])
    assert not picture.exists() and (tmp_path / "landmarks.h5").exists()


def test_of_a_long_gap_some_frames_are_shown() -> None:
    assert sample(100, 200, 1000) == [99, 100, 133, 167, 200, 201]
    assert sample(0, 200, 1000) == [0, 50, 100, 150, 200, 201]
    assert sample(0, 999, 1000) == [0, 200, 400, 599, 799, 999]
    assert sample(7, 7, 1000) == [6, 7, 8]


def test_a_face_that_is_followed_behind_a_cover_is_found_out(tmp_path: Path) -> None:
    """mediapipe's tracker goes on seeing it, and is sure of it."""
    images = np.stack([talking_frame(i / 25, SIDE, SIDE) for i in range(36)])
    covered = range(22, 30)
    for i in covered:
        cv2.ellipse(images[i], (SIDE // 2, SIDE // 2), (50, 60), 0, 0, 360, (150, 120, 100), -1)
    tracker = FaceMesh()
    faces = [tracker.face(image) for image in images]
    assert all(faces[i] is not None and faces[i].confidence > 0.9 for i in covered)
    frames = write_frames(tmp_path / "frames.h5", images)
    detect_landmarks([frames], tmp_path / "landmarks.h5")
    arrays, _ = LANDMARKS.read(tmp_path / "landmarks.h5")
    assert np.flatnonzero(arrays["interpolated"]).tolist() == list(covered)
    np.testing.assert_array_equal(arrays["confidence"] == 0, arrays["interpolated"])


def test_a_face_that_comes_into_the_picture_is_found_before_it_is_followed(tmp_path: Path) -> None:
    centres = [0.06, 0.08, 0.1, 0.14, 0.2, 0.3, 0.4, 0.5]  # of the picture's width
    images = np.stack([talking_frame(0, SIDE, SIDE, (x, 0.5)) for x in centres])
    tracker = FaceMesh()
    lost = [tracker.face(image) is None for image in images]
    assert any(lost)
    frames = write_frames(tmp_path / "frames.h5", images)
    detect_landmarks([frames], tmp_path / "landmarks.h5")
    arrays, _ = LANDMARKS.read(tmp_path / "landmarks.h5")
    assert not arrays["interpolated"].any()
    shift = arrays["points"][:, :, 0].mean(axis=1) - arrays["points"][-1, :, 0].mean()
    np.testing.assert_allclose(shift, SIDE * (np.array(centres) - 0.5), atol=0.04 * SIDE)


def test_a_long_gap_is_not_searched_to_its_end(tmp_path: Path) -> None:
    """Twelve frames from each end, however long it is."""
    searched: list[int] = []

    class Counted(Clip):
        def __getitem__(self, index: int) -> np.ndarray:
            searched.append(index)
            return super().__getitem__(index)

    path = write_frames(tmp_path / "frames.h5", np.zeros((70, 64, 64, 3), np.uint8))
    with FRAMES.open(path) as file:
        points, confidence = find_faces(Counted([file["frames"]]), MediapipeDetector())
    assert not confidence.any() and not points.any()
    assert sorted(searched) == [*range(PATIENCE), *range(70 - PATIENCE, 70)]


def test_no_face_at_all(tmp_path: Path) -> None:
    frames = frames_file(tmp_path / "frames.h5", without=set(range(3)), count=3)
    with pytest.raises(InputError, match="no face found in any of 3 frames"):
        detect_landmarks([frames], tmp_path / "landmarks.h5", max_gap=99)
    detect_landmarks([frames], tmp_path / "landmarks.h5", allow_missing=True)
    arrays, _ = LANDMARKS.read(tmp_path / "landmarks.h5")
    assert arrays["interpolated"].all() and not arrays["points"].any()


def test_rendered_parts_are_read_as_one(tmp_path: Path) -> None:
    whole = frames_file(tmp_path / "frames.h5", without=set(), count=6)
    with FRAMES.open(whole) as file:
        images = file["frames"][()]
    parts = [tmp_path / "part0.h5", tmp_path / "part1.h5"]
    for path, content in zip(parts, np.split(images, [4]), strict=True):
        sizes = {"N": len(content), "H": SIDE, "W": SIDE}
        attributes = {"take": "heldout", "model": "", "mode": "exact", "psnr_to_exact": []}
        with RENDER.create(path, sizes, attributes, {}) as file:
            file["frames"][:] = content
    detect_landmarks([whole], tmp_path / "whole.h5")
    detect_landmarks(parts, tmp_path / "parts.h5", rendered=True)
    for name in LANDMARKS.fields:
        np.testing.assert_array_equal(
            LANDMARKS.read(tmp_path / "whole.h5")[0][name],
            LANDMARKS.read(tmp_path / "parts.h5")[0][name],
        )


def undirected(edges: frozenset[tuple[int, int]]) -> set[frozenset[int]]:
    return {frozenset(edge) for edge in edges}


def ring(polygon: tuple[int, ...]) -> set[frozenset[int]]:
    return {frozenset(e) for e in zip(polygon, (*polygon[1:], polygon[0]), strict=True)}


@pytest.mark.parametrize(
    ("polygons", "edges"),
    [
        ([topology.FACE_OVAL], connections.FACEMESH_FACE_OVAL),
        ([topology.LIPS_OUTER, topology.LIPS_INNER], connections.FACEMESH_LIPS),
        ([topology.RIGHT_EYE], connections.FACEMESH_RIGHT_EYE),
        ([topology.LEFT_EYE], connections.FACEMESH_LEFT_EYE),
        ([topology.RIGHT_IRIS], connections.FACEMESH_RIGHT_IRIS),
        ([topology.LEFT_IRIS], connections.FACEMESH_LEFT_IRIS),
    ],
)
def test_polygons_run_along_mediapipes_edges(
    polygons: list[tuple[int, ...]], edges: frozenset[tuple[int, int]]
) -> None:
    assert set().union(*(ring(polygon) for polygon in polygons)) == undirected(edges)


def test_triangles_are_a_disc_with_three_holes() -> None:
    faces = topology.triangles()
    assert len(np.unique(faces)) == topology.MESH_POINTS
    directed = {(int(a), int(b)) for f in faces for a, b in zip(f, np.roll(f, -1), strict=True)}
    assert len(directed) == 3 * len(faces)  # no edge twice the same way: one orientation
    edges = undirected(frozenset(directed))
    assert edges == undirected(connections.FACEMESH_TESSELATION)
    assert topology.MESH_POINTS - len(edges) + len(faces) == -2  # Euler: a disc has 1, a hole -1
    rim = {frozenset(e) for e in directed if e[::-1] not in directed}
    holes = (topology.FACE_OVAL, topology.LIPS_INNER, topology.RIGHT_EYE, topology.LEFT_EYE)
    assert rim == set().union(*(ring(polygon) for polygon in holes))


def test_triangles_face_the_camera(tmp_path: Path) -> None:
    frames = frames_file(tmp_path / "frames.h5", without=set(), count=2)
    detect_landmarks([frames], tmp_path / "landmarks.h5")
    points = LANDMARKS.read(tmp_path / "landmarks.h5")[0]["points"][0] * (1, -1, -1)  # y up, z out
    a, b, c = (points[topology.triangles()[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    assert (normals[:, 2] > 0).mean() > 0.97  # under the nose a few look down or away


def test_68_points_mirror_each_other(tmp_path: Path) -> None:
    """iBUG's order is symmetric: the mirror of a face is the same face, renumbered."""
    frames = frames_file(tmp_path / "frames.h5", without=set(), count=2)
    detect_landmarks([frames], tmp_path / "landmarks.h5")
    face = LANDMARKS.read(tmp_path / "landmarks.h5")[0]["points"][0, topology.MESH_TO_68, :2]
    assert len(np.unique(topology.MESH_TO_68)) == 68
    jaw, brows = np.arange(17), np.arange(17, 27)
    for part in (jaw, brows):
        middle = (face[part] + face[part[::-1]])[:, 0] / 2
        assert np.ptp(middle) < 0.06 * SIDE
    assert (np.diff(face[jaw[2:-2], 0]) > 0).all() and (np.diff(face[brows, 0]) > 0).all()
    assert face[8, 1] == face[:, 1].max()
