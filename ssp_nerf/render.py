"""Render a range of frames of a trained portrait: bundle and speech features in, HDF5 part out.

Two takes: `heldout` renders the frames that training never saw, each with its own pose and its own
speech; `driven` renders a frame for every 40 ms of any speech, over the poses of the training
frames played back and forth.
"""

import re
from argparse import ArgumentTypeError, Namespace
from pathlib import Path

import torch
from torch import Tensor

from ssp_nerf import cli
from ssp_nerf.bundle import Bundle, load_bundle
from ssp_nerf.config import RenderingConfig, add_flags, from_flags
from ssp_nerf.device import DEVICES, pick_device
from ssp_nerf.errors import InputError
from ssp_nerf.frame_renderer import draw
from ssp_nerf.progress import progress
from ssp_nerf.schema import AUDIO_FEATURES, RENDER

TAKES = ("heldout", "driven")


def take_frames(take: str, bundle: Bundle, speech_frames: int) -> tuple[Tensor, Tensor]:
    """Which pose and which moment of the speech make each frame of a take.

    Returns:
        poses (M,) frame numbers of the clip, and speech (M,) frame numbers of the speech.

    Raises:
        InputError: the speech is not the clip's own, or nothing was held out.
    """
    if take == "heldout":
        held_out = torch.nonzero(bundle.held_out).squeeze(1)
        if not len(held_out):
            raise InputError("pack.held_out_fraction left no frame to hold out; nothing to render.")
        if speech_frames != len(bundle.time):
            raise InputError(
                f"the speech features have {speech_frames} frames, the clip {len(bundle.time)}: "
                "held-out frames need the clip's own speech."
            )
        return held_out, held_out
    poses = bundle.training_frames
    return poses[back_and_forth(speech_frames, len(poses))], torch.arange(speech_frames)


def back_and_forth(length: int, count: int) -> Tensor:
    """0, 1, ..., count - 1, count - 2, ..., 1, 0, 1, ... of the given length."""
    if count == 1:
        return torch.zeros(length, dtype=torch.int64)
    position = torch.arange(length) % (2 * (count - 1))
    return torch.minimum(position, 2 * (count - 1) - position)


def render(
    bundle_path: Path,
    features_path: Path,
    output_path: Path,
    take: str,
    part: tuple[int, int],
    config: RenderingConfig,
    device: torch.device,
) -> None:
    """Render part `(i, n)`, the i-th of n (from 1), of a take.

    Raises:
        InputError: bundle or features are missing, damaged or do not fit together.
    """
    bundle = load_bundle(bundle_path, device)
    windows = read_speech(features_path, bundle)
    poses, speech = take_frames(take, bundle, len(windows))
    number, parts = part
    poses, speech = poses.tensor_split(parts)[number - 1], speech.tensor_split(parts)[number - 1]
    sizes = {"N": len(poses), "H": bundle.height, "W": bundle.width}
    settings = {"take": take, "part": f"{number}-of-{parts}"}
    with RENDER.create(output_path, sizes, {}, settings) as file:
        file["index"][...] = poses.cpu().numpy()
        file["speech"][...] = speech.cpu().numpy()
        moments = zip(poses.tolist(), speech.tolist(), strict=True)
        for i, (pose, moment) in enumerate(progress(moments, "render", len(poses))):
            drawn = draw(
                bundle.model, bundle, pose, windows, moment, config.rays_per_chunk, config.precision
            )
            file["frames"][i] = drawn.picture()
            file["parsing"][i] = drawn.parsing.cpu().numpy()


def read_speech(path: Path, bundle: Bundle) -> Tensor:
    """Windows (M, 16, C) of speech features that can drive a portrait, on its device.

    Raises:
        InputError: other features than the portrait was trained on.
    """
    with AUDIO_FEATURES.open(path) as file:
        windows = torch.from_numpy(file["windows"][()]).to(bundle.c2w.device)
        extractor = file.attrs["extractor"]
    channels = bundle.model.scene.audio_channels
    if extractor != bundle.audio_extractor or windows.shape[2] != channels:
        raise InputError(
            f"{path}: {windows.shape[2]} channels of {extractor!r}, but the model was "
            f"trained on {channels} of {bundle.audio_extractor!r}. Extract this speech with the "
            "same audio.extractor and audio.channels."
        )
    return windows


def part_of(text: str) -> tuple[int, int]:
    """`2-of-8` -> (2, 8)."""
    match = re.fullmatch(r"(\d+)-of-(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ArgumentTypeError(f"expected I-of-N with 1 <= I <= N, got {text!r}")
    return int(match[1]), int(match[2])


def main(arguments: list[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.render", __doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="trained model folder")
    parser.add_argument(
        "--audio-features", type=Path, required=True, help="HDF5 of extract_audio_features"
    )
    parser.add_argument("--output", type=Path, required=True, help="HDF5 part to write")
    parser.add_argument("--take", choices=TAKES, default="driven", help="which frames to render")
    parser.add_argument("--part", type=part_of, default=(1, 1), help="range to render, as I-of-N")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute")
    add_flags(parser, RenderingConfig)

    def command(options: Namespace) -> None:
        render(
            options.bundle,
            options.audio_features,
            options.output,
            options.take,
            options.part,
            from_flags(options, RenderingConfig),
            pick_device(options.device),
        )

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
