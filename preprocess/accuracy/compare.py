"""How accurate the preprocessing stages are on a clip of which the truth is known.

The truth is a folder of files in the formats of the stages, in pixels of the whole video. What is
measured, and how, stands with `pose_accuracy`, `landmark_accuracy`, `parsing_accuracy`,
`background_accuracy` and `sound_accuracy`; `preprocess.accuracy.report` makes a table of it.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np

from preprocess import face_topology as mesh
from preprocess.accuracy.crop import Crop
from preprocess.accuracy.pictures import background_accuracy, landmark_accuracy, parsing_accuracy
from preprocess.accuracy.pose import number, pose_accuracy, turned_to
from preprocess.accuracy.timing import (
    Lag,
    curve_lag,
    each_millisecond,
    heard,
    read_true_speech,
    speech_lag,
    to_be_heard,
)
from preprocess.audio_features import (
    Extractor,
    add_extractor_arguments,
    extractor_of,
    open_extractor,
)
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file, write_json
from ssp_nerf.landmarks import mouth_opening, mouth_points
from ssp_nerf.parsing_map import BACKGROUND
from ssp_nerf.progress import progress
from ssp_nerf.schema import AUDIO_FEATURES, FRAMES, LANDMARKS, PARSING, TRACK
from ssp_nerf.speech import read_speech

SEEN = 128  # grey level of background_seen.png from which on a pixel counts as seen


@dataclass(frozen=True)
class Outputs:
    """What the stages made of a clip."""

    frames: Path
    landmarks: Path
    parsing: Path
    background: Path
    background_seen: Path
    track: Path
    speech: Path
    audio_features: Path


def accuracy(outputs: Outputs, truth: Path, extractor: Extractor | None = None) -> dict[str, Any]:
    """Compare the stages' outputs with the truth.

    Args:
        outputs: files of one subject.
        truth: folder with landmarks.h5, landmarks68.h5, parsing.h5, track.h5, background.png and
            speech.wav.
        extractor: the one that heard the speech; None: log-mel.

    Returns:
        Figures for JSON, `curves` over the frames among them; None for what is not defined.

    Raises:
        InputError: files that are missing or do not belong together.
    """
    crop, count, (width, height) = read_crop(outputs.frames, truth / "landmarks.h5")
    points = read_points(outputs.landmarks, count, mesh.POINTS)
    true_points = crop.points(read_points(truth / "landmarks.h5", count, mesh.POINTS))
    true_points68 = crop.points(read_points(truth / "landmarks68.h5", count, len(mesh.MESH_TO_68)))
    landmark_figures, landmark_curves = landmark_accuracy(points, true_points, true_points68)

    track, track_attributes = read_track(outputs.track, count)
    true_track, true_attributes = read_track(truth / "track.h5", count)
    true_focal = float(true_attributes["focal"])
    right, down = crop.off_axis(width, height)
    pose_figures, pose_curves = pose_accuracy(
        track["c2w"],
        turned_to(true_track["c2w"], true_focal, right, down),
        float(track_attributes["focal"]),
        true_focal * crop.scale,
        track["face_points"],
        true_track["face_points"],
    )

    opening = mouth_opening(mouth_points(points))
    true_opening = mouth_opening(mouth_points(true_points))
    with PARSING.open(outputs.parsing) as found, PARSING.open(truth / "parsing.h5") as true:
        labels, true_labels = found["parsing"], true["parsing"]
        require(outputs.parsing, labels.shape, (count, crop.size, crop.size))
        require(truth / "parsing.h5", true_labels.shape, (count, height, width))
        seen = np.zeros((crop.size, crop.size), bool)
        parsing_figures = parsing_accuracy(label_pairs(labels, true_labels, crop, seen))

    true_background = read_picture(truth / "background.png", (height, width))
    claimed = read_picture(outputs.background_seen, (crop.size, crop.size))[..., 0] >= SEEN
    return {
        "frames": count,
        **pose_figures,
        "landmarks": landmark_figures,
        "iou": parsing_figures,
        "background": background_accuracy(
            read_picture(outputs.background, (crop.size, crop.size)),
            crop.picture(true_background),
            seen,
            claimed,
        ),
        "sound": sound_accuracy(
            outputs.speech,
            outputs.audio_features,
            truth / "speech.wav",
            extractor or open_extractor(),
            curve_lag(opening, each_millisecond(true_opening)),
            count,
        ),
        "curves": {
            name: [number(value) for value in values]
            for name, values in {
                **pose_curves,
                **landmark_curves,
                "mouth_opening_px": opening,
                "true_mouth_opening_px": true_opening,
            }.items()
        },
    }


def sound_accuracy(
    speech: Path,
    features: Path,
    true_speech: Path,
    extractor: Extractor,
    picture: Lag,
    count: int,
) -> dict[str, float | None]:
    """Lags behind the truth in milliseconds, positive is late.

    `speech`: the extracted sound against the true one, by cross-correlation. `features`: what the
    middle of each frame's window holds, against what the same extractor
    hears in the true speech at each millisecond. `picture`: the distance between the lips' inner
    edges against the true one. `alignment`: features less picture, which is how far the sound that
    training sees with a frame is off the mouth in it.

    Args:
        speech: speech.wav of the stage.
        features: audio_features.h5.
        true_speech: mono wav of any rate, time 0 is frame 0.
        extractor: the one that made `features`.
        picture: lag of the mouth's opening.
        count: frames of the clip.

    Raises:
        InputError: files that are missing or do not belong together.
    """
    sound = read_true_speech(true_speech)
    arrays, attributes = AUDIO_FEATURES.read(features)
    windows = arrays["windows"]
    require(features, windows.shape, (count, *windows.shape[1:]))
    expected = to_be_heard(sound, extractor, count)
    if (attributes["extractor"], windows.shape[-1]) != (extractor.name, expected.shape[-1]):
        raise InputError(
            f"{features}: {windows.shape[-1]} channels of {attributes['extractor']!r}, but the "
            f"flags ask for {expected.shape[-1]} of {extractor.name!r}. Pass the extractor and "
            "channels that made the features."
        )
    extracted = speech_lag(read_speech(speech), sound)
    windowed = curve_lag(heard(windows), expected)
    return {
        "speech_lag_ms": number(extracted.ms),
        "speech_correlation": number(extracted.correlation),
        "feature_lag_ms": number(windowed.ms),
        "feature_correlation": number(windowed.correlation),
        "picture_lag_ms": number(picture.ms),
        "picture_correlation": number(picture.correlation),
        "alignment_ms": number(windowed.ms - picture.ms),
    }


def read_crop(frames: Path, true_landmarks: Path) -> tuple[Crop, int, tuple[int, int]]:
    """Which square of the true video is in the frames, how many frames there are, and the video's
    width and height, pixels.

    Raises:
        InputError: frames that are not of a square inside that video.
    """
    with FRAMES.open(frames) as file, LANDMARKS.open(true_landmarks) as truth:
        count, rows, columns = file["frames"].shape[:3]
        x, y, side, other_side = (int(edge) for edge in file.attrs["source_box"])
        width, height = int(truth.attrs["width"]), int(truth.attrs["height"])
    inside = x >= 0 and y >= 0 and x + side <= width and y + side <= height
    if side != other_side or rows != columns or not inside:
        raise InputError(
            f"{frames}: {columns}x{rows} frames of a box of {side}x{other_side} at ({x}, {y}), "
            f"expected a square inside the {width}x{height} of {true_landmarks}. Crop the video "
            "that this truth belongs to."
        )
    return Crop(x, y, side, rows), count, (width, height)


def read_points(path: Path, frames: int, points: int) -> np.ndarray:
    """(frames, points, 2) float64 pixels of a LANDMARKS file."""
    with LANDMARKS.open(path) as file:
        require(path, file["points"].shape, (frames, points, 3))
        return file["points"][..., :2].astype(np.float64)


def read_track(path: Path, frames: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and attributes of a TRACK file."""
    arrays, attributes = TRACK.read(path)
    require(path, arrays["c2w"].shape, (frames, 3, 4))
    return arrays, attributes


def read_picture(path: Path, size: tuple[int, int]) -> np.ndarray:
    """(*size, 3) uint8 RGB of a picture file that must have this height and width."""
    image = cv2.imread(str(require_file(path, "a picture")), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path}: expected a picture (PNG), but it cannot be read as one.")
    require(path, image.shape, (*size, 3))
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def require(path: Path, shape: Sequence[int], expected: Sequence[int]) -> None:
    """Raises InputError if the array in `path` is not the size that the frames ask for."""
    if tuple(shape) != tuple(expected):
        raise InputError(
            f"{path}: size {'x'.join(map(str, shape))}, expected {'x'.join(map(str, expected))} as "
            "the frames have it. Use outputs and truth of the same video, uncut (no start or "
            "duration)."
        )


def label_pairs(
    labels: h5py.Dataset, true_labels: h5py.Dataset, crop: Crop, seen: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Parsing map and truth of each frame, of the size of the frames; on the way, (H, W) bool
    `seen` gathers where the true one ever shows background."""
    for index in progress(range(len(labels)), "accuracy", len(labels)):
        truth = crop.labels(true_labels[index])
        seen |= truth == BACKGROUND
        yield labels[index], truth


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.accuracy.compare", __doc__)
    for name, what in {
        "frames": "frames.h5",
        "landmarks": "landmarks.h5",
        "parsing": "parsing.h5",
        "background": "background.png",
        "background_seen": "background_seen.png",
        "track": "track.h5",
        "speech": "speech.wav, 16 kHz mono",
        "audio_features": "audio_features.h5",
        "truth": "folder of the true landmarks, parsing, track, background and speech",
        "accuracy": "JSON file, written",
    }.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True, help=what)

    add_extractor_arguments(parser)

    def command(options: argparse.Namespace) -> None:
        outputs = Outputs(**{name: getattr(options, name) for name in Outputs.__annotations__})
        write_json(options.accuracy, accuracy(outputs, options.truth, extractor_of(options)))

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
