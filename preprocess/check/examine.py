"""Look at a video once, from its first frame to its last, and judge what was seen.

Every frame counts for cuts, light and rate. Some, evenly over the clip, are looked at closely. In a
few stretches the lips are followed at the full frame rate, for their step with the sound. So the
networks see a bounded number of frames, however long the film is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from preprocess.check import limits
from preprocess.check.background import (
    Stillness,
    background_masks,
    check_background,
    watch_background,
)
from preprocess.check.cuts import Changes, check_cuts, find_cuts
from preprocess.check.faces import (
    check_light,
    check_presence,
    check_sharpness,
    check_size,
    face_blur,
    face_light,
)
from preprocess.check.film import Film, Frame
from preprocess.check.findings import Finding, longest_without
from preprocess.check.hands import check_hands
from preprocess.check.length import check_frame_rate, check_length
from preprocess.check.looks import AROUND_FACE, Look, Observer, square_of
from preprocess.check.mouth import Lips, Step, check_mouth, check_step, in_step, relative_opening
from preprocess.check.pose import check_pose, look_angles
from preprocess.check.sound import Sound, check_sound, read_sound
from preprocess.landmarks_mediapipe import FaceMesh
from preprocess.media import Cut, Media, probe, require_picture
from ssp_nerf.errors import InputError
from ssp_nerf.progress import progress
from ssp_nerf.schema import FPS

LOOKS = 160
"""Frames that are looked at closely, at most: in five minutes every two seconds."""
LEAST_STEP = 0.1  # seconds between looks; nothing new is seen sooner
STRETCHES, STRETCH_SECONDS = 12, 4.0
"""In which the lips are followed: over 48 s, lips and sound correlate by chance to within 0.07."""
FOLLOWED_FACE = 200  # pixels: height of the face in which lips are followed; FaceMesh sees 192
FASTEST_LIPS = 31.0  # frames a second; of faster films every second frame follows the lips well
UNKNOWN_SECONDS = 300.0  # where the container does not say how long the film is


@dataclass(frozen=True)
class Report:
    """What was seen of a clip, and the findings.

    Attributes:
        video: the file.
        seconds: length of the clip.
        findings: in the order of the measurements.
        times: (N,) seconds of all frames.
        cuts: indices of the first frames after cuts.
        looks: the frames that were looked at closely.
        angle_times, angles: (A,) seconds, (A, 3) yaw, pitch, roll of the head there, degrees.
        stretches: lips at the full frame rate.
        step: lips and loudness over lags, or None without sound.
        sound: or None.
        still: the background in the looks.
        portrait_pixels: pixels of the portrait over pixels of the looks' small pictures.
    """

    video: Path
    seconds: float
    findings: list[Finding]
    times: np.ndarray
    cuts: np.ndarray
    looks: list[Look]
    angle_times: np.ndarray
    angles: np.ndarray
    stretches: list[Lips]
    step: Step | None
    sound: Sound | None
    still: Stillness
    portrait_pixels: float

    @property
    def clean(self) -> tuple[float, float] | None:
        """The longest stretch that no bad finding names a time in, seconds."""
        return longest_without(self.findings, self.seconds)


def examine(video: Path, size: int, face_fraction: float, cut: Cut) -> Report:
    """Look at a video and judge it.

    Args:
        video: any film.
        size, face_fraction: as in `crop`: what the portrait needs.
        cut: the part to use.

    Raises:
        InputError: not a video, no picture, fewer than 2 frames.
    """
    media = probe(video)
    film = Film(media, cut)
    portrait_face = size * face_fraction
    changes, looks, stretches = watch(film, portrait_face)
    times = np.array(film.times)
    differences = np.array(changes.differences)
    seconds = float(times[-1] - times[0]) * len(times) / (len(times) - 1)
    sound = _sound(media, cut)

    cuts = find_cuts(differences)
    still = watch_background(looks)
    angle_times, angles = look_angles(looks)
    step = None if sound is None else in_step(stretches, sound)
    shown = require_picture(media)

    findings = [check_length(seconds), *check_frame_rate(times, differences, film)]
    findings += check_sound(sound, seconds)
    findings += check_presence(looks)
    findings += check_size(looks, shown.width, shown.height, film.scale, size, face_fraction)
    findings += check_sharpness(looks, bits_per_pixel(media))
    findings += check_light(looks, np.array(changes.brightness))
    findings += check_pose(angle_times, angles)
    findings += check_mouth(_openings(looks, stretches))
    if step is not None and sound is not None:
        findings += check_step(step)
    findings.append(check_hands(looks))
    findings.append(check_cuts(times, cuts, scene_changes(looks, times[cuts])))
    boxes = [look.face[3] - look.face[1] for look in looks if look.face is not None]
    portrait_pixels = portrait_face / (np.median(boxes) * looks[0].scale) if boxes else 1.0
    if boxes:
        look_times = np.array([look.time for look in looks])
        findings.append(check_background(look_times, still, portrait_pixels, size))
    return Report(
        video, seconds, findings, times, cuts, looks, angle_times, angles, stretches, step, sound,
        still, float(portrait_pixels),
    )  # fmt: skip


def watch(film: Film, portrait_face: float) -> tuple[Changes, list[Look], list[Lips]]:
    """Go through a film: changes between all frames, close looks, and stretches of lips.

    Args:
        portrait_face: height of the face in the portrait, pixels.
    """
    seconds = film.estimated_seconds or UNKNOWN_SECONDS
    observer, follower = Observer(), LipFollower()
    changes = Changes()
    looks: list[Look] = []
    step, next_look = max(LEAST_STEP, seconds / LOOKS), 0.0
    starts = stretch_starts(seconds)
    for frame in progress(
        film.frames(), "check_video", round(seconds * (require_picture(film.media).fps or FPS))
    ):
        changes.add(frame.luma())
        if frame.time >= next_look and len(looks) < LOOKS:
            next_look += step
            picture = frame.picture()
            look = observer.look(frame.time, picture)
            if look.face is not None:
                look.blur = face_blur(picture, look.face, portrait_face)
            if look.points is not None:
                look.light = face_light(picture, look.points)
            looks.append(look)
        while starts and frame.time >= starts[0] + STRETCH_SECONDS:
            starts.pop(0)
            follower.end()
        if starts and frame.time >= starts[0] and looks[-1].face is not None:
            follower.follow(frame, looks[-1].face)
    follower.end()
    return changes, looks, follower.stretches


def stretch_starts(seconds: float) -> list[float]:
    """Seconds at which stretches of lips begin: evenly over a film, without overlap."""
    count = min(STRETCHES, ceil(seconds / STRETCH_SECONDS) or 1)
    room = max(0.0, seconds - count * STRETCH_SECONDS) / (count + 1)
    return [room + i * (STRETCH_SECONDS + room) for i in range(count)]


class LipFollower:
    """Opens of the mouth from frame to frame; `stretches` has those that ended."""

    def __init__(self) -> None:
        self.mesh = FaceMesh()
        self.stretches: list[Lips] = []
        self.seen: list[tuple[float, float]] = []

    def follow(self, frame: Frame, face: np.ndarray) -> None:
        """Take a frame in which the face was near a box just before."""
        if self.seen and frame.time - self.seen[-1][0] < 1 / FASTEST_LIPS:
            return
        scale = min(1.0, FOLLOWED_FACE / (face[3] - face[1]))
        square, _ = square_of(frame.picture(scale), face * scale, AROUND_FACE)
        points = self.mesh.points(square)
        opening = float("nan") if points is None else float(relative_opening(points))
        self.seen.append((frame.time, opening))

    def end(self) -> None:
        """End a stretch."""
        if self.seen:
            times, opening = np.array(self.seen).T
            self.stretches.append(Lips(times, opening))
        self.seen = []


def scene_changes(looks: Sequence[Look], cut_times: np.ndarray) -> int:
    """How many cuts lead to another scene: the background differs from the last look before to the
    first look after."""
    if not len(cut_times):
        return 0
    times = np.array([look.time for look in looks])
    masks = background_masks(looks)
    count = 0
    for cut in cut_times:
        after = int(np.searchsorted(times, cut))
        if not 0 < after < len(looks):
            continue
        both = masks[after - 1] & masks[after]
        a, b = (looks[i].small[both].astype(float) for i in (after - 1, after))
        count += bool(len(a)) and float(np.abs(a - b).mean()) > limits.SCENE_LEVELS
    return count


def bits_per_pixel(media: Media) -> float | None:
    """Of the whole file at its frame rate, sound included; None if its length is not known."""
    shown = require_picture(media)
    if not media.duration or not shown.fps:
        return None
    pixels = shown.width * shown.height * shown.fps * media.duration
    return media.path.stat().st_size * 8 / pixels


def _sound(media: Media, cut: Cut) -> Sound | None:
    try:
        return read_sound(media, cut)
    except InputError:  # a track without a sample within the cut
        return None


def _openings(looks: Sequence[Look], stretches: Sequence[Lips]) -> np.ndarray:
    """Of the mouth, over its width: from the stretches, else from the looks."""
    followed = np.concatenate([lips.opening for lips in stretches]) if stretches else np.zeros(0)
    followed = followed[np.isfinite(followed)]
    if len(followed):
        return followed
    return np.array([relative_opening(look.points) for look in looks if look.points is not None])
