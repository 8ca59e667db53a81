"""Whole frames without what cannot matter.

Four things are left out, each where the picture hardly changes: rays and samples in empty space
(`occupancy`), samples that no light comes from any more, samples between two that agree, and rays
between neighbours that agree. What is computed lies where the exact renderer computes it: the
networks know frequencies finer than the samples' spacing, and other places give other pictures.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ssp_nerf.cuda_graph import Recorded
from ssp_nerf.frame_renderer import ExactRenderer, FrameImage
from ssp_nerf.kernels.sparse_rays import (
    COLOUR,
    DISPLACEMENT,
    LOGITS,
    TRANSMITTANCE,
    WIDTH,
    Frame,
    sparse_rays,
)
from ssp_nerf.model import Condition
from ssp_nerf.occupancy import PortraitOccupancy
from ssp_nerf.parsing_map import CLASSES, EYE, EYEBROW, LIP, TEETH
from ssp_nerf.rays import rays_through_pixels
from ssp_nerf.volume import stratified_depths

RAY_TOLERANCE = 0.05
"""Largest difference in colour or opacity between the neighbours of a ray that is interpolated."""
DETAILED = (EYE, EYEBROW, TEETH, LIP)
"""Classes whose rays are never interpolated: few pixels, details of one, and all eyes on them."""

DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
STRAIGHT = ((-1, 0), (1, 0), (0, -1), (0, 1))
PASSES = (((0, 0),), ()), (((1, 1),), DIAGONAL), (((0, 1), (1, 0)), STRAIGHT)
"""Rows and columns, modulo two, of the pixels of a pass; neighbours (row, column) known by then."""

MOST_RAYS = 32768  # at once: bounds the memory of lists of a fixed size


class Work(NamedTuple):
    """What of a frame was computed, as shares of what the exact renderer computes."""

    rays: float
    coarse_samples: float
    fine_samples: float


class FastRenderer:
    """Draws frames nearly as the exact renderer does, with a fraction of its samples.

    Where the kernels compute, a frame is one CUDA graph: lists of rays and samples have a fixed
    size and a length on the device, so nothing waits for it, and nothing is launched one by one.

    Args:
        exact: the renderer to come near to; holds what frames share.
        poses: frame numbers of the clip that will be drawn.
    """

    @torch.inference_mode()
    def __init__(self, exact: ExactRenderer, poses: Tensor):
        self.exact = exact
        clip, device = exact.clip, exact.device
        with exact.computing():
            self.occupancy = PortraitOccupancy(exact, poses)
            levels = exact.model.coarse, exact.model.fine
            condition = exact.condition(0, 0)
            self._fused = all(exact.model.at_frames(level, condition).fused for level in levels)
        row = torch.arange(clip.height, device=device)[:, None] % 2
        column = torch.arange(clip.width, device=device) % 2
        self._passes = [
            (
                torch.stack([(row == i) & (column == j) for i, j in places])
                .any(0)
                .flatten()
                .nonzero()
                .squeeze(1),
                torch.tensor(neighbours, device=device) if neighbours else None,
            )
            for places, neighbours in PASSES
        ]
        self._detailed = torch.zeros(len(CLASSES), dtype=torch.bool, device=device)
        self._detailed[list(DETAILED)] = True
        # What a frame is drawn from, where the graph looks for it.
        t, p_h, a, volume = condition
        self._condition = Condition(t.clone(), p_h.clone(), a.clone(), volume)
        self._c2w = clip.c2w[:1].clone()
        self._recorded = Recorded(self._draw, device)
        self._work = torch.zeros(3, dtype=torch.int64)

    @property
    def work(self) -> Work:
        """Of the last frame."""
        config, clip = self.exact.model.config, self.exact.clip
        pixels = clip.height * clip.width
        rays, coarse, fine = self._work.tolist()
        all_fine = config.coarse_samples + config.fine_samples
        return Work(
            rays / pixels, coarse / pixels / config.coarse_samples, fine / pixels / all_fine
        )

    @torch.inference_mode()
    def draw(self, pose: int, moment: int) -> FrameImage:
        """The portrait in the pose of a frame of the clip, at a moment (frame) of the speech."""
        condition = self.exact.condition(pose, moment)
        for mine, given in zip(self._condition[:3], condition[:3], strict=True):
            mine.copy_(given)
        self._c2w.copy_(self.exact.clip.c2w[pose : pose + 1])
        image, self._work = self._recorded() if self._fused else self._draw()
        return FrameImage(*(each.clone() for each in image))  # the next frame takes their place

    def _draw(self) -> tuple[FrameImage, Tensor]:
        """The frame of the condition and pose, and its rays, coarse and fine samples (3,)."""
        clip = self.exact.clip
        pixels_of_clip = clip.height * clip.width
        # The last row takes what the unused ends of lists draw.
        drawn = clip.background.new_zeros(pixels_of_clip + 1, WIDTH)
        drawn[:, TRANSMITTANCE] = 1
        work = torch.zeros(3, dtype=torch.int64, device=drawn.device)
        with self.exact.computing():
            frame = self._frame(self._condition, self._c2w[0])
            occupied = frame.fine_space.pixels()
            for pixels, beside in self._passes:
                asked = occupied[pixels]
                if beside is not None:
                    agree, mean = self._between(drawn, pixels, beside)
                    agree &= asked
                    drawn[pixels] = torch.where(agree[:, None], mean, drawn[pixels])
                    asked = asked & ~agree
                for part, count in self._chunks(pixels, asked):
                    rays = rays_through_pixels(
                        part[None], self._c2w, clip.focal, clip.width, clip.height
                    )
                    drawn[part], samples = sparse_rays(frame, part, rays, count)
                    work[1:] += samples
                work[0] += asked.sum()
        drawn = drawn[:-1]
        light = drawn[:, TRANSMITTANCE, None]
        colour = drawn[:, COLOUR] + light * clip.background
        parsing = self._logits(drawn).argmax(-1).to(torch.uint8)
        size = clip.height, clip.width
        image = FrameImage(
            colour.view(*size, 3).clamp(0, 1),
            parsing.view(size),
            drawn[:, DISPLACEMENT].view(*size, 3),
        )
        return image, work

    def _frame(self, condition: Condition, c2w: Tensor) -> Frame:
        model, scene = self.exact.model, self.exact.model.scene
        coarse, fine = (model.at_frames(level, condition) for level in (model.coarse, model.fine))
        return Frame(
            coarse,
            fine,
            self.occupancy.frame(model.coarse, coarse, c2w),
            self.occupancy.frame(model.fine, fine, c2w),
            stratified_depths(model.strata, None),
            scene.near,
            scene.far,
            model.config.fine_samples,
        )

    def _chunks(self, pixels: Tensor, asked: Tensor) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Those of pixels (P,) that are asked for (P,), some at once, and, where their lists have a
        fixed size, how many (1,) of each are in it."""
        clip, rays = self.exact.clip, min(self.exact.rays_per_chunk, MOST_RAYS)
        if not self._fused:
            yield from ((part, None) for part in pixels[asked].split(rays) if len(part))
            return
        order = torch.nonzero_static(asked, size=len(pixels), fill_value=-1).squeeze(1)
        listed = torch.where(order < 0, clip.height * clip.width, pixels[order])
        total = asked.sum().view(1)
        for number, part in enumerate(listed.split(rays)):
            yield part, (total - number * rays).clamp(0, len(part)).int()

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
