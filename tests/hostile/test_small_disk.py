"""A disk that fills up, and one that cannot be written to."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.case import error_line
from tests.hostile.table import Row

ROOT = Path(__file__).parents[2]
NAMESPACE = ["unshare", "--mount"]


def may_mount() -> bool:
    try:
        trial = [*NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"]
        return subprocess.run(trial, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.thorough
def test_disks_that_are_full_or_read_only(tmp_path: Path, rows: list[Row]) -> None:
    """One line of error, nothing half-written; with room again, the bytes of an undisturbed run."""
    if not may_mount():
        pytest.skip("mounting a small disk needs unshare and root (or CAP_SYS_ADMIN)")
    done = subprocess.run(
        [*NAMESPACE, sys.executable, "-m", "tests.hostile.small_disk", tmp_path],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(runs) == 5 * 5
    for run in runs:
        where = f"{run['name']}, {run['disk']}"
        assert "Traceback" not in run["said"], (where, run["said"])
        assert run["status"] == 2, (where, run["said"])
        line = error_line(run["said"])
        if run["disk"] != "read-only":
            assert not run["half_written"], (where, run["half_written"])
            assert run["again"] == 0 and run["same"], (where, run["said_again"])
            assert "No space left" in line, (where, line)
        else:
            assert "Read-only file system" in line, (where, line)
        rows.append(Row("disk", run["disk"], run["name"], line.replace(f"{tmp_path}/disk/", "")))
