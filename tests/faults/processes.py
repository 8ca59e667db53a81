"""Snakemake as a program of its own, waited for and killed."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.workflow.conftest import Project

PATIENCE = 120.0  # seconds for what should happen soon


class Run:
    """A Snakemake in a session of its own, with all that it starts; what it says goes to a file."""

    def __init__(self, project: Project, *arguments: str, overlay: Path | None = None):
        self.project = project
        self.said_path = project.folder / "said.txt"
        with open(self.said_path, "w") as said:
            self.process = project.start(
                *arguments, overlay=overlay, stdout=said, start_new_session=True,
                preexec_fn=heed_ctrl_c,
            )  # fmt: skip

    @property
    def said(self) -> str:
        return self.said_path.read_text()

    def wait_for(self, path: Path) -> None:
        """Wait until a file is there, or the run has ended."""
        deadline = time.monotonic() + PATIENCE
        while not path.exists() and self.process.poll() is None:
            assert time.monotonic() < deadline, f"no {path}: {self.said}"
            time.sleep(0.01)

    def wait_for_text(self, path: Path, text: str) -> None:
        """Wait until a file holds a text."""
        deadline = time.monotonic() + PATIENCE
        while not path.exists() or text not in path.read_text():
            assert time.monotonic() < deadline and self.process.poll() is None, self.said
            time.sleep(0.01)

    def wait_until_finished(self, jobs: int) -> None:
        """Wait until so many jobs have ended, or the run has."""
        deadline = time.monotonic() + 4 * PATIENCE
        while self.said.count("Finished jobid") < jobs and self.process.poll() is None:
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def wait(self) -> int:
        """Exit status."""
        return self.process.wait(4 * PATIENCE)

    def signal(self, number: int) -> None:
        """Send a signal to Snakemake and all that it has started, as a terminal does."""
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """End all of it at once, and see that nothing lives on."""
        members = self.others()
        with suppress(ProcessLookupError):  # it had ended
            self.signal(signal.SIGKILL)
        self.process.wait()
        _, alive = psutil.wait_procs(members, timeout=PATIENCE)
        assert not alive, alive

    def others(self) -> list[psutil.Process]:
        """What lives of all that it has started, and it itself."""
        return [
            process
            for process in psutil.process_iter(["status"])
            if in_session(process, self.process.pid)
            and process.info["status"] != psutil.STATUS_ZOMBIE
        ]

    def own_program(self, module: str) -> psutil.Process | None:
        """The Python of a stage that this Snakemake has started, if there is one."""
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if words[1:3] == ["-m", module] and in_session(process, self.process.pid):
                return process
        return None


def heed_ctrl_c() -> None:
    """As on a terminal, also where this was started in the background of a shell."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def in_session(process: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(process.pid) == session
    except ProcessLookupError:
        return False


def unlocked(project: Project) -> subprocess.CompletedProcess:
    """What docs/clusters.md tells a user to do first after Snakemake was killed."""
    return project.snakemake("--unlock")


def run_again(project: Project, *arguments: str) -> str:
    """... and then: the same command again; what it said."""
    done = project.snakemake(*arguments)
    assert done.returncode == 0, done.stdout
    return done.stdout
