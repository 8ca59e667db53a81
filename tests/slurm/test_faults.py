"""What ends jobs on a cluster, and that nothing is lost by it: the same bytes as undisturbed.

A tiny portrait is trained while its time runs out, its job is put back into the queue, its node
dies, the node is drained, or Snakemake itself is killed.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ssp_nerf.files import sha256
from tests import clips
from tests.slurm.cluster import Cluster, wait_until
from tests.slurm.conftest import Submission, environment
from tests.workflow.conftest import ROOT, checkout

pytestmark = pytest.mark.slurm

STEPS = int(os.environ.get("SLURM_TEST_STEPS", "1200"))
LONG_SECONDS = 100  # of training, which a time limit of a minute, the least of SLURM, interrupts
TINY = ROOT / "tests/workflow/tiny.yaml"
PORTRAIT = "results/astronaut"
MADE = ("model/weights.safetensors", "model/scene.safetensors", "training/history.csv")


def overlay(folder: Path, steps: int, checkpoint_seconds: int) -> Path:
    path = folder / f"steps_{steps}.yaml"
    path.write_text(f"training: {{steps: {steps}, checkpoint_seconds: {checkpoint_seconds}}}\n")
    return path


def bytes_of(project: Path) -> dict[str, str]:
    return {name: sha256(project / PORTRAIT / name) for name in MADE}


@pytest.fixture(scope="module")
def undisturbed(cluster, tmp_path_factory) -> tuple[Path, dict[int, dict[str, str]]]:
    """A checkout with all that training needs, and what training gives in STEPS steps, and in as
    many as take LONG_SECONDS here."""
    folder = tmp_path_factory.mktemp("undisturbed")
    ready = checkout(folder / "ready")
    clips.talking_clip(ready / "clip.mp4")
    clips.write_wav(ready / "other.wav", clips.speech(1.0))

    def snakemake(project: Path, config: Path, target: str) -> None:
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all"]
        command += ["--configfile", str(TINY), str(config), "--", target]
        subprocess.run(command, cwd=project, check=True, env=environment(cluster))

    config = overlay(folder, STEPS, 3600)
    snakemake(ready, config, f"{PORTRAIT}/dataset.h5")
    trained = folder / "trained"
    shutil.copytree(ready, trained)
    made = {}
    steps = STEPS
    for _ in range(2):
        # Not continued: the rows of a history are as far apart as so many steps in all want.
        shutil.rmtree(trained / PORTRAIT / "checkpoints", ignore_errors=True)
        snakemake(trained, overlay(folder, steps, 3600), f"{PORTRAIT}/model")
        made[steps] = bytes_of(trained)
        rate = re.findall(r"([\d.]+) steps/s", (trained / PORTRAIT / "logs/train.log").read_text())
        steps = max(2 * STEPS, round(LONG_SECONDS * float(rate[-1])))
    return ready, made


@pytest.fixture
def training(submission, undisturbed) -> Submission:
    """A submission that has nothing left to do but to train; the test names the config."""
    shutil.copytree(undisturbed[0], submission.project)
    submission.configs = [TINY]
    return submission


def begin(training: Submission, steps: int, checkpoint_seconds: int, *more: str) -> None:
    training.configs[1:] = [overlay(training.project, steps, checkpoint_seconds)]
    training.begin(*more, "--", f"{PORTRAIT}/model")


def wait_for_steps(training: Submission) -> str:
    """Wait until some steps are done; the number of the job that does them."""
    log = training.project / PORTRAIT / "logs/train.log"

    def trains() -> bool:
        return log.exists() and bool(re.search(r" steps/s", log.read_text()))

    wait_until(trains, 180, f"it trains, see {training.log}")
    return str(training.cluster.running("train"))


def said(training: Submission, pattern: str) -> list[int]:
    """Numbers that training said in any of its runs, oldest first."""
    logs = sorted((training.project / ".snakemake/slurm_logs/rule_train").rglob("*.log"))
    text = "\n".join(log.read_text() for log in logs)
    text += (training.project / PORTRAIT / "logs/train.log").read_text()
    return [int(number) for number in re.findall(pattern, text)]


def states(training: Submission) -> list[str]:
    return [attempt.state for attempt in training.attempts("train")]


def test_a_time_limit(training, undisturbed, record_property) -> None:
    """SIGTERM saves, though no checkpoint is due for an hour; Snakemake submits the job again."""
    long = max(undisturbed[1])
    begin(training, long, 3600, "--retries", "12", "--set-resources", "train:runtime=1")
    training.end_well(1500)
    ended = states(training)
    assert "TIMEOUT" in ended and ended[-1] == "COMPLETED", ended
    saved = said(training, r"stopped at step (\d+), saved")
    continued = said(training, r"continues at step (\d+)")
    # Where the limit fell after the last step, all steps are there, and nothing is said of a stop.
    assert saved and set(saved) == set(continued) - {long}, (saved, continued)
    assert bytes_of(training.project) == undisturbed[1][long]
    record_property("found", f"{', '.join(ended)}; continued at {sorted(set(continued))} of {long}")


def test_a_job_is_put_back_into_the_queue(training, undisturbed, record_property) -> None:
    """... by SLURM, as when it makes room for another: Snakemake waits, and submits nothing."""
    begin(training, STEPS, 3600)
    job = wait_for_steps(training)
    training.cluster.ask("scontrol", "requeue", job)
    training.end_well(600)
    ended = states(training)
    assert ended[-1] == "COMPLETED" and len(ended) == 2, ended
    assert {attempt.job for attempt in training.attempts("train")} == {job}
    (continued,) = set(said(training, r"continues at step (\d+)"))
    assert 0 < continued < STEPS
    assert bytes_of(training.project) == undisturbed[1][STEPS]
    record_property("found", f"{', '.join(ended)}; continued at {continued} of {STEPS}")


def test_a_node_dies(training, undisturbed, record_property) -> None:
    """Nothing can be saved then; the last checkpoint counts."""
    begin(training, STEPS, 2)
    job = wait_for_steps(training)
    cluster: Cluster = training.cluster
    cluster.kill_node()
    wait_until(lambda: cluster.node_state().startswith("down"), 120, "the node is down")
    assert training.run.poll() is None
    cluster.start_node()
    training.end_well(600)
    ended = states(training)
    assert ended == ["NODE_FAIL", "COMPLETED"], ended
    assert {attempt.job for attempt in training.attempts("train")} == {job}
    (continued,) = set(said(training, r"continues at step (\d+)"))
    assert 0 < continued < STEPS
    assert bytes_of(training.project) == undisturbed[1][STEPS]
    record_property("found", f"{', '.join(ended)}; continued at {continued} of {STEPS}")


def test_snakemake_is_killed(training, undisturbed, record_property) -> None:
    """Its job runs on; the one that the next Snakemake submits waits for its end."""
    begin(training, STEPS, 3600)
    job = wait_for_steps(training)
    os.killpg(training.run.pid, signal.SIGKILL)
    training.run.wait()
    begin(training, STEPS, 3600)
    assert training.run.wait(120) != 0 and "--unlock" in training.log.read_text()
    begin(training, STEPS, 3600, "--unlock")
    assert training.run.wait(120) == 0
    assert training.cluster.running("train") == job, "it ended too soon"
    begin(training, STEPS, 3600)
    training.end_well(600)
    attempts = training.attempts("train")
    assert [attempt.state for attempt in attempts] == ["COMPLETED", "COMPLETED"]
    assert attempts[1].start < attempts[0].end
    log = (training.project / PORTRAIT / "logs/train.log").read_text()
    assert "waits for its end" in log and f"continues at step {STEPS}" in log, log
    assert bytes_of(training.project) == undisturbed[1][STEPS]
    record_property("found", "its job ended well, the second waited for it and repeated no step")


def test_a_node_is_drained_and_returned(training, record_property) -> None:
    """What came after waits, and Snakemake with it."""
    shutil.rmtree(training.project / "results")
    cluster: Cluster = training.cluster
    training.begin("--", f"{PORTRAIT}/admitted.txt", f"{PORTRAIT}/speech.wav")
    wait_until(lambda: running(cluster), 120, f"a job runs, see {training.log}")
    cluster.set_node(state="drain", reason="test")
    wait_until(lambda: cluster.node_state() == "drained", 180, "the node is drained")
    wait_until(lambda: waiting(cluster), 60, f"a job waits, see {training.log}")
    assert not running(cluster) and training.run.poll() is None
    assert not (training.project / PORTRAIT / "admitted.txt").exists()
    cluster.set_node(state="resume")
    training.end_well(300)
    assert {attempt.state for attempt in training.attempts()} == {"COMPLETED"}
    record_property("found", f"{len(training.attempts())} jobs, all completed")


def running(cluster: Cluster) -> list[str]:
    return [comment for _, state, comment in cluster.jobs() if state == "RUNNING"]


def waiting(cluster: Cluster) -> list[str]:
    return [comment for _, state, comment in cluster.jobs() if state == "PENDING"]
