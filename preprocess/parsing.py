"""Stage parse_frames: which of 11 classes each pixel of each frame belongs to."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from ssp_nerf import cli
from ssp_nerf.device import DEVICES
from ssp_nerf.errors import InputError
from ssp_nerf.frame_store import PackedFrames, write_frame
from ssp_nerf.progress import progress
from ssp_nerf.schema import FRAMES, LANDMARKS, PARSING

PARSERS = ("mesh", "bisenet")


def parse_frames(
    frames: Path, landmarks: Path, parsing: Path, parser: str, weights: Path, device: str = "auto"
) -> None:
    """Write the parsing map of every frame.

    Args:
        frames: frames.h5.
        landmarks: landmarks.h5 of the same frames; the parser "mesh" needs FaceMesh's.
        parsing: parsing.h5, to be written.
        parser: one of `PARSERS`.
        weights: folder with the weight files of pretrained parsers.
        device: where a network computes, one of `DEVICES`.

    Raises:
        InputError: the inputs do not belong together, or a weight file is missing.
    """
    with FRAMES.open(frames) as video, LANDMARKS.open(landmarks) as track:
        images = PackedFrames(video["frames"])
        count, height, width = images.shape[:3]
        if len(track["points"]) != count:
            raise InputError(
                f"{landmarks}: {len(track['points'])} frames, but {frames} has {count}. "
                f"Run `{LANDMARKS.made_by}` again on these frames."
            )
        maps = choose_parser(parser, images, track["points"], landmarks, weights, device)
        with PARSING.create(
            parsing,
            {"N": count, "H": height, "W": width},
            {"parser": parser},
            {"parser": parser},
        ) as out:
            for index, labels in enumerate(progress(maps, "parse_frames", count)):
                write_frame(out["parsing"], index, labels)


def choose_parser(
    parser: str,
    images: Sequence[np.ndarray],
    points: h5py.Dataset,
    landmarks: Path,
    weights: Path,
    device: str,
) -> Iterator[np.ndarray]:
    """The parsing maps (H, W) uint8 of a clip, one by one, from the parser of that name."""
    if parser == "bisenet":
        from preprocess import parsing_bisenet

        return parsing_bisenet.parse_clip(images, points, weights, device)

    from preprocess import face_topology, parsing_mesh

    if points.shape[1] < face_topology.MESH_POINTS:
        raise InputError(
            f"{landmarks}: {points.shape[1]} points a frame, but the parser mesh needs the "
            f"{face_topology.MESH_POINTS} of FaceMesh. Set "
            "landmarks.detector to mediapipe, or parsing.parser to bisenet."
        )
    return parsing_mesh.parse_clip(images, points)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.parsing", __doc__)
    parser.add_argument("--frames", type=Path, required=True, help="frames.h5")
    parser.add_argument("--landmarks", type=Path, required=True, help="landmarks.h5")
    parser.add_argument("--parsing", type=Path, required=True, help="parsing.h5, written")
    parser.add_argument(
        "--parser",
        choices=PARSERS,
        default="mesh",
        help="mesh: FaceMesh, person mask and colours, works offline; bisenet: face-parsing "
        "network of facexlib, needs a weight file (config key parsing.parser)",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        default=Path("weights"),
        help="folder with pretrained weights (config key parsing.weights)",
    )

    parser.add_argument(
        "--device", choices=DEVICES, default="auto", help="where a network computes"
    )

    def command(options: argparse.Namespace) -> None:
        parse_frames(
            options.frames,
            options.landmarks,
            options.parsing,
            options.parser,
            options.weights,
            options.device,
        )

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
