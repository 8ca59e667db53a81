"""One SLURM for all tests of this folder, and Snakemake that submits to it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.slurm.cluster import Attempt, Cluster, missing_programs, running_cluster

PYTHON = sys.executable
SUBMIT = (
    *(PYTHON, "-m", "snakemake", "--profile", "profiles/slurm"),
    # This SLURM keeps no accounts; it answers at once, and so does its file system.
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"),
    *("--seconds-between-status-checks", "2", "--latency-wait", "10"),
)


@dataclass
class Submission:
    """A checkout whose Snakemake submits to the cluster.

    Attributes:
        started: notes of ended jobs that were there before it began.
    """

    cluster: Cluster
    project: Path
    configs: list[Path]
    started: int = 0
    run: subprocess.Popen | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        return self.project / "snakemake.log"

    def begin(self, *arguments: str) -> subprocess.Popen:
        """Call Snakemake in a session of its own; what it says is added to `log`."""
        configs = [str(path) for path in self.configs]
        with self.log.open("a") as out:
            self.run = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *SUBMIT, "--configfile", *configs, *arguments],
                cwd=self.project,
                env=environment(self.cluster),
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self.run

    def end_well(self, seconds: float) -> None:
        """Wait for its end, and say every minute which job is running.

        Raises:
            AssertionError: it failed, or did not end in time.
        """
        assert self.run is not None
        begun = said = time.monotonic()
        while self.run.poll() is None:
            assert time.monotonic() - begun < seconds, self.log.read_text()
            if time.monotonic() - said > 60:
                said = time.monotonic()
                words = [comment for _, state, comment in self.cluster.jobs() if state == "RUNNING"]
                done = self.log.read_text().rsplit(" steps (", 1)[0].rsplit("\n", 1)[-1]
                print(f"  {said - begun:.0f} s: {done} steps; runs {', '.join(words) or 'nothing'}")
            time.sleep(0.5)
        assert self.run.returncode == 0, self.log.read_text()

    def attempts(self, rule: str | None = None) -> list[Attempt]:
        """Of this submission's jobs, those that ended."""
        found = self.cluster.attempts(since=self.started)
        return [attempt for attempt in found if rule in (None, attempt.rule)]


def environment(cluster: Cluster) -> dict[str, str]:
    path = f"{Path(PYTHON).parent}{os.pathsep}{cluster.environment['PATH']}"
    return {**os.environ, **cluster.environment, "PATH": path, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if missing_programs():
        pytest.skip(f"needs slurm-wlm and munge; there is no {', '.join(missing_programs())}")
    with running_cluster() as running:
        yield running


@pytest.fixture
def submission(cluster, tmp_path) -> Iterator[Submission]:
    """An empty folder's; what still runs at the end of the test is ended."""
    made = Submission(cluster, tmp_path / "project", [], started=len(cluster.notes()))
    yield made
    if made.run is not None and made.run.poll() is None:
        made.run.kill()
        made.run.wait()
    cluster.ask("scancel", "--user", str(os.getuid()))


def pytest_terminal_summary(terminalreporter) -> None:
    """What ran, how long, and what was found."""
    calls = [
        report
        for kind in ("passed", "failed")
        for report in terminalreporter.getreports(kind)
        if report.when == "call" and report.nodeid.startswith("tests/slurm/")
    ]
    if not calls:
        return
    lines = ["| test | s | result | found |", "|---|---|---|---|"]
    for report in calls:
        name = report.location[2].removeprefix("test_").replace("_", " ")
        found = dict(report.user_properties).get("found", "")
        lines.append(f"| {name} | {report.duration:.0f} | {report.outcome} | {found} |")
    terminalreporter.write_line("\n".join(lines))
