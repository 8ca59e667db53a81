"""How far the deformation moves what is seen, at small, medium and large head pose (figure 3).

Three training frames are drawn from the bundle with their own speech, and under each the length of
the expected displacement along every ray, on one colour scale. The means over head, hair and torso
go to a JSON file: they say whether the paper's two observations hold, that the displacement is
mostly on the torso and grows with the pose.
"""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ssp_nerf import cli
from ssp_nerf.baselines import pose_distance, project_face
from ssp_nerf.bundle import Bundle, load_bundle
from ssp_nerf.config import RenderingConfig, add_flags, from_flags
from ssp_nerf.device import DEVICES, pick_device
from ssp_nerf.errors import InputError
from ssp_nerf.files import whole_output, write_json
from ssp_nerf.frame_renderer import ExactRenderer
from ssp_nerf.heat import heat_colours, heat_map
from ssp_nerf.panels import enlarge, whole_factor
from ssp_nerf.parsing_map import BACKGROUND, CLASSES, HAIR, HEAD_CLASSES, NECK, TORSO
from ssp_nerf.progress import progress
from ssp_nerf.render import read_speech
from ssp_nerf.sheet import LEGEND, Panel, Sheet

if TYPE_CHECKING:
    from PIL import Image

POSES = {"small": 5, "medium": 50, "large": 95}
"""What a pose is called, and its percentile among the training frames' distances from p_c."""

REGIONS = {
    "head": HEAD_CLASSES,
    "hair": (HAIR,),
    "torso": (NECK, TORSO),
    "person": tuple(label for label in range(len(CLASSES)) if label != BACKGROUND),
}
CM_PER_DM = 10.0
BRIGHTEST_PERCENTILE = 99.5
"""Of all displacements drawn; the few above it, at silhouettes, would darken the rest."""
DECIMALS = 4  # of every figure written


@dataclass(frozen=True)
class PosedFrame:
    """One of the three frames.

    Attributes:
        pose: small, medium or large.
        frame: its number in the clip.
        time: t in [0, 1].
        pose_distance: from the canonical pose, pixels (`baselines.pose_distance`).
        displacement_cm: region -> mean length over its pixels as rendered, None without one.
    """

    pose: str
    frame: int
    time: float
    pose_distance: float
    displacement_cm: Mapping[str, float | None]


def choose_frames(bundle: Bundle) -> list[tuple[str, int, float]]:
    """Pose, frame and distance (pixels) of the training frame at each percentile of `POSES`."""
    face = project_face(
        bundle.c2w.cpu().numpy(),
        bundle.model.scene.vertices,
        bundle.focal,
        bundle.width,
        bundle.height,
    )
    distance = pose_distance(face, face[0])  # p_c is the pose of the first frame
    training = bundle.training_frames.cpu().numpy()
    frames = training[1:] if len(training) > 1 else training  # the canonical frame's is zero
    ranked = frames[distance[frames].argsort(kind="stable")]
    at = {pose: ranked[(len(ranked) - 1) * percent // 100] for pose, percent in POSES.items()}
    return [(pose, int(frame), float(distance[frame])) for pose, frame in at.items()]


def draw_deformation(
    bundle_path: Path,
    features_path: Path,
    picture_path: Path,
    json_path: Path,
    config: RenderingConfig,
    device: torch.device,
) -> list[PosedFrame]:
    """Write the figure and its numbers; returns the three frames.

    Args:
        bundle_path: the trained portrait.
        features_path: speech features of the clip that it was trained on.
        picture_path: PNG to be written.
        json_path: JSON to be written.

    Raises:
        InputError: bundle or features are missing, damaged or do not fit together.
    """
    bundle = load_bundle(bundle_path, device)
    windows = read_speech(features_path, bundle)
    if len(windows) != len(bundle.time):
        raise InputError(
            f"{features_path}: {len(windows)} frames, the clip of {bundle_path} has "
            f"{len(bundle.time)}. Pass the speech features of the clip itself."
        )
    renderer = ExactRenderer(
        bundle.model, bundle, windows, config.rays_per_chunk, config.precision, config.kernels
    )
    frames: list[PosedFrame] = []
    pictures: list[np.ndarray] = []
    lengths: list[np.ndarray] = []
    for pose, frame, distance in progress(choose_frames(bundle), "deformation", len(POSES)):
        drawn = renderer.draw(frame, frame)
        length = drawn.displacement.norm(dim=-1).cpu().numpy() * CM_PER_DM
        means = region_means(length, drawn.parsing.cpu().numpy())
        time = round(float(bundle.time[frame]), DECIMALS)
        frames.append(PosedFrame(pose, frame, time, round(distance, DECIMALS), means))
        pictures.append(drawn.picture())
        lengths.append(length)

    limit = scale_limit(lengths)
    write_json(json_path, summary(frames, limit))
    sheet = compose(frames, pictures, lengths, limit)
    with whole_output(picture_path) as partial:
        sheet.save(partial, format="png")
    return frames


def region_means(length: np.ndarray, parsing: np.ndarray) -> dict[str, float | None]:
    """Mean of (H, W) lengths over the pixels of each of `REGIONS`; parsing is (H, W) class ids."""
    means: dict[str, float | None] = {}
    for region, labels in REGIONS.items():
        inside = np.isin(parsing, labels)
        means[region] = round(float(length[inside].mean()), DECIMALS) if inside.any() else None
    return means


def scale_limit(lengths: Sequence[np.ndarray]) -> float:
    """The length in the brightest colour, two digits, cm; 1 where nothing moves."""
    limit = float(np.percentile(np.stack(lengths), BRIGHTEST_PERCENTILE))
    return float(f"{limit:.2g}") or 1.0


def summary(frames: Sequence[PosedFrame], limit: float) -> dict[str, Any]:
    """The numbers behind the figure, as they are written to JSON."""
    return {
        "frames": [asdict(frame) for frame in frames],
        "observations": observations(frames),
        "colour_scale_cm": [0.0, limit],
        "protocol": {
            "pose_distance": "mean displacement, in pixels, of the projected face vertices from "
            "the canonical pose, which is the first frame's",
            "frames": "the training frames at percentiles "
            f"{', '.join(map(str, POSES.values()))} of that distance, the canonical one left out",
            "displacement_cm": "length of the expected displacement along a pixel's ray, fine "
            "level, mean over the pixels that the rendered parsing map gives to the region; hair "
            "counts to the head, the neck to the torso; null: no such pixel. A part of it common "
            "to all frames is arbitrary: the field can be learned anywhere",
            "observations": "of the paper's figure 3, true where every frame agrees; null: a "
            "region is missing",
        },
    }


def observations(frames: Sequence[PosedFrame]) -> dict[str, bool | None]:
    """Whether the paper's two observations hold in these frames, from small pose to large."""
    head = [frame.displacement_cm["head"] for frame in frames]
    torso = [frame.displacement_cm["torso"] for frame in frames]
    person = [frame.displacement_cm["person"] for frame in frames]
    return {
        "mostly on the torso": _all_less(head, torso),
        "more with a larger pose": _all_less(person[:-1], person[1:]),
    }


def _all_less(values: Sequence[float | None], others: Sequence[float | None]) -> bool | None:
    result = True
    for value, other in zip(values, others, strict=True):
        if value is None or other is None:
            return None
        result &= value < other
    return result


def compose(
    frames: Sequence[PosedFrame],
    pictures: Sequence[np.ndarray],
    lengths: Sequence[np.ndarray],
    limit: float,
) -> "Image.Image":
    """The sheet: a column for each frame, the rendering over its heat map, its means below.

    Args:
        pictures: (H, W, 3) uint8 RGB of each frame.
        lengths: (H, W) cm of each frame.
        limit: cm in the brightest colour.
    """
    from PIL import ImageDraw

    height, width = lengths[0].shape
    scale = whole_factor(height)
    size = (width * scale, height * scale)
    columns = [
        [
            Panel(f"{frame.pose} pose: {frame.pose_distance:.1f} px", *size),
            Panel("displacement", *size),
        ]
        for frame in frames
    ]
    sheet = Sheet(columns, footer=LEGEND)
    panels: list[np.ndarray] = []
    draw_on = ImageDraw.Draw(sheet.blank)
    for column, (frame, picture, length) in enumerate(zip(frames, pictures, lengths, strict=True)):
        heat = 2 * column + 1
        sheet.draw_scale(heat, heat_colours(), "0", f"{limit:g}+ cm")
        left = sheet.panels[heat][0]
        means = ", ".join(
            f"{region} {'-' if mean is None else format(mean, '.2f')}"
            for region, mean in frame.displacement_cm.items()
            if region != "person"
        )
        sheet.write(draw_on, (left, sheet.footer[1] + LEGEND // 2), f"mean: {means} cm")
        panels += [enlarge(picture, scale), enlarge(heat_map(length, limit), scale, smooth=False)]
    return sheet.compose(panels)


def table(frames: Sequence[PosedFrame]) -> str:
    """The means for a terminal."""
    lines = [f"{'pose':<8}{'px':>7}{'frame':>7}" + "".join(f"{name:>12}" for name in REGIONS)]
    for frame in frames:
        cells = [
            "-" if mean is None else f"{mean:.3f} cm" for mean in frame.displacement_cm.values()
        ]
        start = f"{frame.pose:<8}{frame.pose_distance:>7.1f}{frame.frame:>7}"
        lines.append(start + "".join(f"{cell:>12}" for cell in cells))
    answers = {True: "yes", False: "no", None: "not defined"}
    lines += [f"{claim}: {answers[holds]}" for claim, holds in observations(frames).items()]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.deformation_figure", __doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="trained model folder")
    parser.add_argument(
        "--audio-features", type=Path, required=True, help="HDF5 of the clip's own speech"
    )
    parser.add_argument("--picture", type=Path, required=True, help="PNG, written")
    parser.add_argument("--json", type=Path, required=True, help="numbers behind it, written")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where to compute")
    add_flags(parser, RenderingConfig)

    def command(options: Namespace) -> None:
        frames = draw_deformation(
            options.bundle,
            options.audio_features,
            options.picture,
            options.json,
            from_flags(options, RenderingConfig),
            pick_device(options.device),
        )
        print(table(frames))

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
