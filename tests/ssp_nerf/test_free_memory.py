"""Memory is free within the limits of the job or container, too."""

from pathlib import Path

import torch

from ssp_nerf.free_memory import free_memory, limits

MIB = 1 << 20


def group(folder: Path, names: tuple[str, str, str], limit: str, usage: int, files: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{usage}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{names[2]} {files}\n")


NEW = ("memory.max", "memory.current", "inactive_file")
OLD = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def test_each_limit_above_a_process_counts_and_old_files_do_not(tmp_path: Path) -> None:
    own, root = tmp_path / "cgroup", tmp_path / "fs"
    own.write_text("0::/slurm/job_7/step_0\n")
    group(root / "slurm/job_7/step_0", NEW, "max", 10 * MIB, 0)
    group(root / "slurm/job_7", NEW, str(100 * MIB), 60 * MIB, 20 * MIB)
    group(root / "slurm", NEW, str(1000 * MIB), 60 * MIB, 0)
    assert list(limits(own, root)) == [60 * MIB, 940 * MIB]


def test_the_first_version_of_control_groups(tmp_path: Path) -> None:
    own, root = tmp_path / "cgroup", tmp_path / "fs"
    own.write_text("3:cpu:/docker/x\n4:memory:/docker/x\n0::/\n")
    group(root / "memory/docker/x", OLD, str(50 * MIB), 30 * MIB, 5 * MIB)
    group(root / "cpu/docker/x", OLD, str(1), 1, 0)
    assert list(limits(own, root)) == [25 * MIB]


def test_without_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert list(limits(tmp_path / "none", tmp_path)) == []
    assert 0 < free_memory(torch.device("cpu")) < float("inf")
