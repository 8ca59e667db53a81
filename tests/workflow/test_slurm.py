"""The pipeline on a real SLURM of one node: `make test-slurm`, some minutes.

A video becomes a portrait through jobs that SLURM runs, while the node is drained and returned and
training is killed by its time limit.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import clips
from tests.workflow.conftest import checkout
from tests.workflow.slurm import missing_programs, running_cluster, wait_until

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        bool(missing_programs()),
        reason=f"needs slurm-wlm and munge; there is no {', '.join(missing_programs())}",
    ),
]

STEPS = int(os.environ.get("SLURM_TEST_STEPS", "4000"))  # more than a minute of training
PORTRAIT = "results/astronaut/video.mp4"


def test_a_portrait_through_slurm(tmp_path, tiny_config) -> None:
    project = checkout(tmp_path / "checkout")
    clips.talking_clip(project / "clip.mp4")
    clips.write_wav(project / "other.wav", clips.speech(1.0))
    overlay = project / "longer.yaml"
    overlay.write_text(f"training: {{steps: {STEPS}, checkpoint_seconds: 5}}\n")
    said = project / "snakemake.log"
    command = [
        *(sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm"),
        *("--configfile", str(tiny_config), str(overlay)),
        # This SLURM keeps no accounts; it answers at once, and so does its file system.
        *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"),
        *("--seconds-between-status-checks", "2", "--latency-wait", "10"),
        # Minutes, the least that SLURM knows.
        *("--set-resources", "train:runtime=1", "--retries", "12", "--", PORTRAIT),
    ]
    with running_cluster() as cluster, said.open("w") as out:
        run = subprocess.Popen(
            command,
            cwd=project,
            env={
                **os.environ,
                **cluster.environment,
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{cluster.environment['PATH']}",
                "OMP_NUM_THREADS": "1",
            },
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(lambda: cluster.jobs(), 120, f"a job is submitted, see {said}")
            cluster.set_node(state="drain", reason="test")
            wait_until(lambda: cluster.node_state() == "drained", 180, "the node is drained")
            waiting = {state for _, state, _ in cluster.jobs()}
            done = [number for number, state, _ in cluster.jobs() if state == "COMPLETED"]
            time.sleep(5)
            # What came after waits, and Snakemake with it.
            assert "RUNNING" not in {state for _, state, _ in cluster.jobs()}, waiting
            assert run.poll() is None
            cluster.set_node(state="resume")
            wait_until(
                lambda: len([s for _, s, _ in cluster.jobs() if s == "COMPLETED"]) > len(done),
                120,
                "the returned node works on",
            )
            assert run.wait(1200) == 0, said.read_text()
            jobs = cluster.jobs()
        finally:
            if run.poll() is None:
                run.terminate()
                run.wait(60)
    assert (project / PORTRAIT).stat().st_size > 0
    training = [state for _, state, comment in jobs if "train" in comment]
    assert "TIMEOUT" in training and training[-1] == "COMPLETED", jobs
    assert {state for _, state, comment in jobs if "train" not in comment} == {"COMPLETED"}
    # The last attempt went on where the one before it was killed.
    log = (project / "results/astronaut/logs/train.log").read_text()
    continued = re.search(r"continues at step (\d+)", log)
    assert continued and 0 < int(continued[1]) < STEPS, log
    print(f"train: {training}, continued at step {continued[1]} of {STEPS}; {len(jobs)} jobs")
