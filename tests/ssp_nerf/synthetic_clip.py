"""A small clip in the real file formats: random pictures and faces, a moving camera."""

from pathlib import Path

import numpy as np

from ssp_nerf.parsing_map import BACKGROUND, CHEEK, TORSO
from ssp_nerf.schema import AUDIO_FEATURES, DATASET, LANDMARKS, RENDER

FRAMES, HEIGHT, WIDTH = 12, 40, 48
HELD_OUT = (9, 10, 11)
FOCAL = 100.0
BRIGHTEST = 200  # leaves room for an error to be added
LANDMARK_SCALE = 2  # landmarks are stored at twice the size of the frames


def pictures() -> np.ndarray:
    """(FRAMES, HEIGHT, WIDTH, 3) uint8: smooth, so that a video encoder keeps them."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, BRIGHTEST + 1, (FRAMES, HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def parsing() -> np.ndarray:
    """(FRAMES, HEIGHT, WIDTH) uint8: a head over a torso, elsewhere background."""
    classes = np.full((FRAMES, HEIGHT, WIDTH), BACKGROUND, np.uint8)
    classes[:, 10:25, 15:35] = CHEEK
    classes[:, 25:, 8:42] = TORSO
    return classes


def poses() -> np.ndarray:
    """(FRAMES, 3, 4) float32 c2w: a camera some 10 dm in front of the face, turned and shifted."""
    rng = np.random.default_rng(1)
    c2w = np.zeros((FRAMES, 3, 4), np.float32)
    for frame, angle in enumerate(rng.uniform(-0.2, 0.2, FRAMES)):
        cos, sin = np.cos(angle), np.sin(angle)
        c2w[frame, :, :3] = [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]
        c2w[frame, :, 3] = (10 * sin, 0, 10 * cos) + rng.uniform(-0.5, 0.5, 3)
    return c2w


def vertices() -> np.ndarray:
    return np.random.default_rng(2).uniform(-1, 1, (30, 3)).astype(np.float32)


def face_points() -> np.ndarray:
    """(FRAMES, 478, 3) float32, pixels at LANDMARK_SCALE times the frames' size."""
    rng = np.random.default_rng(3)
    return rng.uniform(0, LANDMARK_SCALE * HEIGHT, (FRAMES, 478, 3)).astype(np.float32)


def write_dataset(path: Path, channels: int = 4, extractor: str = "none") -> Path:
    shape = {"N": FRAMES, "H": HEIGHT, "W": WIDTH, "C": channels, "V": 30, "F": 1}
    attributes = {"focal": FOCAL, "near": 8.0, "far": 12.0, "audio_extractor": extractor}
    with DATASET.create(path, shape, attributes, {}) as file:
        file["frames"][...] = pictures()
        file["parsing"][...] = parsing()
        file["background"][...] = 90
        file["c2w"][...] = poses()
        file["audio"][...] = np.random.default_rng(4).normal(size=(FRAMES, 16, channels))
        file["time"][...] = np.linspace(0, 1, FRAMES)
        file["held_out"][...] = np.isin(np.arange(FRAMES), HELD_OUT)
        file["vertices"][...] = vertices()
    return path


def write_features(path: Path, channels: int = 4, extractor: str = "none") -> Path:
    """Speech features as long as the clip."""
    attributes = {"extractor": extractor, "rate": 50.0}
    with AUDIO_FEATURES.create(path, {"N": FRAMES, "C": channels}, attributes, {}) as file:
        file["windows"][...] = np.random.default_rng(4).normal(size=(FRAMES, 16, channels))
    return path


def write_render(
    path: Path,
    index: list[int],
    frames: np.ndarray,
    psnr_to_exact: tuple[float, ...] = (),
    take: str = "heldout",
    model: str = "0123456789abcdef" * 4,
) -> Path:
    sizes = {"N": len(index), "H": frames.shape[1], "W": frames.shape[2]}
    mode = "fast" if psnr_to_exact else "exact"
    attributes = {"take": take, "model": model, "mode": mode, "psnr_to_exact": psnr_to_exact}
    with RENDER.create(path, sizes, attributes, {}) as file:
        file["frames"][...] = frames
        file["parsing"][...] = CHEEK
        file["index"][...] = index
        file["speech"][...] = index
    return path


def write_landmarks(
    path: Path, points: np.ndarray, without_face: tuple[int, ...] = (), scale: int = LANDMARK_SCALE
) -> Path:
    attributes = {"width": scale * WIDTH, "height": scale * HEIGHT, "detector": "synthetic"}
    sizes = {"N": len(points), "P": points.shape[1]}
    with LANDMARKS.create(path, sizes, attributes, {}) as file:
        file["points"][...] = points
        file["confidence"][...] = ~np.isin(np.arange(len(points)), without_face)
        file["interpolated"][...] = np.isin(np.arange(len(points)), without_face)
    return path
