"""The trained portrait as a folder of safetensors and JSON: all that rendering needs, no frames.

weights.safetensors   the networks
scene.safetensors     poses and times of the clip, split, background, face vertices
bundle.json           sizes, model section of the config, provenance
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ssp_nerf.config import ModelConfig, TrainingConfig
from ssp_nerf.dataset import PortraitDataset
from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file, whole_output
from ssp_nerf.model import Scene, SSPNeRF
from ssp_nerf.schema import software_versions

BUNDLE_VERSION = 4
LARGEST_NUMBER = 1_000_000  # no pixel count or decimetre of a portrait comes near it
MADE_BY = "The rule train makes it."


@dataclass
class Bundle:
    """A trained portrait, ready to render."""

    model: SSPNeRF
    width: int  # pixels
    height: int
    focal: float  # pixels
    background: Tensor  # (H * W, 3) in [0, 1]
    c2w: Tensor  # (N, 3, 4) of the whole clip
    time: Tensor  # (N,)
    held_out: Tensor  # (N,) bool
    audio_extractor: str

    @property
    def training_frames(self) -> Tensor:
        return torch.nonzero(~self.held_out).squeeze(1)


def save_bundle(
    path: Path,
    model: SSPNeRF,
    dataset: PortraitDataset,
    training: TrainingConfig,
    provenance: dict[str, Any],
) -> None:
    """Write a bundle folder; it appears whole.

    Raises:
        InputError: the disk is full.
    """
    scene = {
        "vertices": torch.as_tensor(model.scene.vertices),
        "background": (dataset.background * 255).round().to(torch.uint8),
        "c2w": dataset.c2w,
        "time": dataset.time,
        "held_out": dataset.held_out,
    }
    description = {
        "version": BUNDLE_VERSION,
        "model": dataclasses.asdict(model.config),
        "training": dataclasses.asdict(training),
        "width": dataset.width,
        "height": dataset.height,
        "focal": dataset.focal,
        "near": model.scene.near,
        "far": model.scene.far,
        "radius": model.scene.radius,
        "audio_channels": model.scene.audio_channels,
        "audio_extractor": dataset.audio_extractor,
        "software": software_versions(),
        **provenance,
    }
    with whole_output(path) as partial:
        partial.mkdir()
        for name, tensors in (("weights", model.state_dict()), ("scene", scene)):
            kept = {n: v.detach().cpu().contiguous() for n, v in tensors.items()}
            try:
                save_file(kept, partial / f"{name}.safetensors")
            except SafetensorError as error:  # its word for a write that failed
                raise InputError(f"{path}: {error}. Make room and run it again.") from error
        text = json.dumps(description, indent=2, sort_keys=True) + "\n"
        (partial / "bundle.json").write_text(text, encoding="utf-8")


def load_bundle(path: Path, device: torch.device) -> Bundle:
    """Read a bundle folder.

    Raises:
        InputError: a file is missing or damaged, of another version, or does not fit the others.
    """
    path = Path(path)
    about = require_file(path / "bundle.json", "the description of a trained model", MADE_BY)
    try:
        description = json.loads(about.read_text(encoding="utf-8"))
        version = description.get("version")
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{about}: not the JSON of a model bundle ({error}). {MADE_BY}") from error
    if version != BUNDLE_VERSION:
        raise InputError(f"{about}: bundle version {version}, this program reads {BUNDLE_VERSION}.")
    scene = _load(path / "scene.safetensors", device)
    weights = _load(path / "weights.safetensors", device)
    _require_sane(path, description, scene, weights)
    try:
        model = SSPNeRF(
            ModelConfig(**description["model"]),
            Scene(
                vertices=scene["vertices"].cpu().numpy(),
                near=description["near"],
                far=description["far"],
                radius=description["radius"],
                audio_channels=description["audio_channels"],
            ),
        ).to(device)
        model.load_state_dict(weights)
        model.eval()
        return Bundle(
            model=model,
            width=description["width"],
            height=description["height"],
            focal=description["focal"],
            background=scene["background"].to(torch.float32) / 255,
            c2w=scene["c2w"],
            time=scene["time"],
            held_out=scene["held_out"],
            audio_extractor=description["audio_extractor"],
        )
    except InputError as error:
        raise InputError(f"{about}: {error} {MADE_BY}") from error
    except (KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{path}: the bundle's files do not fit together ({error}).") from error


def _require_sane(
    path: Path, description: dict[str, Any], scene: dict[str, Tensor], weights: dict[str, Tensor]
) -> None:
    """Check what building the networks from a bundle's files takes for granted.

    Raises:
        InputError: numbers that are none or out of their range, poses that are not finite.
    """
    for name in ("width", "height", "focal", "near", "far", "radius", "audio_channels"):
        value: Any = description.get(name)
        whole = name in ("width", "height", "audio_channels")
        fits = isinstance(value, int) or (isinstance(value, float) and not whole)
        if not fits or isinstance(value, bool) or not 0 < value < LARGEST_NUMBER:
            raise InputError(
                f"{path / 'bundle.json'}: {name} is {value!r}, expected "
                f"{'a whole number' if whole else 'a number'} above 0. {MADE_BY}"
            )
    if not description["near"] < description["far"]:
        raise InputError(f"{path / 'bundle.json'}: near is not before far. {MADE_BY}")
    for file, tensors in (("scene", scene), ("weights", weights)):
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise InputError(
                    f"{path / file}.safetensors: {name} holds what is no finite number. {MADE_BY}"
                )
    frames, pixels = len(scene.get("time", ())), description["width"] * description["height"]
    shapes = {"c2w": (frames, 3, 4), "held_out": (frames,), "background": (pixels, 3)}
    for name, shape in shapes.items():
        if name not in scene or tuple(scene[name].shape) != shape:
            got = tuple(scene[name].shape) if name in scene else "missing"
            raise InputError(
                f"{path / 'scene.safetensors'}: {name} is {got}, expected {shape}: the bundle's "
                f"files do not fit together. {MADE_BY}"
            )


def _load(path: Path, device: torch.device) -> dict[str, Tensor]:
    require_file(path, "tensors of a trained model", MADE_BY)
    try:
        return load_file(path, device=str(device))
    except SafetensorError as error:
        raise InputError(f"{path}: damaged safetensors file ({error}). {MADE_BY}") from error
