"""How time, memory and disk grow with the length of the video: what the estimate is made of.

    python -m benchmarks.scaling me.mp4 --seconds 15 60 --output results
    python -m benchmarks.scaling me.mp4 --seconds 300 --targets dataset.h5

Each length is the video as often over as it takes. Snakemake makes the targets from nothing, one
job after another, and each job is watched (see benchmarks.preprocess). Networks are as small as
--configfile says: how long the paper's take follows from their arithmetic. A line of scaling.csv
for each job is added to what the file holds.
"""

import argparse
import csv
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.preprocess import Run, copied, preprocess

RULES = {
    "preprocess.check": "check_video",
    "preprocess.check.admit": "admit_video",
    "preprocess.crop": "crop_video",
    "preprocess.speech": "extract_speech",
    "preprocess.landmarks": "detect_landmarks",
    "preprocess.landmarks --rendered": "detect_render_landmarks",
    "preprocess.parsing": "parse_frames",
    "preprocess.background": "extract_background",
    "preprocess.face_model": "fit_face_model",
    "preprocess.audio_features": "extract_audio_features",
    "preprocess.pack": "pack_dataset",
    "ssp_nerf.train": "train",
    "ssp_nerf.render": "render_frames",
    "ssp_nerf.gather": "gather_video",
    "ssp_nerf.gather --speech-name": "gather_driven_video",
    "ssp_nerf.comparison": "compare",
    "ssp_nerf.evaluate": "evaluate",
    "ssp_nerf.evaluate --cross": "evaluate_driven",
    "ssp_nerf.method_table": "tabulate",
    "ssp_nerf.deformation_figure": "deformation",
    "ssp_nerf.report": "report_page",
}
SPEECH_SHARE = 10
"""The clip is so many times as long as the speech that drives the portrait."""


def rule_of(run: Run) -> str:
    flags = [f"{run.stage} {argument}" for argument in run.arguments if argument.startswith("--")]
    special = next((RULES[flag] for flag in flags if flag in RULES), None)
    if special:
        return special
    return RULES.get(run.stage, run.stage.replace("preprocess.qc.", "qc_"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path, help="the video of one talking person")
    parser.add_argument("--seconds", type=float, nargs="+", default=[15, 60], help="lengths")
    parser.add_argument("--targets", nargs="+", default=["all"], help="what to make")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--configfile", type=Path, nargs="+", default=[])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--output", type=Path, default=Path("results"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for seconds in options.seconds:
            name = f"s{seconds:g}"
            import av

            with av.open(str(options.video)) as c:
                have = c.duration / av.time_base
            clip = copied(options.video, folder / f"{name}{options.video.suffix}",
                          int(seconds // have) + 1, seconds)
            import ffmpeg
            from ssp_nerf.video import run_ffmpeg
            speech = folder / f"{name}.wav"
            run_ffmpeg(ffmpeg.input(str(clip), t=seconds / SPEECH_SHARE).output(str(speech), ac=1), "x")
            wall, frames, runs = preprocess(
                folder, name, clip, options, True, duration=seconds, speeches={"other": str(speech)})
            with open(options.output / "raw.jsonl", "a") as f:
                for run in runs:
                    f.write(json.dumps({"config": [str(c) for c in options.configfile], "video": str(options.video),
                      "clip": frames, "rule": rule_of(run), "wall": wall, **asdict(run)}) + "\n")
            print(name, frames, wall)


if __name__ == "__main__":
    main()
