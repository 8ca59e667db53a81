"""478 face points a frame by mediapipe's FaceMesh; gaps are filled and marked.

`python -m preprocess.landmarks --frames frames.h5 --landmarks landmarks.h5`

For rendered frames: `--rendered --allow-missing --frames part0.h5 part1.h5 ...`, a row for each
frame in the order of the files.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from preprocess.face_topology import POINTS
from preprocess.quiet import quiet_native_stderr
from preprocess.solutions import solution
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.frame_store import PackedFrames
from ssp_nerf.progress import progress
from ssp_nerf.schema import FPS, FRAMES, LANDMARKS, RENDER

DETECTOR = "mediapipe"
MAX_GAP = 12
"""Frames, half a second: a straight line over a longer gap would invent the head's motion."""
RANGES_IN_MESSAGE = 8  # an error is one line


class FaceMesh:
    """mediapipe's FaceMesh; the same frames give the same points.

    Args:
        follow: one face from frame to frame; else every image is looked at on its own.
    """

    def __init__(self, follow: bool = True) -> None:
        with quiet_native_stderr():
            face_mesh = solution("face_mesh")
            self.network = face_mesh.FaceMesh(
                static_image_mode=not follow, max_num_faces=1, refine_landmarks=True
            )
            self.network.process(np.zeros((128, 128, 3), np.uint8))
        self.warmed_up = False

    def points(self, image: np.ndarray) -> np.ndarray | None:
        """(478, 3) float32 points of the face in an RGB image (H, W, 3) uint8, or None.

        x and y are pixels from the top left corner; z is on x's scale, smaller is nearer.
        """
        height, width = image.shape[:2]
        # The second half of mediapipe's graph starts, and chatters, with the first face.
        with nullcontext() if self.warmed_up else quiet_native_stderr():
            faces = self.network.process(image).multi_face_landmarks
        if not faces:
            return None
        self.warmed_up = True
        points = np.array([(p.x, p.y, p.z) for p in faces[0].landmark], np.float64)
        return (points * (width, height, width)).astype(np.float32)


def detect_landmarks(
    frames: Sequence[Path],
    landmarks: Path,
    max_gap: int = MAX_GAP,
    allow_missing: bool = False,
    rendered: bool = False,
) -> None:
    """Write the face points of every frame, in the LANDMARKS layout.

    Args:
        frames: files of the FRAMES layout, or of the RENDER layout if `rendered`, read in order.
        landmarks: where the points go.
        max_gap: most frames in a row that may lack a face.
        allow_missing: any number of frames may lack one; points are zero if all do.
        rendered: the frames come from `render`.

    Raises:
        InputError: files of another kind or of unequal sizes, or a face is missing for too long.
    """
    if max_gap < 0:
        raise InputError(f"landmarks.max_gap (--max-gap) is {max_gap}, expected 0 frames or more.")
    layout = RENDER if rendered else FRAMES
    shapes = []
    for path in frames:
        with layout.open(path) as file:
            shapes.append(file["frames"].shape)
    if len({shape[1:] for shape in shapes}) != 1:
        listed = ", ".join(f"{path} {s}" for path, s in zip(frames, shapes, strict=True))
        raise InputError(
            f"frames of unequal sizes: {listed}. All parts must come from one "
            "rendering; delete them and render again."
        )
    count, (height, width) = sum(shape[0] for shape in shapes), shapes[0][1:3]

    mesh = FaceMesh()
    points = np.zeros((count, POINTS, 3), np.float32)
    found = np.zeros(count, bool)
    images = _images(frames, rendered)
    for index, image in enumerate(progress(images, "detect_landmarks", count)):
        face = mesh.points(image)
        if face is not None:
            points[index], found[index] = face, True
    if not allow_missing:
        _require_faces(found, max_gap, frames[0])

    settings = {"max_gap": max_gap, "allow_missing": allow_missing}
    attributes = {"width": width, "height": height, "detector": DETECTOR}
    with LANDMARKS.create(landmarks, {"N": count, "P": POINTS}, attributes, settings) as file:
        file["points"][:] = fill_gaps(points, found)
        file["interpolated"][:] = ~found


def fill_gaps(points: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Replace the points of frames without a face.

    Between two frames with a face they lie on the straight line; before the first and after the
    last they are those of the nearest frame. Without any face nothing changes.

    Args:
        points: (N, P, 3) float32.
        found: (N,) bool.

    Returns:
        (N, P, 3) float32, a copy.
    """
    filled = points.copy()
    known, missing = np.flatnonzero(found), np.flatnonzero(~found)
    if not len(known) or not len(missing):
        return filled
    after = np.searchsorted(known, missing).clip(max=len(known) - 1)
    before = (np.searchsorted(known, missing) - 1).clip(min=0)
    left, right = known[before], known[after]
    share = np.where(left == right, 0, (missing - left) / np.maximum(right - left, 1))
    share = share.astype(np.float32)[:, None, None]
    filled[missing] = (1 - share) * points[left] + share * points[right]
    return filled


def gaps(found: np.ndarray) -> list[tuple[int, int]]:
    """First and last frame of every run of frames without a face; found: (N,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], found, [True]]).astype(np.int8)))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]


def _require_faces(found: np.ndarray, max_gap: int, path: Path) -> None:
    if not found.any():
        raise InputError(
            f"{path}: no face found in any of {len(found)} frames. Look at portrait.mp4: it should "
            "show one face, upright and unobstructed; else choose another video or crop."
        )
    long = [gap for gap in gaps(found) if gap[1] - gap[0] + 1 > max_gap]
    if not long:
        return
    shown = ", ".join(
        f"{first}-{last} ({first / FPS:.2f}-{(last + 1) / FPS:.2f} s)"
        for first, last in long[:RANGES_IN_MESSAGE]
    )
    more = f" and {len(long) - RANGES_IN_MESSAGE} more" if len(long) > RANGES_IN_MESSAGE else ""
    raise InputError(
        f"{path}: no face in frames {shown}{more}, longer than landmarks.max_gap = {max_gap} "
        "frames. Cut these times away with start and duration of subjects.<name>, or raise "
        "landmarks.max_gap."
    )


def _images(paths: Iterable[Path], rendered: bool) -> Iterator[np.ndarray]:
    layout = RENDER if rendered else FRAMES
    for path in paths:
        with layout.open(path) as file:
            yield from PackedFrames(file["frames"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.landmarks", __doc__)
    parser.add_argument(
        "--frames", type=Path, nargs="+", required=True, help="frames.h5, or parts of a rendering"
    )
    parser.add_argument("--landmarks", type=Path, required=True, help="HDF5 file to write")
    parser.add_argument(
        "--max-gap", type=int, default=MAX_GAP, help="most frames in a row that may lack a face"
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="any number of frames may lack a face; for renderings, which can be blurred",
    )
    parser.add_argument(
        "--rendered", action="store_true", help="--frames are files that `render` wrote"
    )

    def command(options: argparse.Namespace) -> None:
        detect_landmarks(
            options.frames,
            options.landmarks,
            options.max_gap,
            options.allow_missing,
            options.rendered,
        )

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
