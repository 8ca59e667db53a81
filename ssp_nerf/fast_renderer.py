"""Whole frames without what cannot matter.

Four things are left out, each where the picture hardly changes: rays and samples in empty space
(`occupancy`), samples that no light comes from any more, samples between two that agree, and rays
between neighbours that agree. What is computed lies where the exact renderer computes it: the
networks know frequencies finer than the samples' spacing, and other places give other pictures.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import record_function

from ssp_nerf.frame_renderer import ExactRenderer, FrameImage
from ssp_nerf.kernels.overall import AtFrames
from ssp_nerf.kernels.resampling import resample
from ssp_nerf.occupancy import FrameOccupancy, PortraitOccupancy
from ssp_nerf.parsing_map import CLASSES, EYE, EYEBROW, LIP, TEETH
from ssp_nerf.rays import Rays
from ssp_nerf.volume import intervals, render_weights, stratified_depths

LEAST_TRANSMITTANCE = 0.003  # what lies behind is not seen
FRONT_SAMPLES = 16
"""Coarse samples of a ray, not empty ones, that are computed before one asks how far light comes:
in trained portraits most rays end within them."""
STRIDE = 4  # of the samples of a ray that are computed first; a power of two
SAMPLE_TOLERANCE = 0.01
"""Largest change of a ray's colour by a sample that is interpolated, as its neighbours tell."""
RAY_TOLERANCE = 0.05
"""Largest difference in colour or opacity between the neighbours of a ray that is interpolated."""
DETAILED = (EYE, EYEBROW, TEETH, LIP)
"""Classes whose rays are never interpolated: few pixels, details of one, and all eyes on them."""

DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
STRAIGHT = ((-1, 0), (1, 0), (0, -1), (0, 1))
PASSES = (((0, 0),), ()), (((1, 1),), DIAGONAL), (((0, 1), (1, 0)), STRAIGHT)
"""Rows and columns, modulo two, of the pixels of a pass; neighbours (row, column) known by then."""

STAGES = ("empty space", "rays between", "coarse samples", "fine samples")
"""Of a frame, as a profiler sees them."""

# Numbers of a pixel before the background is put behind it.
TRANSMITTANCE = 0
COLOUR = slice(1, 4)
LOGITS = slice(4, 4 + len(CLASSES))
DISPLACEMENT = slice(4 + len(CLASSES), 7 + len(CLASSES))
WIDTH = 7 + len(CLASSES)


class Work(NamedTuple):
    """What of a frame was computed, as shares of what the exact renderer computes."""

    rays: float
    coarse_samples: float
    fine_samples: float


class Points(NamedTuple):
    """Computed samples of R rays, ray after ray."""

    where: Tensor  # (N,) places in the flat (R * S) samples
    per_ray: Tensor  # (R,) how many
    density: Tensor  # (N,)
    values: Tensor  # (N, 17) colour, logits, displacement


class FastRenderer:
    """Draws frames nearly as the exact renderer does, with a fraction of its samples.

    Args:
        exact: the renderer to come near to; holds what frames share.
        poses: frame numbers of the clip that will be drawn.
    """

    @torch.inference_mode()
    def __init__(self, exact: ExactRenderer, poses: Tensor):
        self.exact = exact
        with exact.computing():
            self.occupancy = PortraitOccupancy(exact, poses)
        height, width = exact.clip.height, exact.clip.width
        row = torch.arange(height, device=exact.device)[:, None] % 2
        column = torch.arange(width, device=exact.device) % 2
        self._passes = [
            (
                torch.stack([(row == i) & (column == j) for i, j in places]).any(0).flatten(),
                torch.tensor(neighbours, device=exact.device) if neighbours else None,
            )
            for places, neighbours in PASSES
        ]
        self._detailed = torch.zeros(len(CLASSES), dtype=torch.bool, device=exact.device)
        self._detailed[list(DETAILED)] = True
        self._computed = [0, 0, 0]  # rays, coarse samples, fine samples of the frame

    @property
    def work(self) -> Work:
        """Of the last frame."""
        config, clip = self.exact.model.config, self.exact.clip
        pixels = clip.height * clip.width
        rays, coarse, fine = self._computed
        all_fine = config.coarse_samples + config.fine_samples
        return Work(
            rays / pixels, coarse / pixels / config.coarse_samples, fine / pixels / all_fine
        )

    @torch.inference_mode()
    def draw(self, pose: int, moment: int) -> FrameImage:
        """The portrait in the pose of a frame of the clip, at a moment (frame) of the speech."""
        exact, clip, model = self.exact, self.exact.clip, self.exact.model
        self._computed = [0, 0, 0]
        pixels_of_clip = clip.height * clip.width
        drawn = clip.background.new_zeros(pixels_of_clip, WIDTH)
        drawn[:, TRANSMITTANCE] = 1
        with exact.computing():
            condition = exact.condition(pose, moment)
            ask_coarse, ask_fine = (
                model.at_frames(level, condition) for level in (model.coarse, model.fine)
            )
            with record_function(STAGES[0]):
                coarse = self.occupancy.frame(model.coarse, ask_coarse, pose)
                fine = self.occupancy.frame(model.fine, ask_fine, pose)
            occupied = fine.pixels()
            for places, neighbours in self._passes:
                pixels = (places & occupied).nonzero().squeeze(1)
                if neighbours is not None:
                    with record_function(STAGES[1]):
                        agree, drawn[pixels] = self._between(drawn, pixels, neighbours)
                        pixels = pixels[~agree]
                self._computed[0] += len(pixels)
                for part in pixels.split(exact.rays_per_chunk) if len(pixels) else ():
                    rays = exact.rays(part, pose)
                    with record_function(STAGES[2]):
                        v, active, light = self._fine_samples(part, rays, ask_coarse, coarse, fine)
                    with record_function(STAGES[3]):
                        drawn[part] = self._render(rays, v, active, light, ask_fine)
        light = drawn[:, TRANSMITTANCE, None]
        colour = drawn[:, COLOUR] + light * clip.background
        parsing = self._logits(drawn).argmax(-1).to(torch.uint8)
        size = clip.height, clip.width
        return FrameImage(
            colour.view(*size, 3).clamp(0, 1),
            parsing.view(size),
            drawn[:, DISPLACEMENT].view(*size, 3),
        )

    def _logits(self, drawn: Tensor) -> Tensor:
        """Expected logits (..., 11) with the background behind."""
        behind = drawn[..., TRANSMITTANCE, None] * self.exact.model.background_logits
        return drawn[..., LOGITS] + behind

    def _between(self, drawn: Tensor, pixels: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (P,) between drawn ones: whether these agree (P,), and their mean (P, 18).

        `neighbours` (4, 2): their rows and columns, from the pixel's own.
        """
        height, width = self.exact.clip.height, self.exact.clip.width
        row = (pixels // width)[:, None] + neighbours[:, 0]
        column = (pixels % width)[:, None] + neighbours[:, 1]
        there = ((row >= 0) & (row < height) & (column >= 0) & (column < width)).all(1)
        around = drawn[row.clamp(0, height - 1) * width + column.clamp(0, width - 1)]
        seen = around[..., TRANSMITTANCE : COLOUR.stop]
        alike = (seen.amax(1) - seen.amin(1)).amax(-1) < RAY_TOLERANCE
        label = self._logits(around).argmax(-1)
        plain = ~self._detailed[label[:, 0]]
        agree = there & alike & plain & (label == label[:, :1]).all(1)
        return agree, around.mean(1)

    def _fine_samples(
        self,
        pixels: Tensor,
        rays: Rays,
        ask: AtFrames,
        coarse: FrameOccupancy,
        fine: FrameOccupancy,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Where the coarse level puts the samples of rays (1, R, 3) through pixels (R,).

        Returns:
            depths (R, S), which of them matter (R, S), and what light comes from them (R, S).
        """
        model, far = self.exact.model, self.exact.model.scene.far
        depths = stratified_depths(model.strata, None)
        v = depths.expand(len(pixels), -1)
        delta = intervals(v, torch.full_like(rays.step_length[0], far), rays.step_length[0])
        active = coarse.at(pixels, v)
        front = active & (active.cumsum(-1) <= FRONT_SAMPLES)
        density = torch.zeros_like(delta)
        asked = front
        for _ in range(2):
            points = self._ask(ask, rays, v, asked)
            density.view(-1)[points.where] = points.density
            self._computed[1] += len(points.where)
            weights, behind = render_weights(density, delta)
            asked = active & ~front & (behind > LEAST_TRANSMITTANCE)
        v = resample(v[None], weights[None], far, model.config.fine_samples, None)[0]
        bin_ = ((v - depths[0]) / (depths[1] - depths[0])).long().clamp_(0, len(depths) - 1)
        light = (1 - weights.cumsum(-1) + weights).gather(-1, bin_)
        return v, fine.at(pixels, v) & (light > LEAST_TRANSMITTANCE), light

    def _render(
        self, rays: Rays, v: Tensor, active: Tensor, light: Tensor, ask: AtFrames
    ) -> Tensor:
        """What rays (1, R, 3) meet (R, 18), see `TRANSMITTANCE`: eq. 9 and 10 without background.

        Every fourth of the `active` samples at depths v (R, S) is computed; then those between two
        that differ, if the light (R, S) that comes from there lets one see it.
        """
        step_length = rays.step_length[0]
        far = torch.full_like(step_length, self.exact.model.scene.far)
        density, colour = torch.zeros_like(v), v.new_zeros(*v.shape, 3)
        parts: list[Points] = []

        def compute(asked: Tensor) -> None:
            points = self._ask(ask, rays, v, asked)
            density.view(-1)[points.where] = points.density
            colour.view(-1, 3)[points.where] = points.values[:, :3]
            parts.append(points)
            self._computed[2] += len(points.where)

        asked = torch.zeros_like(active)
        asked[:, ::STRIDE] = active[:, ::STRIDE]
        compute(asked)
        interpolated = []
        step = STRIDE // 2
        while step:
            asked = torch.zeros_like(active)
            asked[:, step :: 2 * step] = active[:, step :: 2 * step]
            left, middle, right = neighbours(step, v.shape[1])
            length = v[:, right] - v[:, left]
            difference = visible_difference(
                density[:, left], density[:, right], colour[:, left], colour[:, right],
                length * step_length, light[:, left],
            )  # fmt: skip
            alike = asked[:, middle] & active[:, left] & active[:, right]
            alike &= difference < SAMPLE_TOLERANCE
            asked[:, middle] &= ~alike
            share = (v[:, middle] - v[:, left]) / length.clamp_min(1e-9)
            raw = torch.lerp(
                softplus_inverse(density[:, left]), softplus_inverse(density[:, right]), share
            )
            density[:, middle] = torch.where(alike, F.softplus(raw), 0)
            colour[:, middle] = torch.lerp(colour[:, left], colour[:, right], share[..., None])
            of_left, of_right = torch.where(alike, 1 - share, 0), torch.where(alike, share, 0)
            interpolated.append((left, middle, right, of_left, of_right))
            compute(asked)
            step //= 2

        weights, transmittance = render_weights(density, intervals(v, far, step_length))
        # What lies between two samples is made of them: they take its weight.
        for left, middle, right, of_left, of_right in reversed(interpolated):
            weights[:, left] += weights[:, middle] * of_left
            weights[:, right] += weights[:, middle] * of_right
        seen = [
            torch.segment_reduce(
                weights.view(-1, 1)[points.where] * points.values,
                "sum",
                lengths=points.per_ray,
                unsafe=True,  # or it would wait for the GPU to check the lengths
            )
            for points in parts
        ]
        return torch.cat([transmittance, torch.stack(seen).sum(0)], dim=-1)

    def _ask(self, ask: AtFrames, rays: Rays, v: Tensor, asked: Tensor) -> Points:
        """The networks at those of the samples at depths v (R, S) that are asked for (R, S)."""
        where = asked.view(-1).nonzero().squeeze(1)
        if not len(where):
            return Points(where, asked.sum(1), v.new_zeros(0), v.new_zeros(0, WIDTH - 1))
        ray = where // v.shape[1]
        depth = v[ray, where - ray * v.shape[1]]
        x = rays.origins[0, ray] + depth[:, None] * rays.directions[0, ray]
        point, dx = ask(x[None, :, None], rays.view[:, ray])
        values = torch.cat([point.colour, point.logits, dx], dim=-1)[0, :, 0]
        return Points(where, asked.sum(1), point.density[0, :, 0], values)


def neighbours(step: int, samples: int) -> tuple[slice, slice, slice]:
    """Of `samples`: left ones, those a step behind them, and those a step behind these."""
    last = (samples - 1) // (2 * step) * 2 * step  # right one
    return (
        slice(0, last, 2 * step),
        slice(step, last, 2 * step),
        slice(2 * step, last + 1, 2 * step),
    )


def softplus_inverse(density: Tensor) -> Tensor:
    """What softplus makes this density of: nearly its logarithm where it is small."""
    density = density.clamp_min(1e-10)
    return density + torch.log(-torch.expm1(-density))


def visible_difference(
    density_left: Tensor,
    density_right: Tensor,
    colour_left: Tensor,
    colour_right: Tensor,
    length: Tensor,
    light: Tensor,
) -> Tensor:
    """How much a ray's colour may change by what lies between two samples of it.

    Args:
        density_left, density_right: (R, S) 1 / decimetre.
        colour_left, colour_right: (R, S, 3).
        length: (R, S) from one to the other, decimetres.
        light: (R, S) that comes through what is before them.
    """
    left, right = torch.exp(-density_left * length), torch.exp(-density_right * length)
    opacity = 1 - (left * right).sqrt()
    colours = (colour_left - colour_right).abs().amax(-1)
    return light * ((left - right).abs() / 2 + opacity * colours)
