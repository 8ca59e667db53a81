"""The whole pipeline once, undisturbed; copies of it in which something goes wrong."""

import base64
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from ssp_nerf.files import SCRATCH_PREFIX, sha256
from tests import clips
from tests.workflow.conftest import Project, checkout

FRAMES = 44
SPOKEN_SECONDS = 1.0
TARGETS = ("all", "summary")  # every rule but those of the ablations and of the synthetic people
TIMES = ("logs", "benchmarks")
"""Folders of files that tell how long something took, which is never twice the same."""
NO_RESULTS = {".snakemake_timestamp", ".lock"}
"""Snakemake's mark of when it made a folder, and training's of which process was the last."""


@dataclass(frozen=True)
class Job:
    """One job of the undisturbed run.

    Attributes:
        rule: its rule.
        outputs, log: relative to the checkout.
        seconds: from its start to its end.
    """

    rule: str
    outputs: tuple[str, ...]
    log: str
    seconds: float


class Undisturbed:
    """A checkout in which everything was made once."""

    def __init__(self, folder: Path, config: Path):
        self.project = empty_project(folder, config)
        done = self.project.snakemake(*TARGETS)
        assert done.returncode == 0, done.stdout
        self.said = done.stdout

    @cached_property
    def jobs(self) -> list[Job]:
        """All jobs, as Snakemake remembers them."""
        found: dict[tuple[str, str], dict[str, dict]] = {}
        for path in (self.project.folder / ".snakemake/metadata").iterdir():
            record = json.loads(path.read_text())
            output = base64.urlsafe_b64decode(path.name).decode()
            found.setdefault((record["rule"], record["log"][0]), {})[output] = record
        return [
            Job(
                rule,
                tuple(sorted(outputs)),
                log,
                max(r["endtime"] for r in outputs.values())
                - min(r["starttime"] for r in outputs.values()),
            )
            for (rule, log), outputs in sorted(found.items())
        ]

    def job(self, rule: str, number: int = 0) -> Job:
        """A job of a rule; the rule's jobs in turn."""
        jobs = [job for job in self.jobs if job.rule == rule]
        return jobs[number % len(jobs)]

    @cached_property
    def files(self) -> dict[str, str]:
        """Digest of every file of the results, save those that tell times."""
        return digests(self.project.folder)

    def copy(self, folder: Path, *without: str) -> Project:
        """A copy with its times, some outputs left out."""
        shutil.copytree(self.project.folder, folder, symlinks=True)
        project = Project(folder, self.project.configs)
        for name in without:
            remove(folder / name)
        return project

    def differences(self, folder: Path) -> list[str]:
        """How a checkout's results differ from the undisturbed ones."""
        found = digests(folder)
        lost = [f"lost: {name}" for name in self.files.keys() - found.keys()]
        added = [f"added: {name}" for name in found.keys() - self.files.keys()]
        both = self.files.keys() & found.keys()
        changed = [f"other bytes: {name}" for name in both if self.files[name] != found[name]]
        return sorted([*lost, *added, *changed])

    def half_written(self, folder: Path) -> list[str]:
        """Files under their final names that are neither absent nor as the undisturbed ones.

        Others may be writing meanwhile. A checkpoint of a training that goes on is not looked at;
        whether it is whole, the next training tells.
        """
        wrong = []
        for name, path in files_of(folder):
            if not is_scratch(name) and "checkpoints" not in path.parts:
                with suppress(FileNotFoundError):  # removed since
                    if digest(path) != self.files.get(name):
                        wrong.append(name)
        return wrong


def empty_project(folder: Path, config: Path) -> Project:
    """A checkout with the inputs, in which nothing was made."""
    checkout(folder)
    clips.talking_clip(folder / "clip.mp4", frames=FRAMES)
    clips.write_wav(folder / "other.wav", clips.speech(SPOKEN_SECONDS))
    return Project(folder, [config])


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `results`, by its name, save those that tell times."""
    return {name: digest(path) for name, path in files_of(folder)}


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below `results`, save those that tell times: its name in `folder`, its path."""
    for parent, _, names in os.walk(folder / "results"):
        if not set(Path(parent).relative_to(folder).parts) & set(TIMES):
            for name in set(names) - NO_RESULTS:
                path = Path(parent, name)
                yield str(path.relative_to(folder)), path


def digest(path: Path) -> str:
    """SHA-256 of a file; of the report's page without what the stages took; of what a checkpoint
    holds, because how PyTorch packs it depends on whether training had been continued."""
    if path.name == "checkpoint.pt":
        return sha256_of(leaves(torch.load(path, weights_only=True)))
    if path.name != "index.html":
        return sha256(path)
    page, found = re.subn(r'"stages":\[[^\]]*\]', "", path.read_text(encoding="utf-8"))
    assert found == 1, path
    return sha256_of([page.encode()])


def leaves(value: object) -> Iterator[bytes]:
    """What is in nested dicts and lists of tensors and numbers, in its order."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield repr(key).encode()
            yield from leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, torch.Tensor):
        yield f"{value.dtype} {tuple(value.shape)}".encode()
        yield value.numpy().tobytes()
    else:
        yield repr(value).encode()


def sha256_of(parts: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return whole.hexdigest()


def is_scratch(name: str) -> bool:
    return any(part.startswith(SCRATCH_PREFIX) for part in Path(name).parts)


def scratch_folders(folder: Path) -> list[Path]:
    """What killed commands left below `results`."""
    return [
        Path(parent, name)
        for parent, names, _ in os.walk(folder / "results")
        for name in names
        if name.startswith(SCRATCH_PREFIX)
    ]


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
