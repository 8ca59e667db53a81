"""A SLURM of one node on this machine: munged, slurmctld and slurmd, all of the calling user.

Needs Debian's slurm-wlm and munge, no root and no file outside its own folder.
"""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
SEARCH = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
# More than a small machine has, which config_overrides allows: jobs ask for what real ones need.
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
MinJobAge=3600
KillWait=20
SchedulerParameters=sched_interval=2,batch_sched_delay=0
NodeName={host} NodeAddr=127.0.0.1 Port={node_port} CPUs=2 RealMemory=64000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing_programs() -> list[str]:
    return [program for program in PROGRAMS if shutil.which(program, path=SEARCH) is None]


@dataclass
class Cluster:
    """A SLURM that runs."""

    folder: Path
    node: str

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
        return self.ask("sinfo", "--noheader", "--format", "%T")

    def jobs(self) -> list[tuple[str, str, str]]:
        """Number, state and comment (which names the rule) of every job so far, oldest first."""
        rows = self.ask(
            "squeue", "--noheader", "--states=all", "--sort=i", "--format=%i|%T|%k"
        ).splitlines()
        return [tuple(row.split("|", 2)) for row in rows]

    def set_node(self, **values: str) -> None:
        pairs = [f"{key}={value}" for key, value in values.items()]
        self.ask("scontrol", "update", f"nodename={self.node}", *pairs)


def wait_until(true, seconds: float, what: str) -> None:
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
    cluster = Cluster(folder, host)
    munge = [f"--{kind}-file={folder}/munge.{kind}" for kind in ("key", "pid", "log", "seed")]
    commands = [
        ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge],
        ["slurmctld", "-D", "-c"],
        ["slurmd", "-D", "-c", "-N", host],
    ]
    daemons: list[subprocess.Popen] = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.out").open("w") as out:
                daemons.append(
                    subprocess.Popen(
                        [shutil.which(command[0], path=SEARCH), *command[1:]],
                        env={**os.environ, **cluster.environment},
                        stdout=out,
                        stderr=subprocess.STDOUT,
                    )
                )
            if command[0] == "munged":
                socket_file = folder / "munge.socket"
                wait_until(socket_file.exists, 30, f"munged runs, see {folder}/munged.out")
        wait_until(lambda: answers(cluster), 60, f"the node is idle, see {folder}/*.out")
        yield cluster
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(60)
    shutil.rmtree(folder)


def answers(cluster: Cluster) -> bool:
    try:
        return cluster.node_state() == "idle"
    except subprocess.SubprocessError:
        return False
