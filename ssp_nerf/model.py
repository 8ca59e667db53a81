"""SSP-NeRF: one semantic-aware neural radiance field for head and torso (paper, section 3)."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ssp_nerf.audio import AudioEncoder
from ssp_nerf.config import ModelConfig
from ssp_nerf.cuda_graph import beside
from ssp_nerf.field_output import FieldOutput
from ssp_nerf.fields import POSE_WIDTH, DeformationField, SemanticField
from ssp_nerf.kernels.compositing import LevelOutput, composite
from ssp_nerf.kernels.overall import AtFrames, Roulette, overall
from ssp_nerf.kernels.resampling import resample
from ssp_nerf.parsing_map import BACKGROUND, CLASSES
from ssp_nerf.rays import Rays
from ssp_nerf.structured_codes import StructuredCodes
from ssp_nerf.volume import stratified_depths

BACKGROUND_LOGIT = 10.0
"""Logit of the background class on the background sample: 99.95 % sure, yet with a finite loss."""


@dataclass(frozen=True)
class Scene:
    """What the networks must know of the clip before their first step."""

    vertices: np.ndarray  # (V, 3) mean-expression face, head frame, decimetres
    near: float  # decimetres along the view axis
    far: float
    radius: float  # decimetres; every sample of every ray lies within it
    audio_channels: int


class Condition(NamedTuple):
    """What a frame adds to its points: time, poses, speech, and the code volume (all frames')."""

    t: Tensor  # (B,)
    p_h: Tensor  # (B, 6) head pose
    a: Tensor  # (B, 64) audio code
    volume: list[Tensor] | None  # levels of the structured code volume


class Jitter(NamedTuple):
    """Training's randomness: where in their strata the samples of B x R rays lie, in [0, 1), and
    which of them go back."""

    coarse: Tensor  # (B, R, coarse_samples)
    fine: Tensor  # (B, R, fine_samples)
    roulette: tuple[Roulette | None, Roulette | None] = (None, None)  # coarse, fine


class RenderOutput(NamedTuple):
    coarse: LevelOutput
    fine: LevelOutput


class Level(nn.Module):
    """One implicit function F_overall (eq. 8): deform, then ask the semantic field."""

    def __init__(self, config: ModelConfig, scene: Scene):
        super().__init__()
        by_audio = config.deformation == "audio"
        self.deformation = None
        if config.deformation != "none":
            self.deformation = DeformationField(
                config.width,
                config.depth,
                config.x_levels,
                config.time_levels,
                scene.radius,
                config.audio_code if by_audio else 0,
            )
        self.field = SemanticField(
            config.width,
            config.depth,
            config.x_levels,
            config.direction_levels,
            scene.radius,
            audio_code=0 if by_audio else config.audio_code,
            code=sum(config.code_channels) if config.structured_codes else 0,
        )
        self.by_audio = by_audio


class SSPNeRF(nn.Module):
    """The portrait: coarse and fine levels, the audio encoder and the structured codes.

    Args:
        config: sizes and ablations.
        scene: geometry of the clip.
    """

    pose_mean: Tensor
    pose_deviation: Tensor
    canonical_pose: Tensor
    background_logits: Tensor
    strata: Tensor

    def __init__(self, config: ModelConfig, scene: Scene):
        super().__init__()
        self.config, self.scene = config, scene
        self.audio_encoder = AudioEncoder(scene.audio_channels, config.audio_code)
        self.structured_codes = (
            StructuredCodes(scene.vertices, config.voxel, config.vertex_code, config.code_channels)
            if config.structured_codes
            else None
        )
        self.coarse = Level(config, scene)
        self.fine = Level(config, scene)
        self.register_buffer("pose_mean", torch.zeros(POSE_WIDTH))
        self.register_buffer("pose_deviation", torch.ones(POSE_WIDTH))
        self.register_buffer("canonical_pose", torch.zeros(POSE_WIDTH))
        background_logits = torch.zeros(len(CLASSES))
        background_logits[BACKGROUND] = BACKGROUND_LOGIT
        self.register_buffer("background_logits", background_logits, persistent=False)
        strata = torch.linspace(scene.near, scene.far, config.coarse_samples + 1)
        self.register_buffer("strata", strata, persistent=False)  # edges along every ray

    def standardise_by(self, c2w: Tensor, windows: Tensor) -> None:
        """Set the scales of poses (N, 3, 4) and speech windows (N, 16, C) from the training frames.

        The pose of the first frame becomes the canonical pose p_c = p_h(0) (section 4.1).
        """
        poses = pose_vector(c2w)
        self.pose_mean.copy_(poses.mean(0))
        self.pose_deviation.copy_(poses.std(0, correction=0).clamp_min(1e-4))
        self.canonical_pose.copy_(poses[0])
        self.audio_encoder.standardise_by(windows)

    def condition(self, t: Tensor, c2w: Tensor, windows: Tensor) -> Condition:
        """Everything that is the same for all points of a frame.

        Args:
            t: (B,) time in [0, 1].
            c2w: (B, 3, 4) estimated head pose as camera pose.
            windows: (B, 8, 16, C) neighbouring windows of speech features.
        """
        volume = None
        with beside(windows.device) as wait:
            if self.structured_codes is not None:
                volume = self.structured_codes()
        a = self.audio_encoder(windows)
        wait()
        return Condition(t, self.standard_pose(pose_vector(c2w)), a, volume)

    def standard_pose(self, pose: Tensor) -> Tensor:
        """Pose vectors (..., 6) on the scale of the training frames' poses."""
        return (pose - self.pose_mean) / self.pose_deviation

    def forward(
        self,
        rays: Rays,
        condition: Condition,
        background: Tensor,
        jitter: Jitter | None = None,
    ) -> RenderOutput:
        """Hierarchical volume rendering with deformation (section 3.4).

        Args:
            rays: R rays in each of B frames.
            condition: of the same B frames.
            background: (B, R, 3) colour of the background picture behind each ray.
            jitter: places the samples along the rays (training); None: evenly (rendering).
        """
        far, samples = self.scene.far, self.config.fine_samples
        lots = jitter.roulette if jitter is not None else (None, None)
        v = stratified_depths(self.strata, jitter and jitter.coarse)
        v = v.expand(*rays.origins.shape[:2], -1)
        coarse, weights = self.render_level(
            self.coarse, rays, v, far, condition, background, lots[0]
        )

        v = resample(v, weights, far, samples, jitter and jitter.fine)
        fine, _ = self.render_level(self.fine, rays, v, far, condition, background, lots[1])
        return RenderOutput(coarse, fine)

    def render_level(
        self,
        level: Level,
        rays: Rays,
        v: Tensor,
        far: float | Tensor,
        condition: Condition,
        background: Tensor,
        roulette: Roulette | None = None,
    ) -> tuple[LevelOutput, Tensor]:
        """Eq. 9 and 10 for one level; depths v (B, R, S), the last interval ends at far, one number
        or (B, R, 1); also returns the weights (B, R, S), without gradient."""
        point, dx = self.overall(level, rays.at(v), rays.view, condition, roulette)

        return composite(
            point.values, dx, v, far, rays.step_length, background, self.background_logits
        )

    def overall(
        self,
        level: Level,
        x: Tensor,
        d: Tensor,
        condition: Condition,
        roulette: Roulette | None = None,
    ) -> tuple[FieldOutput, Tensor]:
        """Eq. 8 at x (B, R, S, 3) seen along d (B, R, 3); also the displacements (B, R, S, 3)."""
        p_c = self.standard_pose(self.canonical_pose)
        return overall(level, self.structured_codes, x, d, condition, p_c, roulette)

    def at_frames(self, level: Level, condition: Condition) -> AtFrames:
        """Eq. 8 for frames that are asked often, without gradient."""
        p_c = self.standard_pose(self.canonical_pose)
        return AtFrames(level, self.structured_codes, condition, p_c)


def pose_vector(c2w: Tensor) -> Tensor:
    """Camera poses (..., 3, 4) -> (..., 6): rotation axis times sine of its angle, origin (dm).

    The sine tells angles apart up to 90 degrees, more than a speaking portrait turns.
    """
    rotation, origin = c2w[..., :3], c2w[..., 3]
    antisymmetric = (rotation - rotation.transpose(-1, -2)) / 2
    axis = torch.stack(
        [antisymmetric[..., 2, 1], antisymmetric[..., 0, 2], antisymmetric[..., 1, 0]], dim=-1
    )
    return torch.cat([axis, origin], dim=-1)


def parameter_count(model: nn.Module) -> int:
    """Trained numbers of a model."""
    return sum(parameter.numel() for parameter in model.parameters())
