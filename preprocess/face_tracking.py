"""One face through a whole clip, by any detector: followed, checked, and looked for where lost."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from preprocess.face_points import Face, agree, steady
from preprocess.gaps import gaps
from preprocess.second_looks import look_again, look_twice, seen_again
from ssp_nerf.progress import progress

CHECK_INTERVAL = 25
"""Frames from one check whether the face is where it is followed to the next: a second."""
PATIENCE = 12
"""Frames in a row in which second looks find nothing, before the rest of a gap is left alone."""


class Detector(Protocol):
    """What finds a face. Pictures are RGB (H, W, 3) uint8."""

    count: int
    """Points of a face."""

    def track(self, image: np.ndarray) -> Face | None:
        """The face in the next frame of a clip, near where it was."""

    def look(self, image: np.ndarray) -> Face | None:
        """The face in a picture, whatever was seen before."""

    def restart(self) -> None:
        """Forget where the face was."""


class Clip:
    """The frames of several files as one sequence, read one at a time."""

    def __init__(self, arrays: Sequence[Sequence[np.ndarray]]):
        self.arrays = arrays
        self.ends = np.cumsum([len(array) for array in arrays])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> np.ndarray:
        part = int(np.searchsorted(self.ends, index, side="right"))
        return self.arrays[part][index - int(self.ends[part]) + len(self.arrays[part])]

    def __iter__(self) -> Iterator[np.ndarray]:
        for array in self.arrays:
            yield from array


def find_faces(clip: Clip, detector: Detector) -> tuple[np.ndarray, np.ndarray]:
    """The face in every frame: followed through the clip, looked for again where it was lost.

    Returns:
        Points (N, P, 3) and the detector's confidence (N,), both float32, 0 without a face.
    """
    points = np.zeros((len(clip), detector.count, 3), np.float32)
    confidence = np.zeros(len(clip), np.float32)
    doubtful = []
    followed = follow(progress(clip, "detect_landmarks", len(clip)), detector)
    for index, (image, face) in enumerate(followed):
        if face is not None:
            points[index], confidence[index] = face.points, face.confidence
            if index % CHECK_INTERVAL == 0 and not seen_again(detector.look, image, face):
                doubtful.append(index)
    for index in doubtful:
        forget_unseen(clip, detector, points, confidence, index)
    lost = int(np.sum(confidence == 0))
    again = look_for_lost(clip, detector, points, confidence)
    if lost:
        print(
            f"the face was lost in {lost} of {len(clip)} frames and found in {again} of them at a "
            "second look",
            file=sys.stderr,
        )
    return points, confidence


def follow(
    images: Iterable[np.ndarray], detector: Detector
) -> Iterator[tuple[np.ndarray, Face | None]]:
    """One frame after another with its face.

    A detector that follows a face looks only near where it was, and after a cut may see one in
    whatever is there now. So a step that no head makes in a frame is checked by a fresh look at the
    whole picture, and where the two disagree the fresh one counts.
    """
    before = None
    for image in images:
        face = detector.track(image)
        if face is not None and before is not None and not steady(before, face):
            face = _checked(detector, image, face)
        yield image, face
        before = face


def _checked(detector: Detector, image: np.ndarray, followed: Face) -> Face:
    seen = detector.look(image)
    fresh = None if seen is None else look_twice(detector.look, image, seen)
    if fresh is None or agree(fresh, followed):
        return followed
    detector.restart()
    return detector.track(image) or fresh


def forget_unseen(
    clip: Clip, detector: Detector, points: np.ndarray, confidence: np.ndarray, index: int
) -> None:
    """Call the face lost in a frame where a second look does not see it, and in those around it.

    A network that follows a face goes on seeing it, and is sure of it, in the hand before it.
    """
    for indices in (range(index, len(clip)), range(index - 1, -1, -1)):
        for i in indices:
            face = Face(points[i], float(confidence[i]))
            if not confidence[i] or seen_again(detector.look, clip[i], face):
                break
            confidence[i] = 0


def look_for_lost(
    clip: Clip, detector: Detector, points: np.ndarray, confidence: np.ndarray
) -> int:
    """Second looks at the frames without a face, filled in place; how many faces they found.

    A gap is gone through from its beginning, then what is left of it from its end, each time with
    the faces on either side for places where it may be; and left alone after `PATIENCE` failures.
    """
    again = 0
    tried = np.zeros(len(clip), bool)
    for step in (1, -1):
        for first, last in gaps(confidence > 0):
            failures = 0
            for index in range(first, last + 1)[::step]:
                if failures == PATIENCE or tried[index]:
                    break
                tried[index] = True
                places = _nearest_faces(points, confidence, index)
                face = look_again(detector.look, clip[index], places)
                failures = failures + 1 if face is None else 0
                if face is not None:
                    points[index], confidence[index] = face.points, face.confidence
                    again += 1
    return again


def _nearest_faces(points: np.ndarray, confidence: np.ndarray, index: int) -> list[Face]:
    """The last face before a frame and the first after it, where there are such."""
    before = np.flatnonzero(confidence[:index])[-1:]
    after = np.flatnonzero(confidence[index + 1 :])[:1] + index + 1
    return [Face(points[i], float(confidence[i])) for i in (*before, *after)]
