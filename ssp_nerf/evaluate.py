"""Measure a talking portrait: any video against its truth, or a subject's held-out frames.

Any method's video, whatever its size and frame rate:

    python -m ssp_nerf.evaluate --truth a.mp4 --render b.mp4

The same against the held-out frames of a dataset: --dataset and --landmarks in place of --truth.
Of this project's own renderings, before any video encoder and beside three baselines that need no
model: --render part0.h5 part1.h5 ... --render-landmarks FILE.

Driven by another person's speech: --cross, with --truth the video of who speaks, if there is one;
then mouths (LMD) and lips with sound are measured, and what needs no truth.
"""

import argparse
import dataclasses
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ssp_nerf import cli
from ssp_nerf.baselines import BASELINES
from ssp_nerf.bootstrap import Bootstrap
from ssp_nerf.config import EvaluationConfig, add_flags, from_flags
from ssp_nerf.device import DEVICES, pick_device
from ssp_nerf.errors import InputError
from ssp_nerf.evaluation_plot import write_plot
from ssp_nerf.evaluation_report import (
    OURS,
    TRUTH,
    Evaluation,
    summary,
    table,
    write_csv,
)
from ssp_nerf.files import scratch_folder, write_json
from ssp_nerf.footage import Footage, Rows
from ssp_nerf.measuring import Figures, Meter, compare_identities
from ssp_nerf.subject_footage import measure_baselines, open_rendering, open_subject
from ssp_nerf.video_footage import (
    Stages,
    common_length,
    frame_shape,
    open_footage,
    require_shape,
)

PARTS = ".h5"  # suffix of this project's own renderings


def evaluate_subject(
    dataset: Path,
    render: Sequence[Path],
    landmarks: Path,
    render_landmarks: Path,
    meter: Meter,
    speech: Path | None = None,
) -> Evaluation:
    """Score the held-out frames of a rendering and of the baselines.

    Args:
        dataset: truth, split, poses and background.
        render: parts of the rendering; each held-out frame once, others are not scored.
        landmarks: faces of the whole clip, at any size of the same aspect.
        render_landmarks: faces of the rendered frames, a row for each, in the parts' order.
        meter: what is measured.
        speech: the clip's speech.wav; without it nothing is heard.

    Raises:
        InputError: files that do not fit together.
    """
    with (
        open_subject(dataset, landmarks, speech) as subject,
        open_rendering(subject, render, render_landmarks) as (video, psnr_to_exact),
    ):
        baselines, poses = measure_baselines(subject)
        figures = {**_compare(meter, OURS, video, subject.truth), **baselines}
        return _evaluation(
            *(OURS, "full", subject.held_out, video, subject.truth, figures, meter),
            poses=poses,
            psnr_to_exact=psnr_to_exact,
        )


def evaluate_on_subject(
    method: str,
    dataset: Path,
    landmarks: Path,
    speech: Path | None,
    video: Path,
    meter: Meter,
    stages: Stages,
    folder: Path,
) -> Evaluation:
    """Score another method's video of a subject: of its held-out frames, or of the whole clip.

    Args:
        folder: where frames and landmarks of the video go.

    Raises:
        InputError: files that do not fit together, or a stage failed.
    """
    stages.frames(video, folder)
    notes = stages.look(video, folder)
    with open_subject(dataset, landmarks, speech) as subject, ExitStack() as files:
        (found, _), held_out = frame_shape(folder), subject.held_out
        if found == len(subject.points):
            notes.append("the video shows the whole clip: its held-out frames are compared")
            rows: Sequence[int] = [int(frame) for frame in held_out]
            used = len(held_out)
        else:
            used = common_length(found, len(held_out), notes)
            rows = range(used)
        rendering = files.enter_context(open_footage(folder, rows, subject.size))
        truth = _first(subject.truth, used)
        rendering = _with_speech(rendering, truth)
        figures = _compare(meter, method, rendering, truth)
        return _evaluation(
            *(method, "full", held_out[:used], rendering, truth, figures, meter), notes=notes
        )


def evaluate_videos(
    method: str,
    truth: Path | None,
    video: Path,
    cross: bool,
    meter: Meter,
    stages: Stages,
    folder: Path,
) -> Evaluation:
    """Score a video against another.

    Args:
        method: name of who made it.
        truth: what it should look like; with `cross`, another person who says the same; or None.
        cross: driven by another's speech.
        folder: where frames and landmarks of both go.

    Raises:
        InputError: videos that do not fit together, or a stage failed.
    """
    notes: list[str] = []
    stages.frames(video, folder / "render")
    if truth is not None:
        try:
            stages.frames(truth, folder / "truth")
        except InputError as error:
            if not cross:
                raise
            notes.append(f"no video of who speaks: {error}")
            truth = None
    rows: Sequence[int] = ()
    if truth is not None:  # what does not fit is said before anything long is done
        shapes = [frame_shape(folder / name) for name in ("render", "truth")]
        rows = range(common_length(shapes[0][0], shapes[1][0], notes))
        if not cross:
            require_shape(shapes[0][1], shapes[1][1])
        notes += stages.look(truth, folder / "truth")
    notes += stages.look(video, folder / "render")
    if truth is None:
        with open_footage(folder / "render") as rendering:
            figures = {method: meter.measure(rendering, None)}
            frames = np.arange(len(rendering))
            return _evaluation(
                *(method, "cross", frames, rendering, None, figures, meter), notes=notes
            )
    with ExitStack() as files:
        reference = files.enter_context(open_footage(folder / "truth", rows))
        size = None if cross else reference.size
        rendering = files.enter_context(open_footage(folder / "render", rows, size))
        rendering = _with_speech(rendering, reference)
        if cross:
            figures = {
                method: meter.measure(rendering, reference, same_person=False),
                TRUTH: meter.measure_truth(reference),
            }
        else:
            figures = _compare(meter, method, rendering, reference)
        setting = "cross" if cross else "full"
        return _evaluation(
            *(method, setting, np.array(rows), rendering, reference, figures, meter), notes=notes
        )


def _compare(meter: Meter, method: str, video: Footage, truth: Footage) -> dict[str, Figures]:
    figures = {
        method: meter.measure(video, truth, task=f"measure {method}"),
        TRUTH: meter.measure_truth(truth),
    }
    compare_identities(figures[method], figures[TRUTH])
    return figures


def _first(footage: Footage, count: int) -> Footage:
    """The first frames of a clip."""
    frames = Rows(footage.frames, range(count))
    return dataclasses.replace(footage, frames=frames, points=footage.points[:count])


def _with_speech(video: Footage, truth: Footage) -> Footage:
    """A video without sound is heard with the truth's."""
    if video.speech is not None or truth.speech is None:
        return video
    return dataclasses.replace(video, speech=truth.speech)


def _evaluation(
    method: str,
    setting: str,
    frames: np.ndarray,
    video: Footage,
    truth: Footage | None,
    figures: dict[str, Figures],
    meter: Meter,
    notes: Sequence[str] = (),
    **more,
) -> Evaluation:
    width, height = video.size
    settings = meter.settings
    other = video if truth is None else truth
    return Evaluation(
        method=method,
        setting=setting,
        frames=frames,
        width=width,
        height=height,
        detectors=(other.detector, video.detector),
        parsers=(other.parser, video.parser),
        figures=figures,
        bootstrap=Bootstrap(settings.resamples, settings.block, seed=settings.bootstrap_seed),
        crop_size=settings.crop_size,
        not_measured=meter.not_measured,
        weights=meter.weights,
        notes=tuple(notes),
        **more,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.evaluate", __doc__, verbatim=True)
    parser.add_argument(
        "--render", type=Path, nargs="+", required=True, help="a video, or parts of a rendering"
    )
    parser.add_argument("--truth", type=Path, help="video of what it should look like")
    parser.add_argument("--cross", action="store_true", help="the truth shows another person")
    parser.add_argument("--dataset", type=Path, help="dataset.h5, holds the truth")
    parser.add_argument("--landmarks", type=Path, help="landmarks.h5 of the dataset's whole clip")
    parser.add_argument(
        "--render-landmarks",
        type=Path,
        help="landmarks of the rendered frames, a row for each, in the order of --render",
    )
    parser.add_argument("--speech", type=Path, help="speech.wav of the dataset's whole clip")
    parser.add_argument("--method", default="render", help="who made the video")
    parser.add_argument("--keep", type=Path, help="folder for what the stages find in videos")
    parser.add_argument("--detector", default="mediapipe", help="of landmarks, in videos")
    parser.add_argument("--parser", default="mesh", help="of classes in videos, or none")
    parser.add_argument("--stage-weights", type=Path, default=Path("weights"), help="of these two")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where networks compute")
    parser.add_argument("--metrics-json", type=Path, help="totals, written")
    parser.add_argument("--metrics-csv", type=Path, help="per frame, written")
    parser.add_argument("--plot", type=Path, help="PNG of the figures over time, written")
    add_flags(parser, EvaluationConfig)

    def command(options: argparse.Namespace) -> None:
        beside = options.metrics_json
        with scratch_folder(beside) if beside else tempfile.TemporaryDirectory() as scratch:
            result = _evaluate(options, options.keep or Path(scratch))
        totals = summary(result)
        if options.metrics_json:
            write_json(options.metrics_json, totals)
        if options.metrics_csv:
            write_csv(options.metrics_csv, result)
        if options.plot:
            write_plot(options.plot, result)
        print(table(totals))

    cli.run(parser, command, arguments)


def _evaluate(options: argparse.Namespace, folder: Path) -> Evaluation:
    """The evaluation that the flags ask for."""
    if options.method in (TRUTH, *BASELINES):
        raise InputError(f"--method is {options.method!r}, which is the name of something else.")
    if options.dataset and (options.landmarks is None or options.truth or options.cross):
        raise InputError("--dataset needs --landmarks, and neither --truth nor --cross.")
    own = options.render[0].suffix == PARTS
    if not own and len(options.render) > 1:
        raise InputError(f"--render: got {len(options.render)} videos, expected one.")
    if own and (options.dataset is None or options.render_landmarks is None):
        raise InputError("--render of .h5 parts needs --dataset, --landmarks, --render-landmarks.")
    if not own and not (options.dataset or options.truth or options.cross):
        raise InputError("--render of a video needs --truth, --dataset or --cross.")
    meter = Meter(from_flags(options, EvaluationConfig), pick_device(options.device))
    dataset, landmarks, speech = options.dataset, options.landmarks, options.speech
    if own:
        return evaluate_subject(
            dataset, options.render, landmarks, options.render_landmarks, meter, speech
        )
    stages = Stages(options.detector, options.parser, options.stage_weights, options.device)
    video = options.render[0]
    if dataset:
        return evaluate_on_subject(
            options.method, dataset, landmarks, speech, video, meter, stages, folder
        )
    return evaluate_videos(
        options.method, options.truth, video, options.cross, meter, stages, folder
    )


if __name__ == "__main__":
    main()
