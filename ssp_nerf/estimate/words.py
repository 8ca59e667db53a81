"""A plan in a few lines."""

import math
from collections.abc import Sequence

from ssp_nerf.estimate.plan import Plan

UNITS = ("bytes", "kB", "MB", "GB", "TB")
MIB_IN_GIB = 1024


def lines_of(plan: Plan, left_out: Sequence[str] = ()) -> list[str]:
    """What a run needs, beside what there is; warnings where that is not enough.

    Args:
        left_out: what the plan does not hold, in words.
    """
    machine, largest = plan.machine, plan.largest
    training = plan.seconds_of("train")
    video = sum(subject.clip.seconds for subject in plan.subjects.values())
    lines = [
        f"{len(plan.jobs)} jobs, {counted(len(plan.subjects), 'subject')}, {rough(video)} of video",
        f"disk {size(plan.bytes)} in results, {size(machine.free_bytes)} are free",
    ]
    if largest is not None:
        there = f", {gib(machine.memory_mib)} are there" if machine.memory_mib < math.inf else ""
        of_it = f", of which training {rough(training)}" if training else ""
        lines += [
            f"memory {gib(largest.mib)} at the most ({largest.job.rule}){there}",
            f"time {rough(plan.seconds)} on {where(plan)}{of_it}",
        ]
        if largest.mib > machine.memory_mib:
            lines.append(
                f"warning: {largest.job.rule} needs more memory than there is; docs/scaling.md "
                "says what to do"
            )
    if plan.bytes > machine.free_bytes:
        lines.append(
            f"warning: {size(plan.bytes - machine.free_bytes)} of disk are missing; "
            "docs/scaling.md says what can be left out or deleted"
        )
    return [*lines, *left_out]


def where(plan: Plan) -> str:
    """What the time is meant for."""
    machine = plan.machine
    if machine.cluster:
        places = f"a cluster, {counted(machine.cores, 'job')} at once"
    else:
        places = counted(machine.cores, "core")
    if not any(cost.gpu for cost in plan.jobs):
        return places
    return f"{places}, with {'a GPU' if machine.gpus == 1 else f'{machine.gpus} GPUs'} like an H100"


def counted(number: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def size(count: float) -> str:
    """`1.5 GB`, in powers of 1000, as disks are sold."""
    unit = 0
    while abs(count) >= 999.5 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.3g} {UNITS[unit]}"


def gib(mib: float) -> str:
    """`1.5 GiB`."""
    return f"{mib / MIB_IN_GIB:.1f} GiB"


def rough(seconds: float) -> str:
    """A duration with as many digits as an estimate has."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
