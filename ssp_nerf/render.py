"""Render a range of frames of a trained portrait: bundle and speech features in, HDF5 part out.

Two takes: `heldout` renders the frames that training never saw, each with its own pose and its own
speech; `driven` renders a frame for every 40 ms of any speech, over the poses of the training
frames played back and forth.
"""

import re
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ssp_nerf import cli
from ssp_nerf.bundle import Bundle, load_bundle
from ssp_nerf.config import RenderingConfig, add_flags, from_flags
from ssp_nerf.device import DEVICES, pick_device
from ssp_nerf.errors import InputError
from ssp_nerf.fast_renderer import FastRenderer
from ssp_nerf.files import folder_sha256
from ssp_nerf.frame_renderer import ExactRenderer, FrameRenderer
from ssp_nerf.frame_store import write_frame
from ssp_nerf.frame_writer import FrameWriter, Written
from ssp_nerf.metrics.psnr import psnr
from ssp_nerf.progress import progress
from ssp_nerf.schema import AUDIO_FEATURES, RENDER

TAKES = ("heldout", "driven")
AUTO_MODES = {"heldout": "exact", "driven": "fast"}
"""What is measured is drawn exactly; what is watched, fast."""
CHECKED_FRAMES = 3
"""Of a part drawn fast that are also drawn exactly, at most; fewer of a part that is short."""
FRAMES_PER_CHECK = 25


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
    number, parts = part
    device = device_of_part(device, number)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    bundle = load_bundle(bundle_path, device)
    windows = read_speech(features_path, bundle)
    all_poses, all_speech = take_frames(take, bundle, len(windows))
    poses, speech = (frames.tensor_split(parts)[number - 1] for frames in (all_poses, all_speech))
    frames = list(zip(poses.tolist(), speech.tolist(), strict=True))

    exact = ExactRenderer(
        bundle.model, bundle, windows, config.rays_per_chunk, config.precision, config.kernels
    )
    mode = AUTO_MODES[take] if config.mode == "auto" else config.mode
    renderer: FrameRenderer = exact
    difference: list[float] = []
    if mode == "fast" and frames:
        # All parts leave out the same: what the whole take's poses and speech do not need.
        renderer = FastRenderer(exact, all_poses)
        difference = differences(renderer, exact, checked(frames))

    sizes = {"N": len(frames), "H": bundle.height, "W": bundle.width}
    settings = {"take": take, "part": f"{number}-of-{parts}"}
    model = folder_sha256(bundle_path)
    attributes = {"take": take, "model": model, "mode": mode, "psnr_to_exact": difference}
    with RENDER.create(output_path, sizes, attributes, settings) as file:
        file["index"][...] = poses.cpu().numpy()
        file["speech"][...] = speech.cpu().numpy()

        def write(row: int, frame: Written) -> None:
            write_frame(file["frames"], row, frame.picture)
            write_frame(file["parsing"], row, frame.parsing)
            write_frame(file["displacement"], row, frame.displacement)

        with FrameWriter(write) as writer:
            for row, (pose, moment) in enumerate(progress(frames, "render", len(frames))):
                writer.put(row, renderer.draw(pose, moment))
    if difference:
        listed = ", ".join(f"{value:.1f}" for value in difference)
        print(f"fast frames beside exact ones: {listed} dB", file=sys.stderr)


def device_of_part(device: torch.device, number: int) -> torch.device:
    """The GPU for a part's number (from 1): the visible ones in turn. A CPU is always the same."""
    if device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", (number - 1) % torch.cuda.device_count())


def checked(frames: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The frames of a part, evenly spread, that are drawn both ways."""
    count = min(CHECKED_FRAMES, -(-len(frames) // FRAMES_PER_CHECK))
    return [frames[(2 * i + 1) * len(frames) // (2 * count)] for i in range(count)]


def differences(
    fast: FrameRenderer, exact: FrameRenderer, frames: Sequence[tuple[int, int]]
) -> list[float]:
    """PSNR (dB) of frames drawn fast to the same drawn exactly, as they are written."""
    return [
        psnr(fast.draw(*frame).picture(), exact.draw(*frame).picture())
        for frame in progress(frames, "compare with exact frames", len(frames))
    ]


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
