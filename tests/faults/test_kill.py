"""Every rule is killed at random moments, then run again as docs/clusters.md says."""

import signal
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil
import pytest

from tests.faults.conftest import Note
from tests.faults.pipeline import TARGETS, Job, Undisturbed, empty_project, remove, scratch_folders
from tests.faults.processes import Run, run_again, unlocked
from tests.workflow.conftest import Project

# How often each rule is killed; its jobs take turns. None of a group needs what another makes.
GROUPS = {
    "from the clip": {
        "check_video": 2, "crop_video": 4, "extract_speech": 1, "extract_driving_speech": 1
    },
    "from the frames": {
        "admit_video": 1, "build_face_model": 2, "detect_landmarks": 3,
        "extract_audio_features": 1, "extract_driving_features": 1, "qc_crop": 1
    },
    "from the landmarks": {
        "parse_frames": 3, "fit_face_model": 3, "qc_landmarks": 1, "qc_audio_features": 1
    },
    "from the classes": {
        "extract_background": 1, "qc_parsing": 1, "qc_face_model": 1, "qc_motion": 1
    },
    "from the background": {"pack_dataset": 2, "qc_background": 1},
    "from the dataset": {"train": 5},
    "from the model": {"render_frames": 4, "deformation": 1},
    "from the frames rendered": {
        "gather_video": 1, "compare": 1, "detect_render_landmarks": 1, "gather_driven_video": 1
    },
    "from all of it": {"evaluate": 2, "evaluate_driven": 1},
    "from the metrics": {"report_page": 2, "tabulate": 1, "summarize": 1},
}  # fmt: skip
# Of these also the stage's own program alone, under a Snakemake that lives.
PROGRAMS = {
    "crop_video": "preprocess.crop",
    "parse_frames": "preprocess.parsing",
    "train": "ssp_nerf.train",
    "render_frames": "ssp_nerf.render",
    "gather_video": "ssp_nerf.gather",
    "report_page": "ssp_nerf.report",
}
TIMES_ON_THE_ROAD = 6


@pytest.mark.thorough
def test_every_rule_is_killed(undisturbed: Undisturbed) -> None:
    rules = {rule for group in GROUPS.values() for rule in group}
    assert {job.rule for job in undisturbed.jobs} == rules


@pytest.mark.thorough
@pytest.mark.parametrize("group", GROUPS)
def test_rules_that_are_killed(
    undisturbed: Undisturbed, tmp_path: Path, random: Random, note: Note, group: str
) -> None:
    """... leave nothing half-written, and give the same bytes when they are run again."""
    project = undisturbed.copy(tmp_path / "copy")
    if group == "from the dataset":  # or there would be nothing to train
        remove(project.folder / "results/astronaut/checkpoints")
    outputs = set()
    for rule, times in GROUPS[group].items():
        if rule in PROGRAMS:
            outputs |= set(kill_program(undisturbed, project, random, note, rule).outputs)
        for number in range(times):
            outputs |= set(kill_all(undisturbed, project, random, note, rule, number).outputs)
    assert unlocked(project).returncode == 0
    run_again(project, *sorted(outputs))
    assert not undisturbed.differences(project.folder)
    assert not scratch_folders(project.folder)
    remove(project.folder)


def kill_all(
    undisturbed: Undisturbed, project: Project, random: Random, note: Note, rule: str, number: int
) -> Job:
    """Kill Snakemake with all that it started for a job of a rule; which job.

    The job may be faster than the undisturbed one was, and have made everything by then. That is a
    moment, too, but another is drawn before it.
    """
    job, longest, whole = undisturbed.job(rule, number), 0.0, True
    while whole:
        begun, after = time.monotonic(), random.uniform(0, longest or job.seconds)
        run = started(project, job, random)
        time.sleep(after)
        ended = run.process.poll() is not None
        run.kill()
        assert not undisturbed.half_written(project.folder)
        remove_locks(project)
        whole, longest = all((project.folder / name).exists() for name in job.outputs), after
        if not ended:
            note("kill", rule, "all", f"{after:.1f} s", *found(project, job), begun=begun)
    return job


def kill_program(
    undisturbed: Undisturbed, project: Project, random: Random, note: Note, rule: str
) -> Job:
    """Kill the program that a job of a rule runs; Snakemake must say so and end; which job."""
    job, begun = undisturbed.job(rule), time.monotonic()
    longest, ended = job.seconds, True
    while ended:
        after = random.uniform(0, longest)
        run = started(project, job, random)
        job_begun, program = time.monotonic(), None
        while run.process.poll() is None and (
            program is None or time.monotonic() - job_begun < after
        ):
            program = program or run.own_program(PROGRAMS[rule])
            time.sleep(0.01)
        if program is not None:
            with suppress(psutil.NoSuchProcess):
                program.send_signal(signal.SIGKILL)
        ended, longest = run.wait() == 0, after
        assert not undisturbed.half_written(project.folder)
        assert "Traceback" not in run.said
    assert f"Error in rule {rule}" in run.said and f"Logfile {job.log}" in run.said, run.said
    note("kill", rule, "its Python", f"{after:.1f} s", *found(project, job), begun=begun)
    return job


def started(project: Project, job: Job, random: Random) -> Run:
    """A Snakemake that has just begun with a job, whose outputs were there before, or not."""
    if random.random() < 0.5:
        for name in job.outputs:
            remove(project.folder / name)
    (project.folder / job.log).unlink(missing_ok=True)
    run = Run(project, "--force", job.outputs[0])
    run.wait_for(project.folder / job.log)
    return run


def found(project: Project, job: Job) -> tuple[str, str, str]:
    """How long a job takes, whether its outputs are there, and what lies beside them."""
    there = sum((project.folder / name).exists() for name in job.outputs)
    left = len(scratch_folders(project.folder))
    return f"{job.seconds:.1f} s", f"{there} of {len(job.outputs)}", str(left)


def remove_locks(project: Project) -> None:
    """What `snakemake --unlock` does, without the seconds that Snakemake takes to start."""
    for path in project.folder.glob(".snakemake/locks/*"):
        path.unlink()


@pytest.mark.thorough
def test_a_pipeline_that_is_killed_again_and_again(
    undisturbed: Undisturbed, tmp_path: Path, tiny_config: Path, random: Random, note: Note
) -> None:
    """... from nothing to everything."""
    project = empty_project(tmp_path / "checkout", tiny_config)
    counts = []
    for _ in range(TIMES_ON_THE_ROAD):
        run = Run(project, *TARGETS)
        run.wait_until_finished(random.randint(1, len(undisturbed.jobs) // TIMES_ON_THE_ROAD))
        time.sleep(random.uniform(0, 2))
        assert run.process.poll() is None
        run.kill()
        assert not undisturbed.half_written(project.folder)
        assert unlocked(project).returncode == 0
        counts.append(len([name for name in undisturbed.files if (project.folder / name).exists()]))
    run_again(project, *TARGETS)
    assert not undisturbed.differences(project.folder)
    assert not scratch_folders(project.folder)
    counted = ", ".join(map(str, [*counts, len(undisturbed.files)]))
    what = f"killed {TIMES_ON_THE_ROAD} times"
    note("road", what, f"whole files after each, and in the end: {counted}")
    remove(project.folder)
