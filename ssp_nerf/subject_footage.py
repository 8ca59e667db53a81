"""Footage of a subject's held-out frames: the truth of its dataset, and what was rendered of it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from ssp_nerf.baselines import BASELINES, MEAN, NEAREST, mean_frame, nearest_poses
from ssp_nerf.errors import InputError
from ssp_nerf.evaluation_report import Poses
from ssp_nerf.footage import Footage, Rows
from ssp_nerf.frame_store import PackedFrames
from ssp_nerf.landmarks import mouth_opening, mouth_points, read_faces
from ssp_nerf.measuring import Figures, correlation_of
from ssp_nerf.metrics.image_scores import ImageScores, image_scores
from ssp_nerf.metrics.lmd import landmark_distance
from ssp_nerf.parsing_map import head_mask
from ssp_nerf.progress import progress
from ssp_nerf.render_parts import RenderParts, open_parts, require_size
from ssp_nerf.schema import DATASET
from ssp_nerf.speech import SAMPLES_PER_FRAME, read_speech_integers


@dataclass(frozen=True)
class Subject:
    """A dataset and what was found in its frames.

    Attributes:
        dataset: the open file.
        path: where it is.
        points: (N, P, 2) landmarks of all frames, pixels of the dataset's frames.
        detector: who found them.
        speech: (T,) int16 of the whole clip, or None.
    """

    dataset: h5py.File
    path: Path
    points: np.ndarray
    detector: str
    speech: np.ndarray | None

    @property
    def held_out(self) -> np.ndarray:
        """(F,) frame numbers."""
        return np.flatnonzero(self.dataset["held_out"])

    @property
    def training(self) -> np.ndarray:
        return np.flatnonzero(~self.dataset["held_out"][()])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        height, width = self.dataset["frames"].shape[1:3]
        return width, height

    @property
    def truth(self) -> Footage:
        """The held-out frames as they were filmed."""
        return Footage(
            frames=Rows(PackedFrames(self.dataset["frames"]), self.held_out),
            points=self.points[self.held_out],
            detector=self.detector,
            parsing=Rows(PackedFrames(self.dataset["parsing"]), self.held_out),
            parser="the dataset's",
            speech=self.held_out_speech,
        )

    @property
    def held_out_speech(self) -> np.ndarray | None:
        """(T,) int16 from the first held-out frame on."""
        if self.speech is None:
            return None
        return self.speech[self.held_out[0] * SAMPLES_PER_FRAME :]


@contextmanager
def open_subject(path: Path, landmarks: Path, speech: Path | None) -> Iterator[Subject]:
    """A dataset with its landmarks and, if given, its speech.wav.

    Raises:
        InputError: files that do not fit together, no held-out or no training frames.
    """
    with DATASET.open(path) as dataset:
        count, height, width = dataset["frames"].shape[:3]
        points, detector = read_faces(landmarks, count, width, height)
        sound = None if speech is None else read_speech_integers(speech)
        subject = Subject(dataset, path, points, detector, sound)
        for name, chosen in (("held-out", subject.held_out), ("training", subject.training)):
            if len(chosen) == 0:
                raise InputError(f"{path}: no {name} frames; pack it from a longer clip.")
        yield subject


@contextmanager
def open_rendering(
    subject: Subject, paths: Sequence[Path], landmarks: Path
) -> Iterator[tuple[Footage, np.ndarray]]:
    """The held-out frames of a rendering, and its `psnr_to_exact`.

    Args:
        paths: parts of the rendering; each held-out frame once, others are left out.
        landmarks: faces of the rendered frames, a row for each, in the parts' order.

    Raises:
        InputError: files that do not fit together.
    """
    with ExitStack() as files:
        parts = files.enter_context(open_parts(paths))
        require_size(parts, subject.dataset["frames"], subject.path)
        rows = _rows_of(subject.held_out, parts)
        points, detector = read_faces(landmarks, len(parts), *subject.size)
        footage = Footage(
            frames=Rows(_Pictures(parts), rows),
            points=points[rows],
            detector=detector,
            parsing=Rows(_Classes(parts), rows),
            parser="the model's own",
            speech=subject.held_out_speech,
        )
        yield footage, parts.psnr_to_exact


class _Pictures:
    def __init__(self, parts: RenderParts):
        self._parts = parts

    def __getitem__(self, row: int) -> np.ndarray:
        return self._parts.frame(row)


class _Classes(_Pictures):
    def __getitem__(self, row: int) -> np.ndarray:
        return self._parts.parsing(row)


def measure_baselines(subject: Subject) -> tuple[dict[str, Figures], Poses]:
    """What three predictions that need no model score on the held-out frames."""
    dataset, held_out, training = subject.dataset, subject.held_out, subject.training
    frames, background = dataset["frames"], dataset["background"][()]
    width, height = subject.size
    mean = mean_frame(frames, training)
    nearest = Poses(
        *nearest_poses(
            dataset["c2w"][()],
            dataset["vertices"][()],
            dataset.attrs["focal"],
            width,
            height,
            held_out,
            training,
        )
    )
    rows: dict[str, list[ImageScores]] = {name: [] for name in BASELINES}
    for i, frame in enumerate(progress(held_out, "baselines", len(held_out))):
        truth, head = frames[frame], head_mask(dataset["parsing"][frame])
        for name, picture in zip(
            BASELINES, (background, mean, frames[nearest.frames[i]]), strict=True
        ):
            rows[name].append(image_scores(picture, truth, head))
    found = {
        name: Figures(dict(zip(ImageScores._fields, np.array(values).T, strict=True)))
        for name, values in rows.items()
    }
    mouths = mouth_points(subject.points)
    usual = np.nanmean(mouths[training], axis=0)
    for name, mouth in (
        (MEAN, np.broadcast_to(usual, mouths[held_out].shape)),
        (NEAREST, mouths[nearest.frames]),
    ):
        found[name].frames["lmd"] = landmark_distance(mouth, mouths[held_out])
        found[name].frames["mouth_opening"] = mouth_opening(mouth)
    follows = partial(
        correlation_of, found[NEAREST].frames["mouth_opening"], mouth_opening(mouths[held_out])
    )
    found[NEAREST].add("mouth_opening_correlation", follows, len(held_out))
    return found, nearest


def _rows_of(held_out: np.ndarray, parts: RenderParts) -> np.ndarray:
    """(F,) row of each held-out frame in the rendering."""
    times = np.bincount(parts.index, minlength=held_out[-1] + 1)[held_out]
    for problem, frames in (("missing", held_out[times == 0]), ("repeated", held_out[times > 1])):
        if len(frames):
            raise InputError(
                f"the rendering's parts: {len(frames)} of {len(held_out)} held-out frames "
                f"{problem} (first: frame {frames[0]}), expected each exactly once. Pass every "
                "part of one rendering of the held-out frames, once."
            )
    row_of = np.empty(held_out[-1] + 1, np.int64)
    within = parts.index <= held_out[-1]
    row_of[parts.index[within]] = np.flatnonzero(within)
    return row_of[held_out]
