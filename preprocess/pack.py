"""Stage pack_dataset: everything training reads, in one file that describes itself."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import h5py
import numpy as np

from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file
from ssp_nerf.frame_store import copy_frame, read_frame, write_frame
from ssp_nerf.progress import progress
from ssp_nerf.schema import AUDIO_FEATURES, DATASET, FRAMES, PARSING, TRACK

LARGEST_DENOMINATOR = 1000
"""Shares are taken to be fractions of at most this denominator: 0.0909 is meant to be 1/11."""


def pack_dataset(
    frames: Path,
    parsing: Path,
    background: Path,
    track: Path,
    audio_features: Path,
    dataset: Path,
    size: int | None,
    held_out_fraction: Fraction,
) -> None:
    """Gather the outputs of all stages into dataset.h5, at the size that is trained on.

    Args:
        frames, parsing, background, track, audio_features: what the stages before made.
        dataset: dataset.h5, to be written.
        size: height of the pictures in the dataset, pixels; the shape of the picture stays. None
            keeps the stored size.
        held_out_fraction: share of the clip, at its end, that is never trained on.

    Raises:
        InputError: the inputs are of different clips, or leave nothing to train on or to test.
    """
    with (
        FRAMES.open(frames) as video,
        PARSING.open(parsing) as maps,
        TRACK.open(track) as poses,
        AUDIO_FEATURES.open(audio_features) as speech,
    ):
        images, labels = video["frames"], maps["parsing"]
        count, stored_height, stored_width = images.shape[:3]
        counts = {
            parsing: (PARSING.made_by, len(labels)),
            track: (TRACK.made_by, len(poses["c2w"])),
            audio_features: (AUDIO_FEATURES.made_by, len(speech["windows"])),
        }
        check_counts(frames, count, counts)
        scene = read_background(background)
        sizes = {
            parsing: (PARSING.made_by, labels.shape[2], labels.shape[1]),
            track: (TRACK.made_by, int(poses.attrs["width"]), int(poses.attrs["height"])),
            background: ("extract_background", scene.shape[1], scene.shape[0]),
        }
        check_sizes(frames, (stored_width, stored_height), sizes)
        held_out = split(count, held_out_fraction)

        height = stored_height if size is None else size
        if height < 1:
            raise InputError(f"pack.size is {height}, expected a number of pixels above 0.")
        width = round(stored_width * height / stored_height)
        attributes = {name: poses.attrs[name] for name in ("near", "far")}
        attributes["focal"] = poses.attrs["focal"] * height / stored_height
        attributes["audio_extractor"] = speech.attrs["extractor"]
        with DATASET.create(
            dataset,
            {
                "N": count,
                "H": height,
                "W": width,
                "C": speech["windows"].shape[2],
                "V": len(poses["vertices"]),
                "F": len(poses["faces"]),
            },
            attributes,
            {"size": height, "held_out_fraction": str(held_out_fraction)},
        ) as out:
            for index in progress(range(count), "pack_dataset", count):
                store(images, out["frames"], index, resize_image)
                store(labels, out["parsing"], index, resize_labels)
                out["audio"][index] = speech["windows"][index]
            out["background"][...] = resize_image(scene, width, height)
            out["time"][...] = np.linspace(0, 1, count)
            out["held_out"][...] = held_out
            for name in ("c2w", "vertices", "faces"):
                out[name][...] = poses[name][()]


def store(
    source: h5py.Dataset,
    target: h5py.Dataset,
    index: int,
    resize: Callable[[np.ndarray, int, int], np.ndarray],
) -> None:
    """`target[index] = source[index]`, resized if its pictures are of another size."""
    height, width = target.shape[1:3]
    if source.shape[1:3] == (height, width):
        copy_frame(source, target, index)
    else:
        write_frame(target, index, resize(read_frame(source, index), width, height))


def split(count: int, held_out_fraction: Fraction) -> np.ndarray:
    """(N,) bool, True for the frames at the end that are held out: the first ones train.

    `count` times the share that trains is rounded down, so with 1/11 (AD-NeRF's split) the first
    floor(10 count / 11) train. Exact, because the fraction is.
    """
    trained = int(count * (1 - held_out_fraction))
    if not 0 < trained < count:
        raise InputError(
            f"a held-out share of {held_out_fraction} (config key pack.held_out_fraction) of "
            f"{count} frames leaves {trained} to train on and {count - trained} to test; both must "
            "be at least 1. Use a longer clip or another share."
        )
    return np.arange(count) >= trained


def resize_image(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """RGB (H, W, 3) uint8 at another size; smaller by averaging over the area of each pixel."""
    if image.shape[:2] == (height, width):
        return image
    smaller = height < image.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=method)


def resize_labels(labels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Parsing map (H, W) uint8 at another size: each pixel takes the class of its largest part."""
    if labels.shape == (height, width):
        return labels
    method = cv2.INTER_AREA if height < labels.shape[0] else cv2.INTER_LINEAR
    result, largest = np.zeros((height, width), np.uint8), np.zeros((height, width), np.float32)
    for label in np.flatnonzero(np.bincount(labels.ravel())):
        mask = (labels == label).astype(np.float32)
        share = cv2.resize(mask, (width, height), interpolation=method)
        result[share > largest] = label
        np.maximum(largest, share, out=largest)
    return result


def read_background(path: Path) -> np.ndarray:
    """RGB (H, W, 3) uint8."""
    require_file(path, "a background picture", "`extract_background` makes it.")
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(
            f"{path}: expected a PNG picture, but it cannot be read. Delete it; "
            "`extract_background` makes it anew."
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def check_counts(frames: Path, count: int, others: Mapping[Path, tuple[str, int]]) -> None:
    """All files must have as many frames as frames.h5; `others` is {path: (stage, frames)}."""
    for path, (stage, got) in others.items():
        if got != count:
            raise InputError(
                f"{path}: {got} frames, but {frames} has {count}. They are not of the same clip; "
                f"run `{stage}` again."
            )


def check_sizes(
    frames: Path, size: tuple[int, int], others: Mapping[Path, tuple[str, int, int]]
) -> None:
    """All pictures must have the size of frames.h5; `others` is {path: (stage, width, height)}."""
    for path, (stage, *got) in others.items():
        if tuple(got) != size:
            raise InputError(
                f"{path}: made for {got[0]}x{got[1]} pixels, but {frames} has {size[0]}x{size[1]}. "
                f"They are not of the same clip; run `{stage}` again."
            )


def share(text: str) -> Fraction:
    """`1/11`, or a decimal number near it, as an exact fraction."""
    try:
        return Fraction(text).limit_denominator(LARGEST_DENOMINATOR)
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number or a fraction") from error


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.pack", __doc__)
    parser.add_argument("--frames", type=Path, required=True, help="frames.h5")
    parser.add_argument("--parsing", type=Path, required=True, help="parsing.h5")
    parser.add_argument("--background", type=Path, required=True, help="background picture (PNG)")
    parser.add_argument("--track", type=Path, required=True, help="track.h5")
    parser.add_argument("--audio-features", type=Path, required=True, help="audio_features.h5")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.h5, written")
    parser.add_argument(
        "--size",
        type=int,
        help="height of the dataset's pictures, pixels; without it the stored size (config key "
        "pack.size)",
    )
    parser.add_argument(
        "--held-out-fraction",
        type=share,
        default=Fraction(1, 11),
        help="share of the clip, at its end, that is never trained on, e.g. 1/11 or 0.1 (config "
        "key pack.held_out_fraction)",
    )

    def command(options: argparse.Namespace) -> None:
        pack_dataset(
            options.frames,
            options.parsing,
            options.background,
            options.track,
            options.audio_features,
            options.dataset,
            options.size,
            options.held_out_fraction,
        )

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
