"""The number of threads of this process that can compute at the same time."""

from __future__ import annotations

import os
import sys
from math import ceil
from pathlib import Path
from typing import Final

_MEMBERSHIP: Final = Path("/proc/self/cgroup")
_GROUPS: Final = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """The number of threads that can compute at once: with the GIL 1, else `granted_cores`."""
    if getattr(sys, "_is_gil_enabled", lambda: True)():
        return 1
    return granted_cores()


def granted_cores(membership: Path = _MEMBERSHIP, groups: Path = _GROUPS) -> int:
    """The number of processors that the process may use, at least 1.

    It is the number of processors in its CPU affinity, limited by the CPU quota of its control
    group and of the groups around it (Linux, cgroup version 2: ``cpu.max``), which is what
    ``--cpus`` of a container and ``CPUQuota`` of a systemd unit set.
    """
    if hasattr(os, "sched_getaffinity"):
        bound = len(os.sched_getaffinity(0))
    else:  # pragma: no cover - not Linux
        bound = os.cpu_count() or 1
    return max(min(bound, ceil(_quota(membership, groups) or bound)), 1)


def _quota(membership: Path, groups: Path) -> float | None:
    """The CPU quota of the control group, in processors; None: there is no limit."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    own = next((line[len("0::/") :] for line in lines if line.startswith("0::/")), None)
    if own is None:
        return None
    group = groups / own
    quotas = []
    for each in (group, *group.parents):
        if not each.is_relative_to(groups):
            break
        try:
            granted, period = (each / "cpu.max").read_text().split()
        except (OSError, ValueError):  # the root has none
            continue
        if granted != "max":
            quotas.append(int(granted) / int(period))
    return min(quotas, default=None)
