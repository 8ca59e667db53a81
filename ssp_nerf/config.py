"""The knobs of model, training and rendering: defaults are the paper's, each value checks itself.

A dataclass here is a section of config.yaml, and each of its fields a command-line flag.
"""

import argparse
import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, get_args, get_origin

from ssp_nerf.device import KERNELS, PRECISIONS
from ssp_nerf.errors import InputError
from ssp_nerf.parsing_map import CLASSES

Section = TypeVar("Section", bound="Checked")


def knob(
    default: Any, help: str, minimum: float | None = None, choices: tuple[str, ...] | None = None
) -> Any:
    """A dataclass field with its meaning, unit and source, and the values it may take."""
    return dataclasses.field(
        default=default, metadata={"help": help, "minimum": minimum, "choices": choices}
    )


@dataclass(frozen=True)
class Checked:
    """A section of config.yaml; checks each of its fields when it is made."""

    section: ClassVar[str]

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if get_origin(field.type) is tuple and isinstance(value, list):
                object.__setattr__(self, field.name, value := tuple(value))
            self._check(field, value)

    def _check(self, field: dataclasses.Field, value: Any) -> None:
        key = f"{self.section}.{field.name}"
        wanted: Any = field.type
        if get_origin(wanted) is tuple:
            parts = get_args(wanted)
            fits = (
                isinstance(value, tuple)
                and len(value) == len(parts)
                and all(_is(v, p) for v, p in zip(value, parts, strict=True))
            )
        else:
            fits = _is(value, wanted)
        if not fits:
            name = getattr(wanted, "__name__", str(wanted)) if not get_args(wanted) else str(wanted)
            # PyYAML reads 5e-4 as a string.
            hint = " Write a number with a point, as in 5.0e-4." if wanted is float else ""
            raise InputError(f"{key}: expected {name}, got {value!r}.{hint}")
        choices, minimum = field.metadata["choices"], field.metadata["minimum"]
        if choices and value not in choices:
            raise InputError(f"{key}: expected one of {', '.join(choices)}, got {value!r}.")
        numbers = value if isinstance(value, tuple) else (value,)
        if minimum is not None and not all(minimum <= n < float("inf") for n in numbers):
            raise InputError(f"{key}: expected at least {minimum}, got {value!r}.")


def _is(value: Any, wanted: Any) -> bool:
    if wanted is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, wanted)


@dataclass(frozen=True)
class ModelConfig(Checked):
    """The networks (paper, sections 3.1 to 3.3 and 4.2)."""

    section = "model"

    width: int = knob(128, "units of a hidden layer (paper, section 4.2)", 2)
    depth: int = knob(8, "hidden layers of each MLP (paper, section 4.2)", 2)
    x_levels: int = knob(10, "frequencies of the encoding of x (paper, section 4.2)", 1)
    direction_levels: int = knob(4, "frequencies for the view direction (paper, section 4.2)", 1)
    time_levels: int = knob(4, "frequencies for time (paper, section 4.2)", 1)
    coarse_samples: int = knob(64, "samples of a ray in the coarse pass (NeRF)", 2)
    fine_samples: int = knob(128, "samples added in the fine pass (NeRF)", 1)
    audio_code: int = knob(64, "width of the audio code a (paper, section 3.1)", 2)
    vertex_code: int = knob(16, "width of the latent code of a face vertex (Neural Body)", 1)
    code_channels: tuple[int, int, int, int] = knob(
        (8, 16, 32, 32), "widths of the code volume's levels; f has their sum, 88 in the paper", 1
    )
    voxel: float = knob(
        0.05, "edge of the finest code voxel, decimetres (Neural Body: 5 mm)", 0.001
    )
    deformation: str = knob(
        "pose",
        "what drives the deformation: pose = the paper; none, audio = its ablations (table 4)",
        choices=("pose", "none", "audio"),
    )
    structured_codes: bool = knob(True, "false: ablation 'w/o 3D information' (table 5)")


@dataclass(frozen=True)
class TrainingConfig(Checked):
    """The optimisation (paper, sections 3.2, 3.4 and 4.2)."""

    section = "training"

    steps: int = knob(400_000, "optimiser steps (paper, section 4.2)", 1)
    rays: int = knob(1024, "rays of a step, Ns in eq. 5 (paper, section 4.2)", 11)
    frames_per_step: int = knob(1, "frames that share a step's rays (AD-NeRF: 1)", 1)
    learning_rate: float = knob(5e-4, "of Adam (paper, section 4.2)", 0.0)
    decay_steps: int = knob(
        400_000, "steps in which the learning rate decays, exponentially (NeRF)", 1
    )
    learning_rate_decay: float = knob(
        0.1, "what is left of the learning rate after decay_steps (NeRF)", 1e-6
    )
    warmup_steps: int = knob(0, "steps in which the learning rate rises to its value (ours)", 0)
    semantic_weight: float = knob(0.04, "lambda in eq. 12 (paper, section 4.2)", 0.0)
    semantic_branch: bool = knob(True, "false: ablation 'w/o semantic branch' (table 5)")
    dynamic_sampling: bool = knob(True, "false: ablation 'w/o dynamic sample' (table 5)")
    sampling_weight: float = knob(
        1.0, "of the semantic loss beside the photometric in eq. 5 (paper: their sum)", 0.0
    )
    class_floor: float = knob(
        0.01, "least share of a step's rays for a class that the frame shows (ours)", 0.0
    )
    precision: str = knob(
        "auto",
        "arithmetic of the networks on a GPU; auto: bf16 where it has it",
        choices=PRECISIONS,
    )
    kernels: str = knob(
        "auto",
        "auto: Triton's kernels on a GPU; plain: their twins in PyTorch; triton: kernels or stop",
        choices=KERNELS,
    )
    gradient_tolerance: float = knob(
        2.0,
        "samples whose gradient is below so many times the mean go back by lot, and count for more "
        "then (Russian roulette; kernels only, ours); 0: all go back",
        0.0,
    )
    seed: int = knob(0, "of weights, frames and rays", 0)
    checkpoint_seconds: float = knob(60.0, "time between checkpoints, seconds", 0.0)
    preview_steps: int = knob(10_000, "steps between previews of a held-out frame", 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        share, rest = divmod(self.rays, self.frames_per_step)
        if rest or share < len(CLASSES):
            raise InputError(
                f"training.rays: expected a multiple of training.frames_per_step "
                f"({self.frames_per_step}) that gives each frame {len(CLASSES)} rays or more, one "
                f"for each class; got {self.rays}."
            )


@dataclass(frozen=True)
class RenderingConfig(Checked):
    """How a trained model is rendered; changes little in the picture but its speed."""

    section = "rendering"

    parts: int = knob(4, "jobs that share a take's frames (Snakemake's scatter)", 1)
    mode: str = knob(
        "auto",
        "exact: every sample of every ray; fast: without what hardly shows, and says how much; "
        "auto: exact for held-out frames, which are measured, fast for driven ones",
        choices=("auto", "exact", "fast"),
    )
    rays_per_chunk: int = knob(
        0, "rays rendered at once; memory grows with it; 0: what fits into the GPU, few on a CPU", 0
    )
    precision: str = knob(
        "auto",
        "arithmetic of the networks on a GPU; auto: bf16 where it has it",
        choices=PRECISIONS,
    )
    kernels: str = knob(
        "auto",
        "auto: Triton's kernels on a GPU; plain: their twins in PyTorch; triton: kernels or stop",
        choices=KERNELS,
    )


METRICS = (
    *("psnr", "ssim", "lpips", "lmd", "syncnet", "mouth_sync", "csim_dlib", "csim_arcface"),
    *("cpbd", "parsing_iou", "torso_seam", "stability"),
)


@dataclass(frozen=True)
class EvaluationConfig(Checked):
    """What is measured of a rendering (docs/metrics.md)."""

    section = "evaluation"

    metrics: str = knob(
        "auto",
        "auto: all that can be measured, the others with the reason why not; or a list with commas "
        f"of which each must be measured: {', '.join(METRICS)}",
    )
    weights: str = knob(
        "weights", "folder of alexnet-owt-7be5be79.pth, syncnet_v2.model and arcface.pth"
    )
    crop_size: int = knob(256, "side of the face crop, pixels (paper, table 1; size ours)", 32)
    resamples: int = knob(1000, "bootstrap samples of the frames for intervals; 0: none", 0)
    block: int = knob(12, "frames that a bootstrap draws together (ours: half a second)", 1)
    bootstrap_seed: int = knob(0, "of the bootstrap", 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [name for name in self.wanted if name not in METRICS]
        if unknown:
            raise InputError(
                f"evaluation.metrics: unknown {', '.join(map(repr, unknown))}; expected auto or "
                f"some of {', '.join(METRICS)}."
            )

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names out of `METRICS`."""
        if self.metrics == "auto":
            return METRICS
        return tuple(name.strip() for name in self.metrics.split(","))


@dataclass(frozen=True)
class ProvenanceConfig(Checked):
    """What generated videos say of themselves, beside the metadata that all of them carry."""

    section = "provenance"

    mark: str = knob("", "text drawn into the corner of generated pictures; empty: none")
    certificate: str = knob(
        "", "PEM of your certificate chain, signs generated videos (C2PA); empty: not signed"
    )
    key: str = knob("", "PEM of the certificate's private key")

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.certificate) != bool(self.key):
            there, missing = ("certificate", "key") if self.certificate else ("key", "certificate")
            raise InputError(
                f"provenance.{missing}: expected a file, because provenance.{there} is "
                f"{getattr(self, there)!r}; signing needs both."
            )


def add_flags(parser: argparse.ArgumentParser, section: type[Checked]) -> None:
    """One flag for every field of a section: `training.frames_per_step` is --frames-per-step."""
    group = parser.add_argument_group(section.section)
    for field in dataclasses.fields(section):
        flag = "--" + field.name.replace("_", "-")
        keywords: dict[str, Any] = {"default": field.default, "help": field.metadata["help"]}
        if field.type is bool:
            keywords["action"] = argparse.BooleanOptionalAction
        elif get_origin(field.type) is tuple:
            parts = get_args(field.type)
            keywords.update(nargs=len(parts), type=parts[0], metavar="N")
        else:
            keywords.update(type=field.type, choices=field.metadata["choices"])
        group.add_argument(flag, **keywords)


def from_flags(options: argparse.Namespace, section: type[Section]) -> Section:
    """The section as the flags of `add_flags` were given.

    Raises:
        InputError: a value out of its range; names the config key.
    """
    names = [field.name for field in dataclasses.fields(section)]
    return section(**{name: getattr(options, name) for name in names})


SECTIONS: tuple[type[Checked], ...] = (
    ModelConfig,
    TrainingConfig,
    RenderingConfig,
    EvaluationConfig,
    ProvenanceConfig,
)


def section_from_mapping(section: type[Section], values: Mapping[str, Any]) -> Section:
    """A section from its part of config.yaml.

    Raises:
        InputError: an unknown key, a wrong type or a value out of range; names the key.
    """
    known = {field.name for field in dataclasses.fields(section)}
    for name in values:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}."
            raise InputError(f"{section.section}.{name}: unknown key; {hint}")
    return section(**values)
