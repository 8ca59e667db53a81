"""How much a job has to do, in units that its cost grows with."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from ssp_nerf.config import (
    ModelConfig,
    RenderingConfig,
    Section,
    TrainingConfig,
    section_from_mapping,
)
from ssp_nerf.config_file import section_values
from ssp_nerf.estimate.clips import Clip, Subject
from ssp_nerf.parsing_map import CLASSES

BACKWARD = 3  # arithmetic of a step over that of its way there: one product there, two back
FAST_SHARE = 0.14
"""Of an exact frame's arithmetic that is left in a fast one: 0.0135 of 0.099 s on an H100."""
DEFORMATION_FRAMES = 3  # that show the deformation: a small, a medium and a large pose
POSITION = 3  # coordinates of a point
FRAME_BYTES = 4  # of a pixel in a training's memory: colour and class
FLOAT32 = 4  # bytes
MIB = 1 << 20  # bytes
STEP_PEAK = 1.25  # memory of a step over its layers' outputs; 1.24 with the paper's networks
VARIANT = "_variant"
VARIANT_RULES = {
    "render": "render_frames",
    "detect": "detect_render_landmarks",
}


class Job(NamedTuple):
    """A job of the workflow."""

    rule: str
    wildcards: Mapping[str, str]

    @property
    def costs_of(self) -> str:
        """The rule with the same costs: variants of ablations do what the method itself does."""
        name, variant, rest = self.rule.partition(VARIANT)
        return VARIANT_RULES.get(name, name) if variant else name


@dataclass(frozen=True)
class Work:
    """What the cost of a job grows with."""

    frames: float = 0.0
    megapixels: float = 0.0  # of all these frames together
    steps: float = 0.0  # of training
    gflop: float = 0.0  # of networks, 1e9 operations


@dataclass(frozen=True)
class Settings:
    """What of a config the costs depend on."""

    crop_size: int  # pixels
    pack_size: int
    held_out: Fraction
    parts: int
    model: ModelConfig
    training: TrainingConfig
    rendering: RenderingConfig
    ablation_steps: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Settings":
        """From the whole, checked config."""
        rendering = _section(config, RenderingConfig)
        return cls(
            crop_size=config["crop"]["size"],
            pack_size=config["pack"]["size"],
            held_out=Fraction(str(config["pack"]["held_out_fraction"])),
            parts=rendering.parts,
            model=_section(config, ModelConfig),
            training=_section(config, TrainingConfig),
            rendering=rendering,
            ablation_steps=config["ablations"]["steps"],
        )

    def work(self, job: Job, subject: Subject, frames: str, pixels: str) -> Work:
        """What a job has to do.

        Args:
            job: of this subject.
            frames: whose number counts: clip, heldout, speech, take (of which each part has its
                share), or none.
            pixels: whose size counts: source, crop, pack, or none.
        """
        count = self._frames(job, subject, frames)
        side = {"crop": self.crop_size, "pack": self.pack_size}.get(pixels, 0)
        size = subject.clip.megapixels if pixels == "source" else side * side / 1e6
        steps, gflop = 0, 0.0
        if job.costs_of == "train":
            steps = self.ablation_steps if VARIANT in job.rule else self.training.steps
            gflop = steps * BACKWARD * self.training.rays * ray_gflop(self.model)
            gflop += (1 + steps // self.training.preview_steps) * self._frame_gflop()
        elif job.costs_of == "render_frames":
            gflop = count * self._frame_gflop() * self._share(job)
        elif job.costs_of == "deformation":
            gflop = DEFORMATION_FRAMES * self._frame_gflop()
        return Work(count, count * size, steps, gflop)

    def held_mib(self, clip: Clip) -> float:
        """Pictures and parsing maps of a clip, as training holds them where they fit."""
        return clip.frames * self.pack_size**2 * FRAME_BYTES / MIB

    def step_mib(self) -> float:
        """What a step of training keeps for the way back: each layer's output of each sample."""
        return STEP_PEAK * self.training.rays * ray_floats(self.model) * FLOAT32 / MIB

    def _frame_gflop(self) -> float:
        """Of a frame that is drawn exactly."""
        return self.pack_size**2 * ray_gflop(self.model)

    def _frames(self, job: Job, subject: Subject, of: str) -> float:
        clip = subject.clip.frames
        heldout = float(clip * self.held_out)
        speech = subject.speeches.get(job.wildcards.get("speech", ""))
        if of == "take":
            name = job.wildcards.get("take", "heldout").partition("/")[2]
            said = subject.speeches.get(name)
            return (heldout if not name else said.frames if said else 0) / self.parts
        return {
            "none": 0.0,
            "clip": float(clip),
            "heldout": heldout,
            "speech": float(speech.frames) if speech else 0.0,
        }[of]

    def _share(self, job: Job) -> float:
        driven = job.wildcards.get("take", "heldout") != "heldout"
        mode = self.rendering.mode
        fast = mode == "fast" or (mode == "auto" and driven)
        return FAST_SHARE if fast else 1.0


def _section(config: Mapping[str, Any], section: type[Section]) -> Section:
    return section_from_mapping(section, section_values(config, section))


def ray_gflop(model: ModelConfig) -> float:
    """Arithmetic of a ray on its way through both levels, 1e9 operations; a product counts as two.

    Only the layers of samples: what a frame's samples share is little beside them.
    """
    inputs, width, between = _widths(model)
    deformation = 0 if model.deformation == "none" else 2 * inputs * width + between + 3 * width
    code = sum(model.code_channels) if model.structured_codes else 0
    heads = width * (1 + len(CLASSES)) + width * (width // 2) + 3 * (width // 2)
    semantic = 2 * (inputs + code) * width + between + heads
    return 2 * _samples(model) * (deformation + semantic) / 1e9


def ray_floats(model: ModelConfig) -> int:
    """Outputs of all layers for a ray's samples."""
    inputs, width, _ = _widths(model)
    code = sum(model.code_channels) if model.structured_codes else 0
    deformation = 0 if model.deformation == "none" else inputs + model.depth * width
    semantic = inputs + code + model.depth * width + width // 2 + 2 * (1 + len(CLASSES))
    return _samples(model) * (deformation + semantic)


def _widths(model: ModelConfig) -> tuple[int, int, int]:
    """Width of an encoded point and of a layer; weights between an MLP's hidden layers."""
    return 2 * model.x_levels * POSITION, model.width, (model.depth - 1) * model.width**2


def _samples(model: ModelConfig) -> int:
    """Of a ray: the fine level looks at the coarse level's again."""
    return 2 * model.coarse_samples + model.fine_samples
