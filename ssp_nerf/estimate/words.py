"""A plan in a few lines."""

from collections.abc import Sequence

from ssp_nerf.estimate.plan import Plan
from ssp_nerf.progress import duration

UNITS = ("bytes", "kB", "MB", "GB", "TB")
MIB_IN_GIB = 1024


def lines_of(plan: Plan, left_out: Sequence[str] = ()) -> list[str]:
    """What a run needs, beside what there is; warnings where that is not enough.

    Args:
        left_out: what the plan does not hold, in words.
    """
    machine, largest = plan.machine, plan.largest
    subjects = {cost.subject for cost in plan.jobs}
    training = plan.seconds_of("train")
    where = f"{machine.cores} cores" if machine.cores > 1 else "1 core"
    if any(cost.gpu for cost in plan.jobs):
        where += " and a GPU like an H100" if machine.gpus == 1 else f" and {machine.gpus} H100s"
    lines = [
        f"{len(plan.jobs)} jobs, {len(subjects)} subject{'' if len(subjects) == 1 else 's'}",
        f"disk {size(plan.bytes)} in results, {size(machine.free_bytes)} are free",
    ]
    if largest is not None:
        lines += [
            f"memory {gib(largest.mib)} at the most ({largest.job.rule}), "
            f"{gib(machine.memory_mib)} are there",
            f"time {rough(plan.seconds)} on {where}"
            f"{f', of which training {rough(training)}' if training else ''}",
        ]
        if largest.mib > machine.memory_mib:
            lines.append(
                f"warning: {largest.job.rule} needs more memory than there is; docs/scaling.md "
                "says what to do"
            )
    if plan.bytes > machine.free_bytes:
        lines.append(
            f"warning: {size(plan.bytes - machine.free_bytes)} of disk are missing; docs/scaling.md "
            "says what can be left out or deleted"
        )
    return [*lines, *left_out]


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
    """A duration with as many digits as an estimate has: minutes, above ten minutes."""
    if seconds < 600:
        return f"{duration(seconds)} min"
    if seconds < 72 * 3600:
        return f"{duration(60 * round(seconds / 60)).removesuffix(':00')}{_unit(seconds)}"
    return f"{seconds / 86400:.1f} days"


def _unit(seconds: float) -> str:
    return " h" if round(seconds / 60) >= 60 else " min"
