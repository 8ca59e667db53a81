"""How time, memory and disk grow with the length of the video: what the estimate is made of.

    python -m benchmarks.scaling me.mp4 --seconds 15 60 --configfile light.yaml
    python -m benchmarks.scaling me.mp4 --seconds 300 --targets dataset.h5
    python -m benchmarks.scaling

Each length is the video as often over as it takes; without a video, a synthetic person's is drawn.
Snakemake makes the targets from nothing, one job after another, and each job is watched (see
benchmarks.preprocess). Most time goes into networks: what the paper's take follows from their
arithmetic, so --configfile may ask for small ones. Each job is added to the table --output, of
which `python -m benchmarks.scaling_fit` makes the costs that the estimate knows.
"""

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.preprocess import ROOT, Run, copied, preprocess, runs_of, watching
from ssp_nerf.estimate.__main__ import read_config
from ssp_nerf.estimate.clips import Clip, Subject, clip_of
from ssp_nerf.estimate.work import Job, Settings
from ssp_nerf.schema import FPS

SPEECH_SHARE = 0.1  # length of the speech that drives the portrait, of the clip's
DRIVEN = "/driven/"  # in the paths of a job that a speech has
DEMO = "results/demo_subjects/anna/video.mp4"


@dataclass(frozen=True)
class Growth:
    """What a rule's costs grow with, see `Settings.work`: its time with `pixels`, what it writes
    with `stored`."""

    frames: str = "none"
    pixels: str = "none"
    stored: str = "none"


RULES: Mapping[str, tuple[str, Growth]] = {
    "preprocess.check": ("check_video", Growth("clip", "source")),
    "preprocess.check.admit": ("admit_video", Growth()),
    "preprocess.crop": ("crop_video", Growth("clip", "source", "crop")),
    "preprocess.speech": ("extract_speech", Growth("clip")),
    "preprocess.speech driven": ("extract_driving_speech", Growth("speech")),
    "preprocess.landmarks": ("detect_landmarks", Growth("clip")),
    "preprocess.landmarks --rendered": ("detect_render_landmarks", Growth("heldout", "pack")),
    "preprocess.parsing": ("parse_frames", Growth("clip", stored="crop")),
    "preprocess.background": ("extract_background", Growth("clip")),
    "preprocess.face_models.build": ("build_face_model", Growth()),
    "preprocess.face_model": ("fit_face_model", Growth("clip")),
    "preprocess.audio_features": ("extract_audio_features", Growth("clip")),
    "preprocess.audio_features driven": ("extract_driving_features", Growth("speech")),
    "preprocess.pack": ("pack_dataset", Growth("clip", "pack", "pack")),
    "ssp_nerf.train": ("train", Growth("clip", "pack")),
    "ssp_nerf.render": ("render_frames", Growth("take", "pack", "pack")),
    "ssp_nerf.gather": ("gather_video", Growth("heldout", "pack", "pack")),
    "ssp_nerf.gather driven": ("gather_driven_video", Growth("speech", "pack", "pack")),
    "ssp_nerf.comparison": ("compare", Growth("heldout", "pack", "pack")),
    "ssp_nerf.evaluate": ("evaluate", Growth("heldout", "pack")),
    "ssp_nerf.evaluate --cross": ("evaluate_driven", Growth("speech", "pack")),
    "ssp_nerf.method_table": ("tabulate", Growth()),
    "ssp_nerf.deformation_figure": ("deformation", Growth()),
    "ssp_nerf.report": ("report_page", Growth("heldout", "pack", "pack")),
    "preprocess.qc.crop": ("qc_crop", Growth("clip")),
    "preprocess.qc.landmarks": ("qc_landmarks", Growth("clip")),
    "preprocess.qc.parsing": ("qc_parsing", Growth("clip")),
    "preprocess.qc.background": ("qc_background", Growth("clip")),
    "preprocess.qc.face_model": ("qc_face_model", Growth("clip")),
    "preprocess.qc.audio_features": ("qc_audio_features", Growth("clip")),
    "preprocess.qc.motion": ("qc_motion", Growth("clip")),
    "preprocess.demo_subject": ("make_demo_subject", Growth("clip")),
}
"""Module of a rule's command, with the flag or the word that tells apart what has the same."""


@dataclass(frozen=True)
class Row:
    """A job: what it had to do, and what it took.

    Attributes:
        case: which run it belongs to.
        frames, megapixels, stored_megapixels, steps, gflop: its work.
        training_mib: what a training computes of its memory itself: activations and held frames.
        cores: that Snakemake had.
    """

    case: str
    rule: str
    frames: float
    megapixels: float
    stored_megapixels: float
    steps: float
    gflop: float
    training_mib: float
    cores: int
    seconds: float
    cpu_seconds: float
    peak_mib: float
    bytes: float


def row_of(run: Run, case: str, settings: Settings, subject: Subject, cores: int) -> Row:
    """A watched command as a row."""
    speech = next(iter(subject.speeches), "")
    driven = any(DRIVEN in argument for argument in run.arguments)
    told = [f"{run.stage} {word}" for word in (*run.arguments, *(["driven"] if driven else []))]
    rule, growth = RULES[next((name for name in told if name in RULES), run.stage)]
    job = Job(rule, {"take": f"driven/{speech}", "speech": speech} if driven else {})
    work = settings.work(job, subject, growth.frames, growth.pixels)
    stored = settings.work(job, subject, growth.frames, growth.stored)
    training = settings.step_mib() + settings.held_mib(subject.clip) if rule == "train" else 0.0
    return Row(
        case, rule, work.frames, work.megapixels, stored.megapixels, work.steps, work.gflop,
        training, cores, run.seconds, run.cpu_seconds, run.peak_mib, run.written,
    )  # fmt: skip


def add_rows(path: Path, rows: list[Row]) -> None:
    """Append to a table, which begins with the columns' names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(
            {name: value if isinstance(value, str) else f"{value:.6g}" for name, value in row}
            for row in (asdict(row).items() for row in rows)
        )


def measured(video: Path, seconds: float, folder: Path, options: argparse.Namespace) -> list[Row]:
    """Run the workflow on so many seconds of a video."""
    config = read_config(options.configfile)
    whole = clip_of(str(video), config)
    assert whole is not None, video
    name = f"{video.stem}{seconds:g}"
    times = int(seconds // whole.seconds) + 1
    clip = copied(video, folder / f"{name}{video.suffix}", times, seconds)
    speech = spoken(clip, folder / f"{name}.wav", seconds * SPEECH_SHARE)
    told: dict[str, Any] = {"duration": seconds, "speeches": {"other": str(speech)}}
    took, frames, runs = preprocess(folder, name, clip, options, in_turn=True, **told)
    subject = Subject(
        Clip(frames / FPS, whole.megapixels), {"other": Clip(seconds * SPEECH_SHARE, 0)}
    )
    case = "-".join([name, *(path.stem for path in options.configfile)])
    jobs = sum(run.seconds for run in runs)
    print(f"{case}: {frames} frames, {took:.0f} s, {jobs:.0f} of them in {len(runs)} jobs")
    settings = Settings.of(config)
    return [row_of(run, case, settings, subject, options.cores) for run in runs]


def spoken(clip: Path, wav: Path, seconds: float) -> Path:
    """Write the beginning of a clip's sound."""
    import ffmpeg

    from ssp_nerf.video import run_ffmpeg

    run_ffmpeg(ffmpeg.input(str(clip), t=seconds).output(str(wav), ac=1), str(clip))
    return wav


def synthetic_video(folder: Path, output: Path) -> Path:
    """Draw a synthetic person's clip, which is measured, too."""
    shutil.copy(ROOT / "config.yaml", folder)
    notes = folder / "synthetic.jsonl"
    notes.unlink(missing_ok=True)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    subprocess.run(
        [*command, "--cores", "2", "--force", "--", DEMO],
        cwd=folder, env=watching(folder, notes), check=True,
    )  # fmt: skip
    config = read_config([])
    clip = clip_of(str(folder / DEMO), config)
    assert clip is not None
    subject, settings = Subject(clip), Settings.of(config)
    rows = [row_of(run, "anna", settings, subject, cores=2) for run in runs_of(notes)]
    add_rows(output, rows)
    return folder / DEMO


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path, nargs="?", help="of one talking person")
    parser.add_argument(
        "--seconds", type=float, nargs="+", default=[15, 60], help="lengths (default 15 60)"
    )
    parser.add_argument("--targets", nargs="+", default=["all"], help="what to make (default all)")
    parser.add_argument("--cores", type=int, default=2, help="for Snakemake (default 2)")
    parser.add_argument(
        "--configfile", type=Path, nargs="+", default=[], help="files of settings, as Snakemake's"
    )
    parser.add_argument("--folder", type=Path, help="where to work; without it, a temporary one")
    parser.add_argument(
        "--output", type=Path, default=Path("results/scaling.csv"), help="(results/scaling.csv)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        video = options.video or synthetic_video(folder, options.output)
        for seconds in options.seconds:
            add_rows(options.output, measured(video, seconds, folder, options))


if __name__ == "__main__":
    main()
