"""A small clip of a real face that talks, made from a picture that ships with scikit-image.

Eileen Collins (NASA, public domain) sways before a background that stands still; her mouth opens
with the loudness of a synthetic voice. Everything in it is known: where the face is, when the mouth
opens, what lies behind. `talking_clip` writes one; 44 frames take about a second.
"""

import wave
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import skimage.data

from preprocess.quiet import quiet_native_stderr
from ssp_nerf.video import write_video

SOUND_RATE = 44_100  # Hz; not the pipeline's own, as in any real video
FLASH_SECONDS = 0.1

# Pixels of skimage.data.astronaut(), as FaceMesh sees it.
FACE_CENTRE = (225.0, 122.0)
FACE_HEIGHT = 105.0
MOUTH_X, MOUTH_HALF_WIDTH = 223.3, 20.0
MOUTH_CORNER_Y, LOWER_LIP_DROP = 140.5, 9.5  # she smiles: the lower lip hangs from the corners
JAW_END_Y = 186.0
OPENING = 9.0  # pixels that the lower lip moves when the mouth is wide open

INSIDE_OF_MOUTH = (60, 20, 25)


def talking_clip(
    path: Path,
    frames: int = 44,
    fps: float = 25.0,
    size: tuple[int, int] = (256, 256),
    face_at: tuple[float, float] = (0.5, 0.5),
    face_fraction: float = 0.4,
    sound: bool = True,
    clockwise: int = 0,
    flash_at: float | None = None,
) -> Path:
    """Write an mp4 of the talking head and return its path.

    Args:
        size: width and height as a player shows it, pixels.
        face_at: centre of the face, as fractions of width and height.
        face_fraction: height of the face over the shorter side.
        sound: with the voice, or without an audio track.
        clockwise: 0, 90, 180 or 270: the picture is stored turned, and metadata tell a player to
            turn it back by as much.
        flash_at: seconds; a white picture for 0.1 s and a click begin there, in place of the voice.
    """
    width, height = size
    times = np.arange(frames) / fps
    pictures = (talking_frame(t, width, height, face_at, face_fraction) for t in times)
    if flash_at is not None:
        pictures = (
            np.full_like(picture, 255) if flash_at <= t < flash_at + FLASH_SECONDS else picture
            for t, picture in zip(times, pictures, strict=True)
        )
    turned = (np.ascontiguousarray(np.rot90(p, clockwise // 90)) for p in pictures)
    seconds = frames / fps
    voice = path.with_suffix(".voice.wav")
    if sound:
        write_wav(voice, speech(seconds) if flash_at is None else click(seconds, flash_at))
    write_video(path, turned, audio=voice if sound else None, fps=fps)
    voice.unlink(missing_ok=True)
    if clockwise:
        set_rotation(path, clockwise)
    return path


def mouth_opening(t: np.ndarray | float) -> np.ndarray:
    """How far the mouth is open at t seconds, 0 to 1: about two syllables a second."""
    t = np.asarray(t)
    return np.sin(2.2 * np.pi * t) ** 2 * (0.65 + 0.35 * np.sin(1.4 * np.pi * t + 0.5))


def speech(seconds: float, rate: int = SOUND_RATE) -> np.ndarray:
    """(T,) float32: a buzz at 140 Hz with vowel-like overtones, as loud as the mouth is open."""
    t = np.arange(round(seconds * rate)) / rate
    overtones = {1: 0.5, 2: 0.4, 4: 0.3, 5: 0.35, 8: 0.2, 17: 0.1}  # of 140 Hz
    buzz = sum(a * np.sin(2 * np.pi * 140 * n * t) for n, a in overtones.items())
    return (0.4 * buzz * mouth_opening(t)).astype(np.float32)


def click(seconds: float, at: float, rate: int = SOUND_RATE) -> np.ndarray:
    """(T,) float32: silence but for 5 ms of noise from `at` on."""
    samples = np.zeros(round(seconds * rate), np.float32)
    begin, length = round(at * rate), rate // 200
    samples[begin : begin + length] = np.random.default_rng(0).uniform(-0.8, 0.8, length)
    return samples


def write_wav(path: Path, samples: np.ndarray, rate: int = SOUND_RATE) -> Path:
    """Write (T,) float samples, full scale 1, as 16-bit mono wav."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@cache
def background(width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8: a wall with a picture frame and a lamp."""
    y, x = np.mgrid[:height, :width] / height
    colours = np.stack([90 + 60 * y, 120 + 30 * x, 150 - 40 * y], axis=-1)
    wall = colours.clip(0, 255).astype(np.uint8)
    side = min(width, height)
    corners, line = ((side // 20, side // 12), (side // 4, side // 3)), side // 60 + 1
    cv2.rectangle(wall, *corners, (200, 170, 90), line)
    cv2.circle(wall, (width - side // 8, side // 6), side // 14, (250, 240, 200), -1)
    return wall


def talking_frame(
    t: float,
    width: int,
    height: int,
    face_at: tuple[float, float] = (0.5, 0.5),
    face_fraction: float = 0.4,
    opening: float | None = None,
) -> np.ndarray:
    """(height, width, 3) uint8 RGB picture at t seconds: the head sways, nods and talks.

    The mouth is open by `opening`, 0 to 1, or as `mouth_opening` says.
    """
    person, alpha = _talking_person(float(mouth_opening(t)) if opening is None else opening)
    scale = face_fraction * min(width, height) / FACE_HEIGHT * (1 + 0.03 * np.sin(1.7 * t))
    angle = 3.0 * np.sin(2.3 * t)  # degrees
    to_frame = cv2.getRotationMatrix2D(FACE_CENTRE, angle, scale)
    face = face_fraction * min(width, height)
    to_frame[0, 2] += face_at[0] * width - FACE_CENTRE[0] + 0.10 * face * np.sin(1.9 * t)
    to_frame[1, 2] += face_at[1] * height - FACE_CENTRE[1] + 0.05 * face * np.sin(2.9 * t)
    shown = cv2.warpAffine(person, to_frame, (width, height), flags=cv2.INTER_CUBIC)
    mask = cv2.warpAffine(alpha, to_frame, (width, height))[..., None]
    return (mask * shown + (1 - mask) * background(width, height)).round().astype(np.uint8)


def set_rotation(path: Path, clockwise: int) -> None:
    """Write a rotation into the display matrix of an mp4's first track, as phones do."""
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[clockwise]
    one, w = 1 << 16, 1 << 30  # 16.16 and 2.30 fixed point (ISO/IEC 14496-12, 8.3.2)
    matrix = np.array([cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, w], ">i4").tobytes()
    content = bytearray(path.read_bytes())
    begin = content.index(b"tkhd") + 44
    content[begin : begin + len(matrix)] = matrix
    path.write_bytes(content)


def _talking_person(opening: float) -> tuple[np.ndarray, np.ndarray]:
    """RGB uint8 with the lower lip and chin drawn down, and the person's alpha, float32."""
    image, alpha = _person()
    left, right = round(MOUTH_X - MOUTH_HALF_WIDTH), round(MOUTH_X + MOUTH_HALF_WIDTH) + 1
    top, bottom = round(MOUTH_CORNER_Y) - 2, round(JAW_END_Y) + 1
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    across = np.maximum(0, 1 - ((x - MOUTH_X) / MOUTH_HALF_WIDTH) ** 2)
    lip = MOUTH_CORNER_Y + LOWER_LIP_DROP * across
    gap = OPENING * opening * across
    jaw = (y > lip) & (y < JAW_END_Y)
    stretched = lip + (y - lip - gap) * (JAW_END_Y - lip) / (JAW_END_Y - lip - gap)
    source_y = np.where(jaw, np.maximum(stretched, lip), y).astype(np.float32)
    inside = (jaw & (y < lip + gap)).astype(np.float32)
    inside = cv2.GaussianBlur(inside, (0, 0), 0.7)[..., None]
    mouth = cv2.remap(image, x, source_y, cv2.INTER_LINEAR)
    talking = image.copy()
    talking[top:bottom, left:right] = (inside * INSIDE_OF_MOUTH + (1 - inside) * mouth).round()
    return talking, alpha


@cache
def _person() -> tuple[np.ndarray, np.ndarray]:
    from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

    image = skimage.data.astronaut()
    with quiet_native_stderr():
        mask = SelfieSegmentation(model_selection=0).process(image).segmentation_mask
    alpha = cv2.erode((mask > 0.5).astype(np.float32), np.ones((5, 5)))
    return image, cv2.GaussianBlur(alpha, (0, 0), 1.0)
