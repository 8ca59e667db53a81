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

from ssp_nerf.device import precision
from ssp_nerf.frame_renderer import ExactRenderer, FrameImage
from ssp_nerf.model import Condition, Level
from ssp_nerf.occupancy import FrameOccupancy, PortraitOccupancy
from ssp_nerf.parsing_map import CLASSES
from ssp_nerf.rays import Rays
from ssp_nerf.volume import intervals, render_weights, sample_pdf, stratified_depths

LEAST_TRANSMITTANCE = 0.003  # what lies behind is not seen
STRIDE = 4  # of the samples of a ray that are computed first; a power of two
SAMPLE_TOLERANCE = 0.004
"""Largest change of a ray's colour by a sample that is interpolated, as its neighbours tell."""
RAY_TOLERANCE = 0.03
"""Largest difference in colour or opacity between the neighbours of a ray that is interpolated."""

DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
STRAIGHT = ((-1, 0), (1, 0), (0, -1), (0, 1))
PASSES = (((0, 0),), ()), (((1, 1),), DIAGONAL), (((0, 1), (1, 0)), STRAIGHT)
"""Rows and columns, modulo two, of the pixels of a pass; neighbours (row, column) known by then."""

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
    count: Tensor  # (R,) of each ray
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
        with precision(exact.device, exact.arithmetic):
            self.occupancy = PortraitOccupancy(exact, poses)
        height, width = exact.clip.height, exact.clip.width
        row = torch.arange(height, device=exact.device)[:, None] % 2
        column = torch.arange(width, device=exact.device) % 2
        self._passes = [
            (sum((row == i) & (column == j) for i, j in places).bool().flatten(), neighbours)
            for places, neighbours in PASSES
        ]
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
        with precision(exact.device, exact.arithmetic):
            condition = exact.condition(pose, moment)
            coarse = self.occupancy.frame(model.coarse, pose, moment)
            fine = self.occupancy.frame(model.fine, pose, moment)
            occupied = fine.pixels()
            for places, neighbours in self._passes:
                pixels = (places & occupied).nonzero().squeeze(1)
                if neighbours:
                    agree, drawn[pixels] = self._between(drawn, pixels, neighbours)
                    pixels = pixels[~agree]
                self._computed[0] += len(pixels)
                for part in pixels.split(exact.rays_per_chunk):
                    rays = exact.rays(part, pose)
                    drawn[part] = self._trace(part, rays, condition, coarse, fine)
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

    def _between(
        self, drawn: Tensor, pixels: Tensor, neighbours: tuple[tuple[int, int], ...]
    ) -> tuple[Tensor, Tensor]:
        """Pixels (P,) between drawn ones: whether these agree (P,), and their mean (P, 18)."""
        height, width = self.exact.clip.height, self.exact.clip.width
        offset = torch.tensor(neighbours, device=pixels.device)
        row = (pixels // width)[:, None] + offset[:, 0]
        column = (pixels % width)[:, None] + offset[:, 1]
        there = ((row >= 0) & (row < height) & (column >= 0) & (column < width)).all(1)
        around = drawn[row.clamp(0, height - 1) * width + column.clamp(0, width - 1)]
        seen = around[..., TRANSMITTANCE : COLOUR.stop]
        alike = (seen.amax(1) - seen.amin(1)).amax(-1) < RAY_TOLERANCE
        label = self._logits(around).argmax(-1)
        agree = there & alike & (label == label[:, :1]).all(1)
        return agree, around.mean(1)

    def _trace(
        self,
        pixels: Tensor,
        rays: Rays,
        condition: Condition,
        coarse: FrameOccupancy,
        fine: FrameOccupancy,
    ) -> Tensor:
        """Rays (1, R, 3) through pixels (R,) -> what they meet (R, 18), see `TRANSMITTANCE`."""
        model = self.exact.model
        far = torch.full_like(rays.step_length[0], model.scene.far)
        near = torch.full_like(far, model.scene.near)
        step_length = rays.step_length[0]

        v = stratified_depths(near, far, model.config.coarse_samples, None)
        asked = coarse.at(pixels, v)
        points = self._ask(model.coarse, rays, v, asked, condition)
        self._computed[1] += len(points.where)
        density = scattered(points.density, points.where, v)
        delta = intervals(v, far, step_length)
        weights, _ = render_weights(density, delta)
        edges = torch.cat([v, far], dim=-1)
        extra = sample_pdf(edges, weights, model.config.fine_samples, None)

        # Where the fine samples lie among the coarse ones, and the light that comes so far.
        first, spacing = v[0, 0], v[0, 1] - v[0, 0]
        v = torch.cat([v, extra], dim=-1).sort(dim=-1).values
        bin_ = ((v - first) / spacing).long().clamp_(0, weights.shape[1] - 1)
        light = (1 - weights.cumsum(-1) + weights).gather(-1, bin_)
        active = fine.at(pixels, v) & (light > LEAST_TRANSMITTANCE)
        return self._fine(rays, v, far, active, light, condition)

    def _fine(
        self,
        rays: Rays,
        v: Tensor,
        far: Tensor,
        active: Tensor,
        light: Tensor,
        condition: Condition,
    ) -> Tensor:
        """Eq. 9 and 10 at depths v (R, S), of which only `active` ones are not empty.

        Every fourth sample is computed; then those between, where their neighbours disagree by
        more than the light (R, S) that comes from there lets one see.
        """
        level = self.exact.model.fine
        step_length = rays.step_length[0]
        density, colour = torch.zeros_like(v), v.new_zeros(*v.shape, 3)
        parts: list[Points] = []

        def compute(asked: Tensor) -> None:
            points = self._ask(level, rays, v, asked, condition)
            density.view(-1)[points.where] = points.density
            colour.view(-1, 3)[points.where] = points.values[:, :3]
            parts.append(points)
            self._computed[2] += len(points.where)

        asked = torch.zeros_like(active)
        asked[:, ::STRIDE] = active[:, ::STRIDE]
        compute(asked)
        interpolations = []
        step = STRIDE // 2
        while step:
            asked = torch.zeros_like(active)
            asked[:, step :: 2 * step] = active[:, step :: 2 * step]
            between = between_slices(step, v.shape[1])
            if between is not None:
                middle, left, right = between
                share = (v[:, middle] - v[:, left]) / (v[:, right] - v[:, left]).clamp_min(1e-9)
                alike = active[:, middle] & active[:, left] & active[:, right]
                alike &= (
                    visible_difference(
                        density[:, left], density[:, right], colour[:, left], colour[:, right],
                        (v[:, right] - v[:, left]) * step_length, light[:, left],
                    ) < SAMPLE_TOLERANCE
                )  # fmt: skip
                asked[:, middle] &= ~alike
                raw = torch.lerp(
                    softplus_inverse(density[:, left]), softplus_inverse(density[:, right]), share
                )
                density[:, middle] = torch.where(alike, F.softplus(raw), 0)
                colour[:, middle] = torch.lerp(colour[:, left], colour[:, right], share[..., None])
                interpolations.append((middle, left, right, torch.where(alike, share, 0), alike))
            compute(asked)
            step //= 2

        weights, transmittance = render_weights(density, intervals(v, far, step_length))
        # What is between two samples is made of them: its weight goes to them.
        for middle, left, right, share, alike in reversed(interpolations):
            given = torch.where(alike, weights[:, middle], 0)
            weights[:, left] += given * (1 - share)
            weights[:, right] += given * share
        seen = sum(
            torch.segment_reduce(
                weights.view(-1, 1)[points.where] * points.values,
                "sum",
                lengths=points.count,
                axis=0,
                unsafe=True,
            )
            for points in parts
        )
        return torch.cat([transmittance, seen], dim=-1)

    def _ask(
        self, level: Level, rays: Rays, v: Tensor, asked: Tensor, condition: Condition
    ) -> Points:
        """The networks at those of the samples at depths v (R, S) that are asked for (R, S)."""
        model = self.exact.model
        where = asked.view(-1).nonzero().squeeze(1)
        ray = where // v.shape[1]
        x = rays.origins[0, ray] + v.view(-1)[where, None] * rays.directions[0, ray]
        x = x[None, :, None]
        dx = model.displace(level, x, condition)
        x = x + dx
        f = None
        if model.structured_codes is not None and condition.volume is not None:
            f = model.structured_codes.query(condition.volume, x)
        a = condition.a[:, :0] if level.by_audio else condition.a
        field = level.field(x, rays.view[:, ray], a, f)
        values = torch.cat([field.colour, field.logits, dx], dim=-1)[0, :, 0]
        return Points(where, asked.sum(1), field.density[0, :, 0], values)


def scattered(values: Tensor, where: Tensor, like: Tensor) -> Tensor:
    """Zeros as `like`, with values (N,) at flat places (N,)."""
    full = torch.zeros_like(like)
    full.view(-1)[where] = values
    return full


def between_slices(step: int, samples: int) -> tuple[slice, slice, slice] | None:
    """Every sample with one `step` before and one `step` after it; those; of `samples`, or None."""
    count = len(range(2 * step, samples, 2 * step))
    if not count:
        return None
    return (
        slice(step, 2 * step * count, 2 * step),
        slice(0, 2 * step * count - step, 2 * step),
        slice(2 * step, 2 * step * count + 1, 2 * step),
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
