"""A clip of a dome that turns before a camera: every place in it is known."""

from pathlib import Path

import numpy as np
from scipy.spatial import Delaunay
from scipy.spatial.transform import Rotation

from ssp_nerf.cameras import c2w_from_head_pose_opencv, project
from ssp_nerf.schema import LANDMARKS, TRACK
from tests.preprocess.stages import write_frames

SIZE, FOCAL, POINTS = 64, 220.0, 468
GREY = 90


def dome() -> tuple[np.ndarray, np.ndarray]:
    """(468, 3) points of a paraboloid, 1.6 dm across, that bulges towards +z, and its triangles,
    counter-clockwise seen from there."""
    flat = np.random.default_rng(0).uniform(-0.8, 0.8, (POINTS, 2))
    triangles = Delaunay(flat).simplices
    a, b, c = (flat[triangles[:, corner]] for corner in range(3))
    clockwise = np.cross(b - a, c - a) < 0
    triangles[clockwise] = triangles[clockwise][:, ::-1]
    heights = 0.4 - 0.6 * (flat**2).sum(1)
    return np.column_stack([flat, heights]), triangles.astype(np.int32)


def cameras(count: int) -> np.ndarray:
    """(N, 3, 4) c2w, 10 dm away, turning from the left to the right."""
    vectors = np.radians(np.linspace(-25, 25, count))[:, None] * (0, 1, 0)
    turns = Rotation.from_rotvec(vectors).as_matrix()
    away = np.tile([0.0, 0.0, 10.0], (count, 1))
    return c2w_from_head_pose_opencv(np.diag([1.0, -1.0, -1.0]) @ turns, away)


def write_clip(folder: Path, count: int, interpolated: tuple[int, ...] = ()) -> dict[str, Path]:
    """frames.h5 (plain grey), landmarks.h5 and track.h5, which agree exactly.

    One expression, stronger from frame to frame, stretches the dome upwards.
    """
    vertices, triangles = dome()
    basis = np.zeros((1, POINTS, 3))
    basis[0, :, 1] = 0.2 * vertices[:, 1]
    expression = np.linspace(0, 1, count)[:, None]
    c2w = cameras(count)
    shapes = vertices + np.tensordot(expression, basis, axes=1)
    pixels = project(shapes, c2w, FOCAL, SIZE, SIZE)

    frames = write_frames(folder / "frames.h5", np.full((count, SIZE, SIZE, 3), GREY, np.uint8))
    size = {"width": SIZE, "height": SIZE}
    landmarks, track = folder / "landmarks.h5", folder / "track.h5"
    sizes = {"N": count, "P": POINTS}
    with LANDMARKS.create(landmarks, sizes, {**size, "detector": "test"}, {}) as file:
        file["points"][..., :2] = pixels
        file["interpolated"][list(interpolated)] = True
    attributes = {**size, "focal": FOCAL, "near": 8.0, "far": 12.0, "model": "dome"}
    sizes = {"N": count, "V": POINTS, "F": len(triangles), "I": 1, "E": 1}
    with TRACK.create(track, sizes, attributes, {}) as file:
        file["c2w"][...] = c2w
        file["vertices"][...] = file["face_points"][...] = vertices
        file["faces"][...] = triangles
        file["expression"][...], file["basis"][...] = expression, basis
        file["reprojection_error"][...] = np.linspace(0, 0.5, count)
    return {"frames": frames, "landmarks": landmarks, "track": track}


def near(picture: np.ndarray, colour: tuple[int, int, int], tolerance: int = 60) -> np.ndarray:
    """(H, W) bool: pixels of about that colour; tolerant, because video is compressed."""
    return np.abs(picture.astype(int) - colour).max(-1) < tolerance


def decode(path: Path) -> np.ndarray:
    """(N, H, W, 3) uint8 frames of a video."""
    import av

    with av.open(str(path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


def decode_sound(path: Path) -> tuple[np.ndarray, int]:
    """(T,) samples of a video's sound, and their rate."""
    import av

    with av.open(str(path)) as file:
        rate = file.streams.audio[0].rate
        return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)]), rate
