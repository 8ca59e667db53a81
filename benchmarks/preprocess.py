"""How fast preprocessing is, stage by stage, and what memory it takes.

    python -m benchmarks.preprocess me.mp4
    python -m benchmarks.preprocess me.mp4 --duration 10 --repeat 10

Snakemake makes dataset.h5 of the video with the settings of config.yaml, twice from nothing: one
stage after another, each with all the cores, and as it would by itself. `--repeat 10` runs the
stages once more on the video ten times over: memory should not grow. The table goes to the screen
and into preprocess.md and preprocess.csv of `--output`; results stay in `--folder`, if given.

Snakemake's own benchmark files look at time and memory every 30 seconds, too seldom for stages that
take less, so each stage is watched here: a program called `python` is put before Python, which runs
it and takes notes.
"""

import argparse
import csv
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NOTES = "PREPROCESS_BENCHMARK_NOTES"
"""Environment variable: the file that watched programs write their figures to."""
SECONDS_BETWEEN_LOOKS = 0.1
MIB = 1 << 20  # bytes
KIB_IN_MIB = 1 << 10  # Linux tells a program's peak in KiB


@dataclass(frozen=True)
class Run:
    """One program from beginning to end, with all the programs that it started."""

    stage: str
    begin: float  # seconds, of a clock that all runs share
    seconds: float
    cpu_seconds: float
    peak_mib: float  # resident memory of all its programs together, when looked at
    arguments: list[str] = field(default_factory=list)
    written: int = 0  # bytes of the files and folders among its arguments that it wrote


@dataclass(frozen=True)
class Row:
    """A stage in the table."""

    stage: str
    frames_per_second: float
    seconds: float
    cpu_seconds: float
    cpu_ms_per_frame: float
    peak_mib: float
    peak_mib_repeated: float | None


def watch(command: list[str]) -> tuple[int, Run]:
    """Run a command; its exit status, and what it took."""
    import psutil

    begin, peak = time.time(), 0
    # Not subprocess.Popen: os.wait4 tells the CPU time of this child and of all below it.
    pid = os.posix_spawn(command[0], command, os.environ)
    program = psutil.Process(pid)
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            break
        peak = max(peak, resident(program))
        time.sleep(SECONDS_BETWEEN_LOOKS)
    run = Run(
        stage=command[command.index("-m") + 1] if "-m" in command else command[-1],
        begin=begin,
        seconds=time.time() - begin,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        # A short peak can fall between two looks, but not that of the largest program alone.
        peak_mib=max(peak / MIB, usage.ru_maxrss / KIB_IN_MIB),
        arguments=command[1:],
        written=written_since(begin, command[1:]),
    )
    return os.waitstatus_to_exitcode(status), run


def resident(program: Any) -> int:
    """Bytes of memory of a psutil.Process and all below it."""
    import psutil

    total = 0
    try:
        for process in (program, *program.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:  # ended between two looks
        pass
    return total


def written_since(begin: float, arguments: list[str]) -> int:
    """Bytes of the files among some paths, and in the folders among them, changed since a time."""
    paths = {Path(argument) for argument in arguments if Path(argument).exists()}
    files = {file for path in paths for file in (path, *path.rglob("*")) if file.is_file()}
    return sum(file.stat().st_size for file in files if file.stat().st_mtime >= begin)


def copied(video: Path, target: Path, times: int = 1, duration: float | None = None) -> Path:
    """Write a video `times` over, or its first `duration` seconds, without encoding it again."""
    import ffmpeg

    from ssp_nerf.video import run_ffmpeg

    length = {} if duration is None else {"t": duration}
    source = ffmpeg.input(str(video), stream_loop=times - 1, **length)
    run_ffmpeg(source.output(str(target), c="copy"), str(video))
    return target


def preprocess(
    folder: Path,
    name: str,
    video: Path,
    options: argparse.Namespace,
    in_turn: bool,
    **subject: Any,
) -> tuple[float, int, list[Run]]:
    """Make the targets of a video with Snakemake; `subject`: what the config says of it beside.

    Returns:
        Seconds that Snakemake took, number of frames, and the runs of stages.
    """
    import h5py

    shutil.copy(ROOT / "config.yaml", folder)
    about = folder / f"{name}.json"
    about.write_text(json.dumps({"subjects": {name: {"video": str(video.resolve()), **subject}}}))
    notes = folder / f"{name}.jsonl"
    notes.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
        *("--configfile", *(str(path.resolve()) for path in options.configfile), str(about)),
        *("--cores", str(options.cores), "--quiet", "all", "--forceall"),
    ]
    if in_turn:
        command += ["--default-resources", "turn=1", "--resources", "turn=1"]
    results = folder / "results" / name
    targets = [t if t == "all" else f"results/{name}/{t}" for t in options.targets]
    begin = time.time()
    subprocess.run([*command, "--", *targets], cwd=folder, env=watching(folder, notes), check=True)
    seconds = time.time() - begin
    with h5py.File(results / "frames.h5") as file:
        frames = len(file["frames"])
    return seconds, frames, runs_of(notes)


def watching(folder: Path, notes: Path) -> dict[str, str]:
    """Environment in which `python` is watched and noted; `folder` is for the program that does."""
    watched = folder / "bin" / "python"
    watched.parent.mkdir(exist_ok=True)
    watched.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" --watch "$@"\n')
    watched.chmod(watched.stat().st_mode | stat.S_IXUSR)
    beside = Path(sys.executable).parent
    path = os.pathsep.join([str(watched.parent), str(beside), os.environ["PATH"]])
    return {**os.environ, "PATH": path, NOTES: str(notes)}


def runs_of(notes: Path) -> list[Run]:
    """What was noted, in the order of time."""
    runs = [Run(**json.loads(line)) for line in notes.read_text().splitlines()]
    return sorted(runs, key=lambda run: run.begin)


def rows(runs: list[Run], frames: int, long: list[Run]) -> list[Row]:
    """The table of a clip of so many frames, beside the memory on the long one, if there is one.

    A stage that ran more than once is one row.
    """
    table = []
    for stage in dict.fromkeys(run.stage for run in runs):
        own = [run for run in runs if run.stage == stage]
        seconds = sum(run.seconds for run in own)
        cpu = sum(run.cpu_seconds for run in own)
        table.append(
            Row(
                stage,
                frames_per_second=frames / seconds,
                seconds=seconds,
                cpu_seconds=cpu,
                cpu_ms_per_frame=1e3 * cpu / frames,
                peak_mib=max(run.peak_mib for run in own),
                peak_mib_repeated=max(
                    (run.peak_mib for run in long if run.stage == stage), default=None
                ),
            )
        )
    return table


def markdown(table: list[Row], frames: int, times: int, cores: int, seconds: float) -> str:
    """The table, and the speed of the whole."""
    head = ["stage", "frames/s", "s", "CPU s", "CPU ms a frame", "peak MiB", f"peak MiB, x{times}"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for row in table:
        figures = [
            f"{row.frames_per_second:.0f}", f"{row.seconds:.1f}", f"{row.cpu_seconds:.1f}",
            f"{row.cpu_ms_per_frame:.1f}", f"{row.peak_mib:.0f}",
            "" if row.peak_mib_repeated is None else f"{row.peak_mib_repeated:.0f}",
        ]  # fmt: skip
        lines.append([row.stage, *figures])
    if times == 1:
        lines = [line[:-1] for line in lines]
    in_turn, cpu = sum(row.seconds for row in table), sum(row.cpu_seconds for row in table)
    said = [
        f"{frames} frames, {cores} cores.",
        f"One stage after another: {in_turn:.1f} s, {frames / in_turn:.1f} frames/s; "
        f"CPU {cpu:.1f} s, {1e3 * cpu / frames:.1f} ms a frame.",
        f"As Snakemake runs them, its own time included: {seconds:.1f} s, "
        f"{frames / seconds:.1f} frames/s.",
    ]
    return "\n".join([f"| {' | '.join(line)} |" for line in lines] + [""] + said) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path, help="the video of one talking person")
    parser.add_argument("--duration", type=float, help="seconds of it to use; without it, all")
    parser.add_argument("--repeat", type=int, default=1, help="so often over, for the memory")
    parser.add_argument(
        "--targets", nargs="+", default=["dataset.h5"], help="what to make (default dataset.h5)"
    )
    parser.add_argument("--cores", type=int, default=2, help="for Snakemake (default 2)")
    parser.add_argument(
        "--configfile", type=Path, nargs="+", default=[], help="files of settings, as Snakemake's"
    )
    parser.add_argument("--folder", type=Path, help="where to work; without it, a temporary one")
    parser.add_argument(
        "--output", type=Path, default=Path("results"), help="folder of the tables (results)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        clip, suffix = options.video, options.video.suffix
        if options.duration is not None:
            clip = copied(clip, folder / f"clip{suffix}", duration=options.duration)
        _, frames, runs = preprocess(folder, "in_turn", clip, options, in_turn=True)
        seconds, _, _ = preprocess(folder, "together", clip, options, in_turn=False)
        long: list[Run] = []
        if options.repeat > 1:
            clip = copied(clip, folder / f"long{suffix}", times=options.repeat)
            _, _, long = preprocess(folder, "long", clip, options, in_turn=True)
    table = rows(runs, frames, long)
    text = markdown(table, frames, options.repeat, options.cores, seconds)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "preprocess.md").write_text(text)
    with (options.output / "preprocess.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, asdict(table[0]))
        writer.writeheader()
        writer.writerows(asdict(row) for row in table)
    print(text, end="")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--watch"]:
        status, watched_run = watch([sys.executable, *sys.argv[2:]])
        with open(os.environ[NOTES], "a") as notes_file:
            notes_file.write(json.dumps(asdict(watched_run)) + "\n")
        sys.exit(status)
    main()
