"""The training loop's state and its one step (paper, section 3.4)."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ssp_nerf import kernels
from ssp_nerf.audio import neighbouring_windows
from ssp_nerf.config import ModelConfig, TrainingConfig
from ssp_nerf.cuda_graph import Recorded
from ssp_nerf.dataset import PortraitDataset, as_colour
from ssp_nerf.device import precision
from ssp_nerf.errors import InputError
from ssp_nerf.kernels.class_sums import sum_by_class
from ssp_nerf.kernels.overall import Roulette
from ssp_nerf.kernels.ray_losses import ray_losses
from ssp_nerf.model import Jitter, RenderOutput, SSPNeRF
from ssp_nerf.parsing_map import BACKGROUND, CLASSES
from ssp_nerf.ranks import Ranks
from ssp_nerf.ray_sampling import DynamicRaySampler
from ssp_nerf.rays import rays_through_pixels

START_STEPS = 1000
"""Steps within which a collapsed start shows itself."""
STEPS_BETWEEN_CHECKS = 100
PRESENCE_MEMORY = 0.95
"""What a step leaves of the running presence: 20 steps, well within those between two checks."""
COLLAPSED = 0.02
"""Presence under which there is no field to speak of. A start has 0.5 and more, and gains."""
STARTS = 5
"""Draws of initial weights before training gives up."""
SEEDS_BETWEEN_STARTS = 1_000_003  # far beyond the seeds that people count through


class NonFiniteError(Exception):
    """A loss or gradient that is no number. Nothing was updated by it.

    Attributes:
        batch: frames (B,), and this rank's pixels (B, R), their colour and classes.
        state: of the trainer before the step: restored, it repeats the step.
    """

    def __init__(self, batch: dict[str, Tensor], state: dict[str, Any]):
        super().__init__()
        self.batch, self.state = batch, state


class Batch(NamedTuple):
    """The rays of a step on this rank, and what they gave, summed over them."""

    pixels: Tensor  # (B, R) flat pixel numbers
    colour: Tensor  # (B, R, 3) the truth, in [0, 1]
    classes: Tensor  # (B, R) the truth
    # (11, 5) float64 sums over the rays of each class: Lp, Ls, squared error of the fine colour,
    # opacity, and how many rays
    sums: Tensor
    norm: Tensor  # (1,) of the gradient


@dataclass
class StepResult:
    """Means over the rays of one step, of all ranks."""

    loss: float  # eq. 12
    photometric: float  # Lp
    semantic: float  # Ls
    psnr: float  # of the fine level, dB, over the rays that were drawn
    class_losses: list[float]  # (11,) loss of eq. 5, summed over the rays of each class
    class_rays: list[float]  # (11,) how many rays each class had
    collapsed: bool  # training has begun again from other weights
    stop: bool  # a rank was asked to stop


class Trainer:
    """Networks, optimiser, random streams and the order of frames: all that a checkpoint holds.

    Args:
        dataset: the clip.
        model, training: the config.
        ranks: the processes that share the rays of a step.

    Attributes:
        stop_requested: set it to have every rank's next `steps` end with a result that says `stop`.

    Raises:
        InputError: rays that the ranks cannot share.
    """

    def __init__(
        self,
        dataset: PortraitDataset,
        model: ModelConfig,
        training: TrainingConfig,
        ranks: Ranks | None = None,
    ):
        self.dataset, self.model_config, self.config = dataset, model, training
        self.ranks = ranks or Ranks()
        self.device = dataset.device
        self.rays_per_frame = training.rays // training.frames_per_step
        if self.rays_per_frame % self.ranks.size:
            raise InputError(
                f"training.rays: {training.rays} rays on {training.frames_per_step} frames "
                f"(training.frames_per_step) cannot be shared by {self.ranks.size} processes "
                f"(gpus). Use a multiple of {training.frames_per_step * self.ranks.size}."
            )
        self.stop_requested = False
        self.start_number = 0
        pixels = dataset.height * dataset.width
        batch = training.frames_per_step
        self._frames = torch.zeros(batch, dtype=torch.int64, device=self.device)
        self._images = torch.zeros(batch, pixels, 3, dtype=torch.uint8, device=self.device)
        self._parsing = torch.zeros(batch, pixels, dtype=torch.uint8, device=self.device)
        self._start()

    def _start(self) -> None:
        """Draw the initial weights and streams; other ones at each start."""
        # Weights and the order of frames are drawn on the CPU, the same ones for every device;
        # rays and samples on the device, which need not wait for them.
        seed = self.config.seed + SEEDS_BETWEEN_STARTS * self.start_number
        torch.manual_seed(seed)
        self.model = SSPNeRF(self.model_config, self.dataset.scene()).to(self.device)
        frames = self.dataset.training_frames
        self.model.standardise_by(self.dataset.c2w[frames], self.dataset.audio[frames])
        self._learning_rate = torch.zeros((), device=self.device)
        self.optimiser = torch.optim.Adam(
            self.model.parameters(),
            self._learning_rate,
            fused=True,
            capturable=self.device.type == "cuda",
        )
        self._failed = torch.zeros((), device=self.device)
        # Its fused kernels update nothing where this is 1.
        self.optimiser.found_inf = self._failed  # type: ignore[attr-defined]
        # It may run without being recorded, and does in the first steps: no need to say so.
        self.optimiser._warned_capturable_if_run_uncaptured = True
        self.order_generator = torch.Generator().manual_seed(seed)
        self.ray_generator = torch.Generator(self.device).manual_seed(seed)
        self.sampler = DynamicRaySampler(
            self.rays_per_frame, self.config.class_floor, self.config.dynamic_sampling, self.device
        )
        self.step_number = 0
        self.presence = 1.0  # running mean opacity of the rays that show the person
        self.order = torch.empty(0, dtype=torch.int64)  # frames left in the running epoch
        self._shuffle()
        self._record_anew()

    def _record_anew(self) -> None:
        """The parts of a step that a GPU plays from a record, which has to be made again."""
        self._backward = Recorded(
            self._compute_gradients,
            self.device,
            [self.ray_generator],
            before_recording=self.optimiser.zero_grad,
        )
        self._update = Recorded(self._apply_gradients, self.device)

    def step(self) -> StepResult:
        """One step; see `steps`."""
        return self.steps(1)[0]

    def steps(self, most: int) -> list[StepResult]:
        """Optimiser steps, each on the rays of the next frames, up to `most`.

        The program waits for the device once, after the last of them. There are fewer where an
        epoch ends, or where the start is looked after.

        Raises:
            NonFiniteError: a loss or gradient is no number; the networks are as they were.
            InputError: every start has collapsed.
        """
        most = min(
            most,
            max(1, len(self.order) // self.config.frames_per_step),
            STEPS_BETWEEN_CHECKS - self.step_number % STEPS_BETWEEN_CHECKS,
        )
        before = []  # each step: the stream of rays, and the frames that are left
        reports = []
        for _ in range(most):
            before.append((self.ray_generator.get_state(), self.order))
            reports.append(self._advance())
        stop = torch.full((1,), self.stop_requested, dtype=torch.float64, device=self.device)
        self.ranks.add([stop])
        numbers = torch.stack(reports).cpu()  # the one moment at which the program waits
        known = numbers.isfinite().flatten(1).all(1).tolist()
        sums = numbers[:, :-1].unflatten(1, (len(CLASSES), -1))
        if not all(known):
            for each in sums[: known.index(False)]:
                self._result(each, last=False, stop=False)
            self._fail(before[known.index(False)], self.step_number - most + known.index(False))
        if len(self.order) < self.config.frames_per_step:
            self._end_epoch()
        return [
            self._result(each, last=number == most, stop=number == most and bool(stop.item() > 0))
            for number, each in enumerate(sums, start=1)
        ]

    def _advance(self) -> Tensor:
        """One step, without waiting for it; the numbers that it reports."""
        frames, *coming = self.order.split(self.config.frames_per_step)[:2]
        self._load(frames)
        if coming and len(coming[0]) == len(frames):  # else the epoch ends, and others may come
            self.dataset.read_ahead(coming[0])
        self.model.train()
        self._batch = self._backward()
        self.ranks.add([*self._gradients(), self._batch.sums, self._batch.norm])
        self._learning_rate.fill_(self.learning_rate)
        report = self._update().clone()
        self.step_number += 1
        self.order = self.order[self.config.frames_per_step :]
        return report

    def _apply_gradients(self) -> Tensor:
        """Let the optimiser and the sampler learn from the batch, unless one so far had a number
        that is none; what the step reports."""
        sums = self._batch.sums
        report = torch.cat([sums.flatten(), self._batch.norm.to(sums.dtype)])
        self._failed.copy_(torch.maximum(self._failed, (~report.isfinite().all()).float()))
        self.optimiser.step()
        photometric, semantic, *_, number = torch.where(self._failed > 0, 0, sums).T
        self.sampler.record(photometric + self.config.sampling_weight * semantic, number)
        return report

    def _fail(self, before: tuple[Tensor, Tensor], step_number: int) -> None:
        """Go back to before the step that failed, from which on nothing was updated, and say so."""
        stream, self.order = before
        self.step_number = step_number
        self.ray_generator.set_state(stream)
        frames = self.order[: self.config.frames_per_step]
        self._load(frames)
        batch = self._backward()  # its rays once more: later ones have taken their place
        self.ray_generator.set_state(stream)
        rays = {"pixels": batch.pixels, "colour": batch.colour, "classes": batch.classes}
        raise NonFiniteError({"frames": frames, **rays}, self.state())

    def _result(self, sums: Tensor, last: bool, stop: bool) -> StepResult:
        """What a step reports, from the sums of its rays by class; the last looks after the start
        of training."""
        photometric, semantic, squared, *_ = (sums.sum(0) / self.config.rays).tolist()
        *_, opacity, shown = (sums.sum(0) - sums[BACKGROUND]).tolist()  # of the person
        if shown:
            self.presence += (1 - PRESENCE_MEMORY) * (opacity / shown - self.presence)
        return StepResult(
            photometric + self.config.semantic_weight * semantic,  # eq. 12
            photometric,
            semantic,
            psnr=-10 * math.log10(max(squared / 3, 1e-12)),
            class_losses=(sums[:, 0] + self.config.sampling_weight * sums[:, 1]).tolist(),
            class_rays=sums[:, -1].tolist(),
            collapsed=last and self._start_again_if_collapsed(),
            stop=stop,
        )

    def _compute_gradients(self) -> Batch:
        """Choose rays of the loaded frames, render them, and go back from the loss (eq. 12)."""
        pixels = self.ranks.share(self.sampler.choose(self._parsing, self.ray_generator))
        colour = as_colour(self._images.gather(1, pixels[..., None].expand(-1, -1, 3)))
        classes = self._parsing.gather(1, pixels).long()

        output = self.render(self._frames, pixels, self._draw_jitter(len(self._frames)))
        losses = ray_losses(output, colour, classes)
        if not self.config.semantic_branch:
            losses = losses._replace(semantic=torch.zeros_like(losses.semantic))
        loss = losses.photometric + self.config.semantic_weight * losses.semantic  # eq. 12
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward(torch.full_like(loss, 1 / self.config.rays))  # of the mean over all ranks

        with torch.no_grad():
            opacity = torch.minimum(output.coarse.accumulation, output.fine.accumulation)
            return Batch(
                pixels,
                colour,
                classes,
                sum_by_class(torch.stack([*losses, opacity]), classes),
                norm=torch.nn.utils.get_total_norm(self._gradients())[None],
            )

    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in self.model.parameters() if p.grad is not None]

    def _load(self, frames: Tensor) -> None:
        """Put frames (B,) and what they show where `_compute_gradients` finds them."""
        images, parsing = self.dataset.images(frames)
        self._frames.copy_(frames, non_blocking=True)
        self._images.copy_(images, non_blocking=True)
        self._parsing.copy_(parsing, non_blocking=True)

    def render(self, frames: Tensor, pixels: Tensor, jitter: Jitter | None) -> RenderOutput:
        """Rays through pixels (B, R) of frames (B,) of the clip, in the config's precision."""
        data, frames = self.dataset, frames.to(self.device)
        with precision(self.device, self.config.precision), kernels.using(self.config.kernels):
            condition = self.model.condition(
                data.time[frames],
                data.c2w[frames],
                neighbouring_windows(data.audio, frames),
            )
            rays = rays_through_pixels(
                pixels, data.c2w[frames], data.focal, data.width, data.height
            )
            return self.model(rays, condition, data.background[pixels], jitter)

    @property
    def learning_rate(self) -> float:
        """Linear warm-up, then exponential decay by `learning_rate_decay` in `decay_steps`."""
        warm = min(1.0, (self.step_number + 1) / max(1, self.config.warmup_steps))
        done = self.step_number / self.config.decay_steps
        return self.config.learning_rate * warm * self.config.learning_rate_decay**done

    def _draw_jitter(self, frames: int) -> Jitter:
        """Random places of this rank's samples, drawn for all rays, so that they are the same
        however many ranks there are; and lots of its own."""
        sizes = (self.model_config.coarse_samples, self.model_config.fine_samples)
        places = (
            torch.rand(
                (frames, self.rays_per_frame, samples),
                generator=self.ray_generator,
                device=self.device,
            )
            for samples in sizes
        )
        seeds = torch.randint(1 << 31, (2, 1), generator=self.ray_generator, device=self.device)
        seeds = seeds + self.ranks.rank  # other lots for other rays
        coarse, fine = (Roulette(seed, self.config.gradient_tolerance) for seed in seeds)
        of_coarse, of_fine = map(self.ranks.share, places)
        return Jitter(of_coarse, of_fine, (coarse, fine))

    def _start_again_if_collapsed(self) -> bool:
        """A field that is empty everywhere has no gradient to grow by; other weights may do."""
        early = self.step_number <= START_STEPS and not self.step_number % STEPS_BETWEEN_CHECKS
        if not early or self.presence >= COLLAPSED:
            return False
        self.start_number += 1
        if self.start_number == STARTS:
            raise InputError(
                f"training: the field was empty after {self.step_number} steps from each of "
                f"{STARTS} draws of the initial weights. Lower training.learning_rate, or look at "
                "the parsing maps and the background of this video (qc/)."
            )
        self._start()
        return True

    def _shuffle(self) -> None:
        # What is left of the old order comes first; a short clip may go round more than once.
        frames = self.dataset.training_frames.cpu()
        while len(self.order) < self.config.frames_per_step:
            shuffled = frames[torch.randperm(len(frames), generator=self.order_generator)]
            self.order = torch.cat([self.order, shuffled])

    def _end_epoch(self) -> None:
        """An epoch visits each training frame once, in random order.

        Where its end is no whole step, the frames left over open the next one.
        """
        was_uniform = self.sampler.uniform
        self.sampler.end_epoch()
        self._shuffle()
        if self.sampler.uniform != was_uniform:
            self._record_anew()  # with pixels chosen the other way

    def state(self) -> dict[str, Any]:
        """Everything that training continues from, for `torch.load(weights_only=True)`."""
        return {
            "step": self.step_number,
            "start": self.start_number,
            "presence": self.presence,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "order_generator": self.order_generator.get_state(),
            "ray_generator": self.ray_generator.get_state(),
            "order": self.order,
            "sampler": self.sampler.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state` was taken."""
        self.step_number, self.start_number = state["step"], state["start"]
        self.presence = state["presence"]
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        for group in self.optimiser.param_groups:  # of this trainer and device, not the saved one's
            group.update(lr=self._learning_rate, capturable=self.device.type == "cuda")
        self.order_generator.set_state(state["order_generator"])
        if state["ray_generator"].shape == self.ray_generator.get_state().shape:
            self.ray_generator.set_state(state["ray_generator"])
        else:  # taken on another kind of device, whose stream cannot go on here
            self.ray_generator.manual_seed(self.config.seed + self.step_number)
        self.order = state["order"]
        self.sampler.restore(state["sampler"])
        self._failed.zero_()
        self._record_anew()
