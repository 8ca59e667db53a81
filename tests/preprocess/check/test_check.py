"""Clips with one fault each: the check names that fault, and no other.

The head of `tests.clips` is a photograph of a smile that sways in its plane, for some seconds only.
So three things are always found: the clip is too short, the head does not turn, and the lips never
meet.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import av
import cv2
import ffmpeg
import numpy as np
import pytest

from preprocess.check import __main__ as command
from preprocess.check import admit
from preprocess.check.examine import Report, examine
from preprocess.check.findings import Finding, Level
from preprocess.check.film import Film
from preprocess.media import WHOLE, Cut, picture_at_25_fps, probe
from ssp_nerf.errors import InputError
from ssp_nerf.schema import FPS
from ssp_nerf.video import read_frames, run_ffmpeg, write_video
from tests import clips
from tests.preprocess.stages import refused

SIDE, SHORT, LONG = 192, 4.0, 16.0  # pixels, seconds
ALWAYS = {"length", "turns"}  # and a mouth that never closes

Frames = np.ndarray
"""(N, H, W, 3) uint8 RGB at 25 fps."""


@cache
def openings() -> np.ndarray:
    """How far the mouth is open, 0 to 1, a thousand times a second, never the same twice."""
    noise = np.random.default_rng(3).normal(size=round(1000 * LONG))
    smooth = cv2.GaussianBlur(noise[None], (0, 0), 45)[0]
    return np.clip(0.45 + 0.5 * smooth / smooth.std(), 0, 1)


@cache
def talking(seconds: float = SHORT) -> Frames:
    at = np.arange(round(seconds * FPS)) / FPS
    return np.stack(
        [clips.talking_frame(t, SIDE, SIDE, opening=openings()[round(1000 * t)]) for t in at]
    )


def voice(seconds: float = SHORT, late: float = 0.0) -> np.ndarray:
    """What the mouth says, and pauses where it is shut."""
    t = np.arange(round(seconds * clips.SOUND_RATE)) / clips.SOUND_RATE
    spoken = np.interp(t - late, np.arange(len(openings())) / 1000, openings())
    buzz = clips.speech(seconds) / np.maximum(0.05, clips.mouth_opening(t))
    return buzz * spoken * (spoken > 0.1)


def film(path: Path, frames: Frames, sound: np.ndarray | None, fps: float = FPS) -> Path:
    wav = None if sound is None else clips.write_wav(path.with_suffix(".wav"), sound)
    write_video(path, frames, audio=wav, fps=fps)
    return path


def look(path: Path, frames: Frames, sound: np.ndarray | None = None, fps: float = FPS) -> Report:
    video = film(path / "clip.mp4", frames, voice() if sound is None else sound, fps)
    return examine(video, size=SIDE, face_fraction=0.4, cut=WHOLE)


def named(report: Report) -> dict[str, Finding]:
    """What is found besides what always is."""
    return {
        f.topic: f
        for f in report.findings
        if f.level is not Level.GOOD
        and f.topic not in ALWAYS
        and not (f.topic == "mouth" and "never closes" in f.advice)
    }


def test_of_a_clip_without_fault_nothing_is_named(tmp_path: Path) -> None:
    report = look(tmp_path, talking(LONG), voice(LONG))
    assert named(report) == {}
    found = {finding.topic: finding for finding in report.findings}
    assert found["length"].level is found["turns"].level is Level.USABLE
    assert "sound 0 ms" in found["lips and sound"].measured
    assert {"face", "hands", "cuts", "background", "noise"} <= set(found)


# Each takes the frames of a clip without fault, and gives frames and what must be named.


def doubled(frames: Frames) -> Frames:
    return np.repeat(frames[::2], 2, axis=0)


def jump(frames: Frames) -> Frames:
    moved = [clips.talking_frame(t, SIDE, SIDE, (0.4, 0.55)) for t in np.arange(50, 100) / FPS]
    return np.concatenate([frames[:50], moved])


def another_scene(frames: Frames) -> Frames:
    return np.concatenate([frames[:50], 255 - frames[50:, :, ::-1] // 2])


def two_people(frames: Frames) -> Frames:
    beside = [
        clips.talking_frame(i / FPS + 9, SIDE, SIDE, face_fraction=0.32) for i in range(len(frames))
    ]
    return np.concatenate([frames, beside], axis=2)


def shaken(frames: Frames) -> Frames:
    x, y = 4 * np.sin(np.arange(len(frames)) / 3), 3 * np.sin(np.arange(len(frames)) / 2)
    return np.stack([
        cv2.warpAffine(f, np.array([[1, 0, a], [0, 1, b]]), (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
        for f, a, b in zip(frames, x, y, strict=True)
    ])  # fmt: skip


def zoomed(frames: Frames) -> Frames:
    centre = (SIDE / 2, SIDE / 2)
    zooms = np.linspace(1, 1.12, len(frames))
    return np.stack([
        cv2.warpAffine(f, cv2.getRotationMatrix2D(centre, 0, zoom), (SIDE, SIDE))
        for f, zoom in zip(frames, zooms, strict=True)
    ])  # fmt: skip


def blurred(frames: Frames) -> Frames:
    return np.stack([cv2.GaussianBlur(f, (0, 0), 2) for f in frames])


def brightened(gains: Callable[[np.ndarray], np.ndarray]) -> Callable[[Frames], Frames]:
    def change(frames: Frames) -> Frames:
        share = gains(np.arange(len(frames)) / len(frames))
        return (frames * share[:, None, None, None]).clip(0, 255).astype(np.uint8)

    return change


def silent_mouth(frames: Frames) -> Frames:
    return np.stack([
        clips.talking_frame(i / FPS, SIDE, SIDE, opening=0.3) for i in range(len(frames))
    ])  # fmt: skip


def covered_face(frames: Frames) -> Frames:
    """A board in front of the face from second 1 to 2, coming and going over some frames."""
    hidden = frames.copy()
    for i in range(15, 60):
        depth = round(SIDE * np.clip(min(i - 15, 60 - i) / 10, 0, 1) / 2)
        hidden[i, SIDE // 4 : SIDE // 4 + depth, SIDE // 3 : -SIDE // 3] = (120, 90, 60)
    return hidden


@pytest.mark.parametrize(
    ("change", "topics", "level"),
    [
        (doubled, {"repeated frames"}, Level.USABLE),
        (jump, {"cuts"}, Level.USABLE),
        (another_scene, {"cuts", "background"}, Level.WILL_NOT_WORK),
        (two_people, {"other faces"}, Level.WILL_NOT_WORK),
        (shaken, {"background"}, Level.USABLE),
        (zoomed, {"background"}, Level.USABLE),
        (blurred, {"sharpness"}, Level.USABLE),
        (brightened(lambda t: np.full_like(t, 0.25)), {"exposure"}, Level.USABLE),
        (brightened(lambda t: 0.4 + 0.8 * t), {"light"}, Level.USABLE),
        (brightened(lambda t: 1 + 0.04 * (-1) ** np.round(100 * t)), {"flicker"}, Level.USABLE),
        (silent_mouth, {"mouth"}, Level.WILL_NOT_WORK),
        (covered_face, {"face"}, Level.WILL_NOT_WORK),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_fault_of_the_picture_is_named_and_nothing_else(
    tmp_path: Path, change: Callable[[Frames], Frames], topics: set[str], level: Level
) -> None:
    found = named(look(tmp_path, change(talking())))
    assert set(found) == topics
    assert max(finding.level for finding in found.values()) is level
    assert all(finding.advice for finding in found.values())
