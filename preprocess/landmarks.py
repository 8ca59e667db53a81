"""Face points of every frame; lost faces are looked for again, gaps are filled and marked.

`python -m preprocess.landmarks --frames frames.h5 --landmarks landmarks.h5`

For rendered frames: `--rendered --allow-missing --frames part0.h5 part1.h5 ...`, a row for each
frame in the order of the files.
"""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from preprocess.face_tracking import Clip, Detector, find_faces
from preprocess.gaps import fill_gaps, gaps
from preprocess.landmarks_mediapipe import MediapipeDetector
from preprocess.missing_faces import write_contact_sheet
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.frame_store import PackedFrames
from ssp_nerf.schema import FPS, FRAMES, LANDMARKS, RENDER

DETECTORS = ("mediapipe", "face_alignment")
DETECTOR = "mediapipe"
WEIGHTS = Path("weights")
MAX_GAP = 12
"""Frames, half a second: a straight line over a longer gap would invent the head's motion."""
RANGES_IN_MESSAGE = 8  # an error is one line


def detect_landmarks(
    frames: Sequence[Path],
    landmarks: Path,
    max_gap: int = MAX_GAP,
    allow_missing: bool = False,
    rendered: bool = False,
    detector: str = DETECTOR,
    weights: Path = WEIGHTS,
    device: str = "auto",
    missing: Path | None = None,
) -> None:
    """Write the face points of every frame, in the LANDMARKS layout.

    Args:
        frames: files of the FRAMES layout, or of the RENDER layout if `rendered`, read in order.
        landmarks: where the points go.
        max_gap: most frames in a row that may lack a face.
        allow_missing: any number of frames may lack one; points are zero if all do.
        rendered: the frames come from `render`.
        detector: one of `DETECTORS`.
        weights: folder with the weight files of pretrained detectors.
        device: where face_alignment computes: auto, cpu, cuda.
        missing: where a picture of the frames without a face goes if there are too many.

    Raises:
        InputError: files of another kind or of unequal sizes, a weight file is missing, or a face
            is missing for too long.
    """
    if max_gap < 0:
        raise InputError(f"landmarks.max_gap (--max-gap) is {max_gap}, expected 0 frames or more.")
    if missing is not None:
        missing.unlink(missing_ok=True)  # of an earlier run
    layout = RENDER if rendered else FRAMES
    with ExitStack() as files:
        arrays = [PackedFrames(files.enter_context(layout.open(path))["frames"]) for path in frames]
        _require_equal_sizes(frames, [array.shape for array in arrays])
        clip = Clip(arrays)
        height, width = arrays[0].shape[1:3]
        finder = choose_detector(detector, weights, device)
        points, confidence = find_faces(clip, finder)
        found = confidence > 0
        if not allow_missing:
            _require_faces(clip, found, max_gap, frames[0], missing)

    settings = {"detector": detector, "max_gap": max_gap, "allow_missing": allow_missing}
    attributes = {"width": width, "height": height, "detector": detector}
    sizes = {"N": len(clip), "P": finder.count}
    with LANDMARKS.create(landmarks, sizes, attributes, settings) as file:
        file["points"][:] = fill_gaps(points, found)
        file["confidence"][:] = confidence
        file["interpolated"][:] = ~found


def choose_detector(name: str, weights: Path, device: str) -> Detector:
    """The detector of that name."""
    if name == "face_alignment":
        from preprocess.landmarks_face_alignment import FaceAlignmentDetector

        return FaceAlignmentDetector(weights, device)
    assert name == "mediapipe", name
    return MediapipeDetector()


def _require_equal_sizes(paths: Sequence[Path], shapes: Sequence[tuple[int, ...]]) -> None:
    if len({shape[1:] for shape in shapes}) != 1:
        listed = ", ".join(f"{path} {s}" for path, s in zip(paths, shapes, strict=True))
        raise InputError(
            f"frames of unequal sizes: {listed}. All parts must come from one "
            "rendering; delete them and render again."
        )


def _require_faces(
    clip: Clip, found: np.ndarray, max_gap: int, path: Path, missing: Path | None
) -> None:
    long = [gap for gap in gaps(found) if gap[1] - gap[0] + 1 > max_gap]
    if not long and found.any():
        return
    seen = ""
    if missing is not None:
        write_contact_sheet(missing, clip, found, long or gaps(found))
        seen = f" They are shown in {missing}."
    if not found.any():
        raise InputError(
            f"{path}: no face found in any of {len(found)} frames.{seen} Look at portrait.mp4: it "
            "should show one face, upright and unobstructed; else choose another video or crop."
        )
    shown = ", ".join(
        f"{first}-{last} ({first / FPS:.2f}-{(last + 1) / FPS:.2f} s)"
        for first, last in long[:RANGES_IN_MESSAGE]
    )
    more = f" and {len(long) - RANGES_IN_MESSAGE} more" if len(long) > RANGES_IN_MESSAGE else ""
    raise InputError(
        f"{path}: no face in frames {shown}{more}, longer than landmarks.max_gap = {max_gap} "
        f"frames.{seen} Cut these times away with start and duration of subjects.<name>, or raise "
        "landmarks.max_gap."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.landmarks", __doc__)
    parser.add_argument(
        "--frames", type=Path, nargs="+", required=True, help="frames.h5, or parts of a rendering"
    )
    parser.add_argument("--landmarks", type=Path, required=True, help="HDF5 file to write")
    parser.add_argument(
        "--detector",
        choices=DETECTORS,
        default=DETECTOR,
        help="mediapipe: FaceMesh, 478 points, works offline; face_alignment: 68 points, needs two "
        "weight files (config key landmarks.detector)",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        default=WEIGHTS,
        help="folder with pretrained weights (config key landmarks.weights)",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where face_alignment computes",
    )
    parser.add_argument(
        "--max-gap", type=int, default=MAX_GAP, help="most frames in a row that may lack a face"
    )
    parser.add_argument(
        "--missing", type=Path, help="PNG of the frames that lack one, written if there are more"
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
            options.detector,
            options.weights,
            options.device,
            options.missing,
        )

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
