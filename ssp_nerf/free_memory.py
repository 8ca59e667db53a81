"""Memory that is free for this program: of a GPU, or of the machine and of the job it runs in."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import torch

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
MEMINFO = Path("/proc/meminfo")
KIB = 1 << 10  # bytes


def free_memory(device: torch.device) -> float:
    """Bytes free on the device; for the CPU in the machine, and within the limits of a container
    or of a cluster's job, which is ended when it takes more."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min(free_in_machine(), *limits(), math.inf)


def free_in_machine() -> float:
    """Bytes that programs may take before the machine swaps."""
    # MemAvailable counts the page cache, which the kernel gives up; MemFree does not.
    for line in MEMINFO.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * KIB
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def limits(own: Path = OWN_CGROUPS, root: Path = CGROUPS) -> Iterator[float]:
    """Bytes that are left of each limit on this process' control groups, of both versions.

    Args:
        own: which groups it is in, a line `number:controllers:/path` for each hierarchy.
        root: where the groups are folders.
    """
    for line in own.read_text().splitlines() if own.exists() else ():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            top = root / controllers
            group = top / path.lstrip("/")
            for folder in (group, *group.parents):
                yield from _left(folder)
                if folder == top:
                    break


def _left(folder: Path) -> Iterator[float]:
    """What is left of a group's limit, if it has one."""
    for names in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, usage = (folder / name for name in names[:2])
        if not usage.exists() or (most := limit.read_text().strip()) == "max":
            continue
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        # Files read long ago count as used, and are given up when a program needs the memory.
        yield float(most) - float(usage.read_text()) + float(stat.get(names[2], 0))
