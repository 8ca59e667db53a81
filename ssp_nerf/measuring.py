"""All metrics of a clip at once, with what could not be measured and why."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssp_nerf.config import EvaluationConfig
from ssp_nerf.errors import InputError
from ssp_nerf.files import sha256
from ssp_nerf.footage import Footage
from ssp_nerf.landmarks import eye_distance, mouth_opening, mouth_points
from ssp_nerf.metrics import csim, face_crop, lpips, parsing_iou, temporal_stability, torso_seam
from ssp_nerf.metrics.arcface_network import WEIGHTS_FILE as ARCFACE_FILE
from ssp_nerf.metrics.cpbd import cpbd
from ssp_nerf.metrics.image_scores import image_scores
from ssp_nerf.metrics.lmd import landmark_distance, landmark_distance_of_others
from ssp_nerf.metrics.mouth_sync import MouthSync, mouth_sync
from ssp_nerf.metrics.pearson import pearson
from ssp_nerf.metrics.psnr import psnr
from ssp_nerf.metrics.ssim import ssim
from ssp_nerf.metrics.syncnet import Sync, syncnet
from ssp_nerf.metrics.syncnet_network import WEIGHTS_FILE as SYNCNET_FILE
from ssp_nerf.metrics.syncnet_network import load as load_syncnet
from ssp_nerf.parsing_map import head_mask
from ssp_nerf.progress import progress
from ssp_nerf.schema import FPS

NEED_SAME_PERSON = (
    *("psnr", "ssim", "lpips", "parsing_iou", "torso_seam", "csim_dlib", "csim_arcface"),
)
"""Metrics that need a truth of the same person in the same pose."""


@dataclass
class Figures:
    """What was measured of one clip of F frames.

    Attributes:
        frames: metric -> (F,), nan where it is not defined.
        clip: metric -> its value for the whole clip.
        statistics: metric of `clip` -> the same of some rows (R,), for the bootstrap.
        vectors: identity network -> (F, D), nan where no face was found.
    """

    frames: dict[str, np.ndarray] = field(default_factory=dict)
    clip: dict[str, float] = field(default_factory=dict)
    statistics: dict[str, Callable[[np.ndarray], float]] = field(default_factory=dict)
    vectors: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, metric: str, statistic: Callable[[np.ndarray], float], frames: int) -> None:
        """A figure of the whole clip that can be had of some of its frames, too."""
        self.statistics[metric] = statistic
        self.clip[metric] = statistic(np.arange(frames))


class Meter:
    """The metrics that can be measured, their networks loaded once.

    Attributes:
        not_measured: metric -> why.
        weights: name of a weight file -> its SHA-256.

    Raises:
        InputError: a metric was asked for by name, and its weight file or package is missing.
    """

    def __init__(self, settings: EvaluationConfig, device: torch.device) -> None:
        self.settings = settings
        self.not_measured: dict[str, str] = {}
        self.weights: dict[str, str] = {}
        self.wanted = set(settings.wanted)
        folder = Path(settings.weights)
        self._lpips = self._load("lpips", lambda: lpips.load(folder, device), lpips.TRUNK_FILE)
        self._syncnet = self._load("syncnet", lambda: load_syncnet(folder, device), SYNCNET_FILE)
        identities = (
            self._load("csim_dlib", csim.DlibIdentity),
            self._load("csim_arcface", lambda: csim.ArcFaceIdentity(folder, device), ARCFACE_FILE),
        )
        self._identities: list[csim.Identity] = [network for network in identities if network]

    def _load(self, metric: str, make: Callable[[], Any], file: str | None = None) -> Any:
        if metric not in self.wanted:
            return None
        try:
            network = make()
        except InputError as error:
            if self.settings.metrics != "auto":
                raise
            self.skip(metric, str(error))
            return None
        if file is not None:
            self.weights[file] = sha256(Path(self.settings.weights) / file)
        return network

    def skip(self, metric: str, why: str) -> None:
        """Note why a metric is not measured."""
        if metric in self.wanted:
            self.not_measured.setdefault(metric, why)

    def measure(
        self,
        video: Footage,
        truth: Footage | None,
        same_person: bool = True,
        task: str = "measure",
    ) -> Figures:
        """Figures of a clip.

        Args:
            video: the clip.
            truth: as many frames of the truth at the same size; None: there is none.
            same_person: the truth shows the same head in the same pose; else it is another
                person's video of the same speech, and only LMD is compared.
            task: shown with the progress.
        """
        aligned = truth if same_person else None
        self._explain(video, truth, aligned)
        found = Figures()
        columns: dict[str, list[float]] = {}
        confusions: list[np.ndarray] = []
        square = None if aligned is None else face_crop.crop_square(aligned.points, *video.size)
        for i in progress(range(len(video)), task, len(video)):
            self._alone(video, aligned, i, columns, found)
            if aligned is not None:
                self._compared(video, aligned, i, square, columns)
                self._classes(video, aligned, i, columns, confusions)
        found.frames.update({metric: np.array(values) for metric, values in columns.items()})
        if confusions:
            pixels = np.stack(confusions)
            found.frames["parsing_iou"] = parsing_iou.mean_iou(pixels)
            iou = partial(_mean_iou_of, pixels)
            found.add("parsing_iou", iou, len(pixels))
        self._mouths(video, truth, same_person, square, found)
        self._sync(video, found)
        return found

    def measure_truth(self, truth: Footage) -> Figures:
        """What the truth itself scores in the metrics that need no reference."""
        found = Figures()
        columns: dict[str, list[float]] = {}
        for i in progress(range(len(truth)), "measure the truth", len(truth)):
            self._alone(truth, None, i, columns, found)
            if truth.parsing is not None and "torso_seam" in self.wanted:
                band = torso_seam.seam_band(truth.parsing[i])
                edge = torso_seam.seam_edge(truth.frames[i], band)
                columns.setdefault("seam_edge", []).append(edge)
        found.frames.update({metric: np.array(values) for metric, values in columns.items()})
        self._mouths(truth, None, True, None, found)
        self._sync(truth, found)
        return found

    def _explain(self, video: Footage, truth: Footage | None, aligned: Footage | None) -> None:
        """Note what these clips do not allow."""
        if truth is None:
            self.skip("lmd", "no video of who speaks is known (--truth)")
        if aligned is None:
            for metric in NEED_SAME_PERSON:
                self.skip(metric, "needs a truth that shows the same person in the same pose")
        elif aligned.parsing is None or video.parsing is None:
            for metric in ("parsing_iou", "torso_seam"):
                self.skip(metric, "no parsing maps of truth and rendering")
        if video.speech is None:
            for metric in ("mouth_sync", "syncnet"):
                self.skip(metric, "no speech: none was given (--speech), or the video has no sound")

    def _alone(
        self,
        video: Footage,
        truth: Footage | None,
        i: int,
        columns: dict[str, list[float]],
        found: Figures,
    ) -> None:
        """What needs no reference; the truth, if there is one, only tells how the picture moves."""
        picture = video.frames[i]
        if "cpbd" in self.wanted:
            columns.setdefault("cpbd", []).append(cpbd(picture))
        for network in self._identities:
            vectors = found.vectors.setdefault(
                network.name, np.full((len(video), network.length), np.nan)
            )
            if np.isfinite(video.points[i]).all():
                vectors[i] = network.vector(picture, video.points[i])
        if "stability" in self.wanted:
            error = np.nan
            if i > 0:
                moving = (video if truth is None else truth).frames
                flow, visible = temporal_stability.optical_flow(moving[i - 1], moving[i])
                before = video.frames[i - 1]
                error = temporal_stability.warping_error(before, picture, flow, visible)
            columns.setdefault("warping_error", []).append(error)

    def _compared(
        self,
        video: Footage,
        truth: Footage,
        i: int,
        square: tuple[float, float, float] | None,
        columns: dict[str, list[float]],
    ) -> None:
        """Picture against picture: full frame, inside the head, face crop."""
        picture, reference = video.frames[i], truth.frames[i]
        head = np.zeros(picture.shape[:2], bool)
        if truth.parsing is not None:
            head = head_mask(truth.parsing[i])
        scores = image_scores(picture, reference, head)._asdict()
        if self._lpips is not None:
            scores["lpips_alex"] = lpips.lpips(self._lpips, picture, reference)
        if square is not None:
            size = self.settings.crop_size
            ours, theirs = (face_crop.crop(image, square, size) for image in (picture, reference))
            scores["psnr_crop"] = psnr(ours, theirs)
            scores["ssim_crop"] = ssim(ours, theirs)
            if self._lpips is not None:
                scores["lpips_alex_crop"] = lpips.lpips(self._lpips, ours, theirs)
        for metric, value in scores.items():
            if metric.split("_")[0] in self.wanted:
                columns.setdefault(metric, []).append(value)

    def _classes(
        self,
        video: Footage,
        truth: Footage,
        i: int,
        columns: dict[str, list[float]],
        confusions: list[np.ndarray],
    ) -> None:
        """What parsing maps tell: agreement of classes, and the seam."""
        if truth.parsing is None or video.parsing is None:
            return
        own, theirs = video.parsing[i], truth.parsing[i]
        if "parsing_iou" in self.wanted:
            confusions.append(parsing_iou.confusion(own, theirs))
        if "torso_seam" in self.wanted:
            band = torso_seam.seam_band(theirs)
            picture = video.frames[i]
            seam = {
                "psnr_seam": psnr(picture, truth.frames[i], band),
                "seam_gap": torso_seam.seam_gap(own, theirs, band),
                "seam_edge": torso_seam.seam_edge(picture, band),
            }
            for metric, value in seam.items():
                columns.setdefault(metric, []).append(value)

    def _mouths(
        self,
        video: Footage,
        truth: Footage | None,
        same_person: bool,
        square: tuple[float, float, float] | None,
        found: Figures,
    ) -> None:
        """What the landmarks tell."""
        mouths = mouth_points(video.points)
        opening = mouth_opening(mouths)
        found.frames["mouth_opening"] = opening
        if "stability" in self.wanted:
            eyes = eye_distance(video.points)
            found.frames["jitter"] = temporal_stability.jitter(video.points, eyes)
        if truth is None or "lmd" not in self.wanted:
            return
        if not same_person:
            found.frames["lmd"] = landmark_distance_of_others(video.points, truth.points)
            return
        true_mouths = mouth_points(truth.points)
        found.frames["lmd"] = landmark_distance(mouths, true_mouths)
        if square is not None:
            found.frames["lmd_crop"] = found.frames["lmd"] * self.settings.crop_size / square[2]
        follows = partial(correlation_of, opening, mouth_opening(true_mouths))
        found.add("mouth_opening_correlation", follows, len(opening))

    def _sync(self, video: Footage, found: Figures) -> None:
        """What compares the mouth with the sound."""
        if video.speech is None:
            return
        if "mouth_sync" in self.wanted:
            step = mouth_sync(found.frames["mouth_opening"], video.speech)
            if step is None:
                self.skip("mouth_sync", "needs 40 frames with a face whose mouth moves, and sound")
            else:
                found.add("mouth_sync", partial(MouthSync.at_zero_of, step), len(video))
                found.clip["mouth_sync_peak"] = step.peak
                found.clip["mouth_sync_lag"] = step.lag
        if self._syncnet is not None:
            sync = syncnet(self._syncnet, video.frames, video.points, video.speech)
            if sync is None:
                self.skip("syncnet", "no face was found, or the clip is shorter than six frames")
            else:
                found.clip["sync_offset"] = float(sync.offset)
                for part in ("confidence", "distance"):
                    found.add(f"sync_{part}", partial(_sync_of, sync, part), len(video))


def compare_identities(video: Figures, truth: Figures) -> None:
    """Add CSIM: to a clip's figures with the truth's frames, to the truth's with its later ones."""
    for name, vectors in truth.vectors.items():
        later = min(round(FPS), max(1, len(vectors) // 2))
        for figures, others in (
            (video, video.vectors[name]),
            (truth, np.roll(vectors, -later, axis=0)),
        ):
            figures.frames[f"csim_{name}"] = csim.cosine(others, vectors)
            if name == "dlib":
                figures.frames["identity_distance"] = np.linalg.norm(others - vectors, axis=-1)


def _mean_iou_of(pixels: np.ndarray, rows: np.ndarray) -> float:
    return float(parsing_iou.mean_iou(pixels[rows].sum(axis=0)))


def correlation_of(ours: np.ndarray, theirs: np.ndarray, rows: np.ndarray) -> float:
    """Correlation of two curves (F,) over some frames (R,) in which both are defined."""
    rows = rows[np.isfinite(ours[rows]) & np.isfinite(theirs[rows])]
    return pearson(ours[rows], theirs[rows])


def _sync_of(sync: Sync, part: str, rows: np.ndarray) -> float:
    """Confidence or distance of some frames; the last few begin no window."""
    return getattr(sync.of(rows[rows < len(sync.distances)]), part)
