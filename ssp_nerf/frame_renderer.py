"""Whole frames, every sample of every ray: the exact way, and what all frames share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from ssp_nerf.audio import neighbouring_windows
from ssp_nerf.dataset import known_time
from ssp_nerf.device import peak_memory, precision
from ssp_nerf.free_memory import free_memory
from ssp_nerf.kernels import using
from ssp_nerf.model import Condition, SSPNeRF, pose_vector
from ssp_nerf.rays import Rays, rays_through_pixels
from ssp_nerf.schema import DISPLACEMENT_STEP

CPU_RAYS = 512
"""Rays at once on a CPU, about: with the paper's 256 samples their layers stay in its cache."""
TRIAL_RAYS = 2048  # whose peak memory tells a ray's share
MOST_RAYS = 65536  # enough for any GPU, and indices stay within 32 bits
SHARE_OF_FREE = 0.5  # of a GPU's free memory that a chunk may take: others may compute there too
WINDOWS_AT_ONCE = 256  # speech windows; bounds the memory of an hour's speech


class FrameImage(NamedTuple):
    """What the fine level draws of one frame."""

    colour: Tensor  # (H, W, 3) in [0, 1]
    parsing: Tensor  # (H, W) uint8, the likeliest class
    displacement: Tensor  # (H, W, 3) expected displacement, decimetres

    def bytes(self) -> Tensor:
        """(H, W, 3) uint8 RGB, where the frame was drawn."""
        return (self.colour * 255).round().to(torch.uint8)

    def displacement_steps(self) -> Tensor:
        """(H, W) uint8: length of the displacement in `DISPLACEMENT_STEP`s, 255 and more as 255."""
        steps = self.displacement.norm(dim=-1) / DISPLACEMENT_STEP
        return steps.round().clamp(max=255).to(torch.uint8)

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return self.bytes().cpu().numpy()


class Clip(Protocol):
    """What of a clip a frame is drawn from: a dataset's, or a bundle's."""

    c2w: Tensor  # (N, 3, 4)
    time: Tensor  # (N,)
    background: Tensor  # (H * W, 3) in [0, 1]
    focal: float  # pixels
    width: int
    height: int

    @property
    def training_frames(self) -> Tensor:
        """(T,)"""
        ...


class FrameRenderer(Protocol):
    """Draws frames, exactly or fast."""

    def draw(self, pose: int, moment: int) -> FrameImage:
        """The portrait in the pose of a frame of the clip, at a moment (frame) of a speech."""
        ...


class ExactRenderer:
    """Draws frames of a portrait. The code volume and all audio codes are computed once, here.

    Args:
        model: as trained; its weights must stay as they are.
        clip: poses, background and camera.
        windows: (M, 16, C) speech features, on the clip's device.
        rays_per_chunk: rays at once, 0: what fits. Memory grows with it, the picture stays the
            same but for rounding.
        arithmetic: auto, fp32, tf32 or bf16, on a GPU.
        kernels: auto, plain or triton, as in `kernels.using`.
    """

    @torch.inference_mode()
    def __init__(
        self,
        model: SSPNeRF,
        clip: Clip,
        windows: Tensor,
        rays_per_chunk: int = 0,
        arithmetic: str = "auto",
        kernels: str = "auto",
    ):
        model.eval()
        self.model, self.clip = model, clip
        self.device = clip.background.device
        self._arithmetic, self._kernels = arithmetic, kernels
        self._time = known_time(clip.time, clip.training_frames)
        with self.computing():
            self._poses = model.standard_pose(pose_vector(clip.c2w))
            self.hear(windows)
            codes = model.structured_codes
            self._volume = codes() if codes is not None else None
        self.rays_per_chunk = rays_per_chunk or self._rays_that_fit()

    @torch.inference_mode()
    def hear(self, windows: Tensor) -> None:
        """Take (M, 16, C) windows as the speech whose moments are drawn from now on."""
        moments = torch.arange(len(windows), device=windows.device).split(WINDOWS_AT_ONCE)
        with self.computing():
            self.audio_codes = torch.cat(
                [self.model.audio_encoder(neighbouring_windows(windows, m)) for m in moments]
            )

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Context in which the networks run: how precisely, and by which kernels."""
        with precision(self.device, self._arithmetic), using(self._kernels):
            yield

    def condition(self, pose: int, moment: int) -> Condition:
        """What a frame adds to its points."""
        time, p_h = self._time[pose : pose + 1], self._poses[pose : pose + 1]
        return Condition(time, p_h, self.audio_codes[moment : moment + 1], self._volume)

    def rays(self, pixels: Tensor, pose: int) -> Rays:
        """Rays (1, R, 3) through flat pixel numbers (R,)."""
        clip = self.clip
        c2w = clip.c2w[pose : pose + 1]
        return rays_through_pixels(pixels[None], c2w, clip.focal, clip.width, clip.height)

    @torch.inference_mode()
    def draw(self, pose: int, moment: int) -> FrameImage:
        """The portrait in the pose of a frame of the clip, at a moment (frame) of the speech."""
        condition = self.condition(pose, moment)
        clip = self.clip
        colour, parsing, displacement = [], [], []
        with self.computing():
            pixels = torch.arange(clip.width * clip.height, device=self.device)
            for part in pixels.split(self.rays_per_chunk):
                background = clip.background[part][None]
                fine = self.model(self.rays(part, pose), condition, background).fine
                colour.append(fine.colour[0])
                parsing.append(fine.logits[0].argmax(-1).to(torch.uint8))
                displacement.append(fine.displacement[0])
        size = clip.height, clip.width
        return FrameImage(
            torch.cat(colour).view(*size, 3).clamp(0, 1),
            torch.cat(parsing).view(size),
            torch.cat(displacement).view(*size, 3),
        )

    def _rays_that_fit(self) -> int:
        """Rays at once: a fixed number on a CPU, on a GPU by the memory that a few rays take."""
        if self.device.type != "cuda":
            return CPU_RAYS
        pixels = torch.arange(TRIAL_RAYS, device=self.device) % len(self.clip.background)

        def trial() -> None:
            with self.computing():
                background = self.clip.background[pixels][None]
                self.model(self.rays(pixels, 0), self.condition(0, 0), background)

        per_ray = peak_memory(trial, self.device) / TRIAL_RAYS
        held = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        free = free_memory(self.device) + held
        return min(MOST_RAYS, max(TRIAL_RAYS, int(SHARE_OF_FREE * free / per_ray)))
