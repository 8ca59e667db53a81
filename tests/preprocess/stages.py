"""Small files of the road, written through the layouts, for tests of one stage each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssp_nerf.schema import AUDIO_FEATURES, FRAMES, LANDMARKS, PARSING, TRACK


def write_frames(path: Path, images: np.ndarray) -> Path:
    """frames.h5 of (N, H, W, 3) uint8."""
    count, height, width = images.shape[:3]
    attributes = {"source_box": [0, 0, width, height]}
    with FRAMES.create(path, {"N": count, "H": height, "W": width}, attributes, {}) as file:
        file["frames"][...] = images
    return path


def write_parsing(path: Path, labels: np.ndarray) -> Path:
    """parsing.h5 of (N, H, W) uint8."""
    count, height, width = labels.shape
    sizes = {"N": count, "H": height, "W": width}
    with PARSING.create(path, sizes, {"parser": "test"}, {}) as file:
        file["parsing"][...] = labels
    return path


def write_landmarks(path: Path, points: np.ndarray, width: int, height: int) -> Path:
    """landmarks.h5 of (N, P, 3)."""
    attributes = {"width": width, "height": height, "detector": "test"}
    with LANDMARKS.create(path, {"N": len(points), "P": points.shape[1]}, attributes, {}) as file:
        file["points"][...] = points
        file["confidence"][...] = 1
    return path


def write_track(path: Path, count: int, width: int, height: int, focal: float) -> Path:
    """track.h5 of a triangle, seen by cameras that move along x."""
    attributes = {
        "model": "test",
        "focal": focal,
        "width": width,
        "height": height,
        "near": 5.0,
        "far": 9.0,
    }
    sizes = {"N": count, "V": 3, "F": 1, "I": 2, "E": 2}
    with TRACK.create(path, sizes, attributes, {}) as file:
        file["c2w"][:, :, :3] = np.eye(3)
        file["c2w"][:, 0, 3] = np.arange(count)
        file["vertices"][...] = np.eye(3)
        file["faces"][...] = [[0, 1, 2]]
    return path


def write_audio_features(path: Path, count: int) -> Path:
    """audio_features.h5 whose windows hold the number of their frame."""
    attributes = {"extractor": "test", "rate": 50.0}
    with AUDIO_FEATURES.create(path, {"N": count, "C": 4}, attributes, {}) as file:
        file["windows"][...] = np.arange(count)[:, None, None]
    return path


def refused(
    main: Callable[[list[str]], None], arguments: list, capfd: pytest.CaptureFixture[str]
) -> str:
    """Run a command that must end with one line of error and status 2; returns the line."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    assert stop.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: "), line
    return line
