"""A SLURM of one node on this machine: munged, slurmctld and slurmd, all of the calling user.

Needs Debian's slurm-wlm and munge, no root and no file outside its own folder. The node has a GPU
as far as SLURM knows, and two partitions, cpu and gpu.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from getpass import getuser
from pathlib import Path
from typing import NamedTuple

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "setpriv")
SEARCH = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
SLURMD_TIMEOUT = 10  # seconds without a word from a node, after which it is down
KILL_WAIT = 20  # seconds between SIGTERM and SIGKILL
# More than a small machine has, which config_overrides allows: jobs ask for what real ones need.
CONFIG = f"""\
ClusterName=test
SlurmctldHost={{host}}(127.0.0.1)
SlurmctldPort={{controller_port}}
SlurmUser={{user}}
SlurmdUser={{user}}
AuthType=auth/munge
AuthInfo=socket={{folder}}/munge.socket
CredType=cred/munge
StateSaveLocation={{folder}}/state
SlurmdSpoolDir={{folder}}/spool
SlurmctldPidFile={{folder}}/slurmctld.pid
SlurmdPidFile={{folder}}/slurmd.pid
SlurmctldLogFile={{folder}}/slurmctld.log
SlurmdLogFile={{folder}}/slurmd.log
JobCompType=jobcomp/filetxt
JobCompLoc={{folder}}/ended_jobs
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
ReturnToService=2
JobRequeue=1
MinJobAge=3600
KillWait={KILL_WAIT}
SlurmdTimeout={SLURMD_TIMEOUT}
SchedulerParameters=sched_interval=2,batch_sched_delay=0,bf_interval=2
NodeName={{host}} NodeAddr=127.0.0.1 Port={{node_port}} CPUs=4 RealMemory=64000 Gres=gpu:1
PartitionName=cpu Nodes={{host}} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={{host}} MaxTime=INFINITE State=UP
"""
# A file in place of a card: SLURM counts it, and PyTorch finds no GPU.
GRES_CONFIG = "Name=gpu File=/dev/null\n"


class Attempt(NamedTuple):
    """One run of a job from its start to its end; a job that is requeued has several."""

    job: str
    rule: str
    wildcards: str
    state: str
    partition: str
    start: datetime
    end: datetime
    gpu: bool

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()


def missing_programs() -> list[str]:
    return [program for program in PROGRAMS if shutil.which(program, path=SEARCH) is None]


@dataclass
class Cluster:
    """A SLURM that runs."""

    folder: Path
    node: str
    daemons: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.folder / "bin"), SEARCH])
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def ask(self, *command: str) -> str:
        """What a command of SLURM prints."""
        return subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        ).stdout.strip()

    def node_state(self) -> str:
        return self.ask("sinfo", "--noheader", "--partition=cpu", "--format=%T")

    def jobs(self) -> list[tuple[str, str, str]]:
        """Number, state and comment (which names the rule) of every job so far, oldest first."""
        rows = self.ask(
            "squeue", "--noheader", "--array", "--states=all", "--sort=i", "--format=%i|%T|%k"
        ).splitlines()
        return [tuple(row.split("|", 2)) for row in rows]

    def running(self, rule: str) -> str | None:
        """The number of a job of a rule that runs, if there is one."""
        for number, state, comment in self.jobs():
            if state == "RUNNING" and comment.startswith(f"rule_{rule}_"):
                return number
        return None

    def notes(self) -> list[str]:
        """What SLURM noted of each run of a job that has ended."""
        noted = self.folder / "ended_jobs"
        return noted.read_text().splitlines() if noted.exists() else []

    def attempts(self, since: int = 0) -> list[Attempt]:
        """Every run of a job that has ended, in order of their start.

        Args:
            since: leave out this many of the oldest notes.
        """
        about = "JobID:|,JobArrayID:|,tres-per-job:|,Comment:|"
        jobs = {
            number: rest
            for number, *rest in (
                row.split("|")
                for row in self.ask(
                    "squeue", "-h", "--array", "-t", "all", "-O", about
                ).splitlines()
            )
        }
        found = []
        for line in self.notes()[since:]:
            note = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if note["StartTime"] == "Unknown":  # cancelled before it ran
                continue
            name, tres, comment, _ = jobs[note["JobId"]]
            rule, _, wildcards = comment.removeprefix("rule_").partition("_wildcards_")
            start, end = (datetime.fromisoformat(note[key]) for key in ("StartTime", "EndTime"))
            state, partition = note["JobState"], note["Partition"]
            gpu = "gpu" in tres
            found.append(Attempt(name, rule, wildcards, state, partition, start, end, gpu))
        return sorted(found, key=lambda attempt: attempt.start)

    def set_node(self, **values: str) -> None:
        pairs = [f"{key}={value}" for key, value in values.items()]
        self.ask("scontrol", "update", f"nodename={self.node}", *pairs)

    def start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.out").open("a") as out:
            self.daemons[name] = subprocess.Popen(
                # However this program ends, its daemons end with it.
                ["setpriv", "--pdeathsig", "TERM", shutil.which(name, path=SEARCH), *arguments],
                env={**os.environ, **self.environment},
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def start_node(self) -> None:
        self.start("slurmd", "-D", "-c", "-N", self.node)

    def kill_node(self) -> None:
        """The node dies: slurmd, and all that SLURM runs there."""
        self.daemons["slurmd"].kill()
        self.daemons["slurmd"].wait()
        for process in self.steps():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def steps(self) -> list[int]:
        """Processes that belong to a job of this SLURM: they have its folder in their environment.

        A process of slurmd's that reads the environment of the caller is not one of them.
        """
        mine = f"SLURM_CONF={self.folder}/slurm.conf".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (folder / "environ").read_bytes().split(b"\0")
                name = (folder / "comm").read_text()
                ours = mine in words and any(word.startswith(b"SLURM_JOB_ID=") for word in words)
                if ours or (name.startswith("slurmstepd") and mine in words):
                    found.append(int(folder.name))
        return found


def wait_until(true: Callable[[], object], seconds: float, what: str) -> None:
    """Poll twice a second.

    Raises:
        TimeoutError: it was not true in time.
    """
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.5)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start the three daemons, and end them."""
    # Not pytest's folder: the path of a socket is short.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    host = socket.gethostname().split(".")[0]
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    # In a job Snakemake's plugin calls srun without SLURM_CONF, which only matters where slurm.conf
    # lies elsewhere than a cluster has it.
    srun = folder / "bin/srun"
    real = shutil.which("srun", path=SEARCH)
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {real} "$@"\n')
    srun.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    ports = {"controller_port": free_port(), "node_port": free_port()}
    (folder / "slurm.conf").write_text(
        CONFIG.format(host=host, user=getuser(), folder=folder, **ports)
    )
    (folder / "gres.conf").write_text(GRES_CONFIG)
    cluster = Cluster(folder, host)
    munge = [f"--{kind}-file={folder}/munge.{kind}" for kind in ("key", "pid", "log", "seed")]
    socket_file = folder / "munge.socket"
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    try:
        cluster.start("munged", "--foreground", "--force", f"--socket={socket_file}", *munge)
        wait_until(socket_file.exists, 30, f"munged runs, see {folder}/munged.out")
        cluster.start("slurmctld", "-D", "-c")
        cluster.start_node()
        wait_until(lambda: answers(cluster), 60, f"the node is idle, see {folder}/*.out")
        yield cluster
    finally:
        for process in cluster.steps():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for daemon in reversed(cluster.daemons.values()):
            daemon.terminate()
        for daemon in cluster.daemons.values():
            daemon.wait(60)
        signal.signal(signal.SIGTERM, before)
    shutil.rmtree(folder)


def answers(cluster: Cluster) -> bool:
    try:
        return cluster.node_state() == "idle"
    except subprocess.SubprocessError:
        return False
