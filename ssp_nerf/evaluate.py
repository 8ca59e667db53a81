"""Held-out frames of a rendering against the truth, beside three baselines that need no model.

Per frame as CSV, in total as JSON with the protocol spelled out, over time as a plot. Pictures are
compared as they were rendered, before any video encoder.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssp_nerf import cli
from ssp_nerf.baselines import mean_frame, nearest_poses
from ssp_nerf.errors import InputError
from ssp_nerf.evaluation_report import (
    BASELINES,
    MEAN,
    NEAREST,
    OURS,
    Evaluation,
    summary,
    table,
    write_csv,
    write_plot,
)
from ssp_nerf.files import write_json
from ssp_nerf.metrics import ImageScores, image_scores, landmark_distance
from ssp_nerf.mouth import mouth_opening, read_mouths
from ssp_nerf.parsing_map import head_mask
from ssp_nerf.progress import progress
from ssp_nerf.render_parts import RenderParts, open_parts, require_size
from ssp_nerf.schema import DATASET


def evaluate(
    dataset_path: Path,
    render_paths: Sequence[Path],
    landmarks_path: Path,
    render_landmarks_path: Path,
) -> Evaluation:
    """Score the held-out frames of a rendering and of the baselines.

    Args:
        dataset_path: truth, split, poses and background.
        render_paths: parts of the rendering; each held-out frame once, others are not scored.
        landmarks_path: faces of the whole clip, at any size of the same aspect.
        render_landmarks_path: faces of the rendered frames, a row for each, in the parts' order.

    Raises:
        InputError: files that do not fit together.
    """
    with DATASET.open(dataset_path) as dataset, open_parts(render_paths) as parts:
        frames = dataset["frames"]
        count, height, width = frames.shape[:3]
        require_size(parts, frames, dataset_path)
        held_out = np.flatnonzero(dataset["held_out"])
        training = np.flatnonzero(~dataset["held_out"][()])
        for name, chosen in (("held-out", held_out), ("training", training)):
            if len(chosen) == 0:
                raise InputError(f"{dataset_path}: no {name} frames; pack it from a longer clip.")
        rendered_row = _rows_of(held_out, parts)

        truth_mouths, truth_detector = read_mouths(landmarks_path, count, width, height)
        our_mouths, our_detector = read_mouths(render_landmarks_path, len(parts), width, height)

        background = dataset["background"][()]
        mean = mean_frame(frames, training)
        nearest, nearest_distance = nearest_poses(
            dataset["c2w"][()],
            dataset["vertices"][()],
            dataset.attrs["focal"],
            width,
            height,
            held_out,
            training,
        )

        rows: dict[str, list[ImageScores]] = {method: [] for method in (OURS, *BASELINES)}
        for i, frame in enumerate(progress(held_out, "evaluate", len(held_out))):
            truth = frames[frame]
            head = head_mask(dataset["parsing"][frame])
            pictures = (parts.frame(rendered_row[i]), background, mean, frames[nearest[i]])
            for method, picture in zip(rows, pictures, strict=True):
                rows[method].append(image_scores(picture, truth, head))

    scores = {
        method: dict(zip(ImageScores._fields, np.array(values).T, strict=True))
        for method, values in rows.items()
    }
    truth_mouth = truth_mouths[held_out]
    mean_mouth = np.broadcast_to(np.nanmean(truth_mouths[training], axis=0), truth_mouth.shape)
    for method, mouth in (
        (OURS, our_mouths[rendered_row]),
        (MEAN, mean_mouth),
        (NEAREST, truth_mouths[nearest]),
    ):
        scores[method]["lmd"] = landmark_distance(mouth, truth_mouth)
        scores[method]["mouth_opening"] = mouth_opening(mouth)
    return Evaluation(
        frames=held_out,
        width=width,
        height=height,
        detectors=(truth_detector, our_detector),
        scores=scores,
        truth_opening=mouth_opening(truth_mouth),
        nearest=nearest,
        nearest_distance=nearest_distance,
        psnr_to_exact=parts.psnr_to_exact,
    )


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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("ssp_nerf.evaluate", __doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.h5, holds the truth")
    parser.add_argument(
        "--render",
        type=Path,
        nargs="+",
        required=True,
        help="parts of the rendering; together each held-out frame exactly once",
    )
    parser.add_argument(
        "--landmarks", type=Path, required=True, help="landmarks.h5 of the whole clip (truth)"
    )
    parser.add_argument(
        "--render-landmarks",
        type=Path,
        required=True,
        help="landmarks of the rendered frames, a row for each, in the order of --render",
    )
    parser.add_argument("--metrics-json", type=Path, required=True, help="totals, written")
    parser.add_argument("--metrics-csv", type=Path, required=True, help="per frame, written")
    parser.add_argument("--plot", type=Path, help="PNG of the figures over time, written")

    def command(options: argparse.Namespace) -> None:
        result = evaluate(
            options.dataset, options.render, options.landmarks, options.render_landmarks
        )
        totals = summary(result)
        write_json(options.metrics_json, totals)
        write_csv(options.metrics_csv, result)
        if options.plot:
            write_plot(options.plot, result)
        print(table(totals))

    cli.run(parser, command, arguments)


if __name__ == "__main__":
    main()
