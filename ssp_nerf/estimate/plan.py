"""What all jobs of a run need together, and whether this machine has it."""

import math
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssp_nerf.estimate.clips import Clip, Subject, subjects_of
from ssp_nerf.estimate.costs import cost_of, costs
from ssp_nerf.estimate.work import MIB, Job, Settings

ON_GPU = ("train", "render_frames", "deformation")  # of those with costs of their own there
LONGEST_WAY = (
    *("make_demo_subject", "check_video", "crop_video", "detect_landmarks", "parse_frames"),
    *("extract_background", "pack_dataset", "train", "render_frames", "detect_render_landmarks"),
    *("evaluate", "report_page"),
)
"""Of a subject, each waits for the one before; what else there is runs beside them."""
NOBODY = Subject(Clip(0.0, 0.0))  # whose the jobs are that all subjects share
OF_THE_CLIP = "facemesh"  # the face model that is not built beforehand
JOB_SECONDS = 0.2  # of Snakemake itself for a job, as measured in runs of one job after another
HELD_SHARE = 0.9
"""Of free memory into which training takes a clip's frames (ssp_nerf.train, MEMORY_SHARE)."""


@dataclass(frozen=True)
class Machine:
    """What there is.

    Attributes:
        cores, gpus: that jobs may use at once; of a cluster, how many jobs there may be at once.
        memory_mib: infinite where it is not known, as of a cluster.
        free_bytes: of the disk that results are on.
        cluster: jobs run on other machines.
    """

    cores: int
    gpus: int
    memory_mib: float
    free_bytes: float
    cluster: bool = False


@dataclass(frozen=True)
class JobCost:
    """What a job needs."""

    job: Job
    subject: str
    seconds: float
    cpu_seconds: float
    mib: float
    bytes: float
    gpu: bool


@dataclass(frozen=True)
class Plan:
    """What a run needs.

    Attributes:
        jobs: those that are counted.
        subjects: whose jobs they are.
        unknown: rules that were never measured, and how many jobs they have.
    """

    jobs: list[JobCost]
    subjects: Mapping[str, Subject]
    machine: Machine
    unknown: Mapping[str, int]

    @property
    def bytes(self) -> float:
        """Of all outputs, and of checkpoints."""
        return sum(cost.bytes for cost in self.jobs)

    @property
    def largest(self) -> JobCost | None:
        """The job that needs most memory."""
        return max(self.jobs, key=lambda cost: cost.mib, default=None)

    @property
    def seconds(self) -> float:
        """At best: as long as cores or GPUs are busy, or the longest way of any subject is."""
        machine, jobs = self.machine, self.jobs
        cores = sum(cost.cpu_seconds for cost in jobs) / machine.cores
        gpus = sum(cost.seconds for cost in jobs if cost.gpu) / max(1, machine.gpus)
        ways = (self._way(subject) for subject in self.subjects)
        return max(cores, gpus, *ways, 0.0) + JOB_SECONDS * len(jobs)

    def seconds_of(self, rule: str) -> float:
        """Of all jobs of a rule, one after another."""
        return sum(cost.seconds for cost in self.jobs if cost.job.costs_of == rule)

    def _way(self, subject: str) -> float:
        own = [cost for cost in self.jobs if cost.subject == subject and not _driven(cost.job)]
        at_once = Counter(cost.job.rule for cost in own)
        places = {True: max(1, self.machine.gpus), False: self.machine.cores}
        return sum(
            cost.seconds / min(at_once[cost.job.rule], places[cost.gpu])
            for cost in own
            if cost.job.rule in LONGEST_WAY
        )


def plan(
    config: Mapping[str, Any],
    subjects: Mapping[str, Subject],
    jobs: Iterable[Job],
    machine: Machine,
) -> Plan:
    """What jobs need; those of subjects that are not in `subjects` are left out, those of all are
    not."""
    settings = Settings.of(config)
    known = {rule for rule, _, _ in costs()}
    planned, unknown = [], Counter[str]()
    for job in jobs:
        name = _subject_of(job, config)
        if job.costs_of not in known:
            unknown[job.rule] += 1
        elif not name or name in subjects:
            subject = subjects.get(name, NOBODY)
            planned.append(_cost(job, name, subject, settings, machine))
    at_work = {cost.subject for cost in planned}
    theirs = {name: subject for name, subject in subjects.items() if name in at_work}
    return Plan(planned, theirs, machine, unknown)


def jobs_of(config: Mapping[str, Any]) -> list[Job]:
    """Jobs of the default target, with nothing made yet."""
    parts = config["rendering"]["parts"]
    jobs = []
    for person, folder in ((p, f"results/demo_subjects/{p}") for p in config["demo_subjects"]):
        files = [path for about in config["subjects"].values() for path in _files(about)]
        if any(Path(folder) in Path(path).parents for path in files):
            jobs.append(Job("make_demo_subject", {"person": person}))
    if config["subjects"] and (model := config["face_model"]["model"]) != OF_THE_CLIP:
        jobs.append(Job("build_face_model", {"face_model": model}))
    for subject, about in config["subjects"].items():
        own = {"subject": subject}
        jobs += [Job(rule, own) for rule in OF_A_SUBJECT]
        jobs += [Job("render_frames", {**own, "take": "heldout"})] * parts
        for speech in about.get("speeches", {}):
            jobs += [Job(rule, {**own, "speech": speech}) for rule in OF_A_SPEECH]
            jobs += [Job("render_frames", {**own, "take": f"driven/{speech}"})] * parts
    return jobs


OF_A_SUBJECT = (
    *("check_video", "admit_video", "crop_video", "extract_speech", "detect_landmarks"),
    *("parse_frames", "extract_background", "fit_face_model", "extract_audio_features"),
    *("pack_dataset", "train", "gather_video", "compare", "detect_render_landmarks", "evaluate"),
    *("tabulate", "deformation", "report_page", "qc_crop", "qc_landmarks", "qc_parsing"),
    *("qc_background", "qc_face_model", "qc_audio_features", "qc_motion"),
)
OF_A_SPEECH = (
    *("extract_driving_speech", "extract_driving_features", "gather_driven_video"),
    "evaluate_driven",
)


def this_machine(config: Mapping[str, Any], cores: int, folder: Path) -> Machine:
    """This machine, of which `cores` may be used, and the disk of a folder that may not be yet."""
    gpu = config["device"] != "cpu" and any(Path("/dev").glob("nvidia[0-9]*"))
    return Machine(
        cores=cores,
        gpus=config["gpus"] if gpu or config["device"] == "cuda" else 0,
        memory_mib=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / MIB,
        free_bytes=free_bytes(folder),
    )


def cluster(config: Mapping[str, Any], jobs: int, folder: Path) -> Machine:
    """Other machines that run so many jobs at once, each with the GPUs that it asks for."""
    gpus = 0 if config["device"] == "cpu" else jobs
    return Machine(jobs, gpus, math.inf, free_bytes(folder), cluster=True)


def free_bytes(folder: Path) -> int:
    """Of the disk that a folder is on, or will be."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def estimated(
    config: Mapping[str, Any], jobs: Iterable[Job], machine: Machine
) -> tuple[Plan, list[str]]:
    """What jobs need, and what of it cannot be told, in words."""
    subjects, unread = subjects_of(config)
    made = plan(config, subjects, jobs, machine)
    left_out = [
        f"how long {path} is cannot be told: what is made of it is left out" for path in unread
    ]
    if made.unknown:
        listed = ", ".join(f"{rule} ({count})" for rule, count in made.unknown.items())
        left_out.append(f"jobs that were never measured are left out: {listed}")
    return made, left_out


def _cost(job: Job, name: str, subject: Subject, settings: Settings, machine: Machine) -> JobCost:
    gpu = machine.gpus > 0 and job.costs_of in ON_GPU
    values = {}
    for quantity in ("cpu_seconds", "cores", "mib", "bytes"):
        cost = cost_of(job.costs_of, "gpu" if gpu else "cpu", quantity)
        if cost is not None:
            values[quantity] = cost.of(settings.work(job, subject, cost.frames, cost.pixels))
    mib = values.get("mib", 0.0)
    if job.costs_of == "train" and not gpu:
        mib += settings.step_mib()
        held = settings.held_mib(subject.clip)
        mib += held if mib + held < HELD_SHARE * machine.memory_mib else 0
    cores = max(1.0, min(values.get("cores", 1.0), machine.cores))
    cpu_seconds = values.get("cpu_seconds", 0.0)
    return JobCost(job, name, cpu_seconds / cores, cpu_seconds, mib, values.get("bytes", 0.0), gpu)


def _subject_of(job: Job, config: Mapping[str, Any]) -> str:
    """Whose job it is; of a synthetic person, the first subject that shows it."""
    if "person" not in job.wildcards:
        return job.wildcards.get("subject", "")
    folder = Path("results/demo_subjects") / job.wildcards["person"]
    shown = (
        subject
        for subject, about in config["subjects"].items()
        if any(folder in Path(path).parents for path in _files(about))
    )
    return next(shown, "")


def _files(about: Mapping[str, Any]) -> list[str]:
    return [about["video"], *about.get("speeches", {}).values()]


def _driven(job: Job) -> bool:
    return "speech" in job.wildcards or job.wildcards.get("take", "heldout") != "heldout"
