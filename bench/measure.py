"""What a server uses, read from /proc: its processor time, memory and context switches."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.errors import ServerError

_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """What a process and its descendants have used so far.

    Attributes:
        cpu: seconds of processor time in user and system mode, those of ended children included.
        resident: bytes of resident memory now; pages shared by processes count for each.
        switches: context switches of the threads there are now.
    """

    cpu: float
    resident: int
    switches: int


def usage(pid: int) -> Usage:
    """What process ``pid`` and its descendants have used. Raises `ServerError` if it has ended."""
    cpu, resident, switches = 0.0, 0, 0
    for number in family(pid):
        process = Path("/proc", str(number))
        try:
            # The name, in parentheses, may hold anything; the numbers come after it.
            times = Path(process, "stat").read_text("latin-1").rpartition(")")[2].split()[11:15]
            pages = Path(process, "statm").read_text("ascii").split()[1]
        except OSError:
            if number == pid:
                raise ServerError("the server has ended while it was measured") from None
            continue
        cpu += sum(map(int, times)) * _TICK
        resident += int(pages) * _PAGE
        switches += sum(_switches(task) for task in _tasks(process))
    return Usage(cpu, resident, switches)


def threads(pid: int) -> int:
    """How many threads ``pid`` or one of its descendants has, whichever has the most."""
    return max(len(_tasks(Path("/proc", str(number)))) for number in family(pid))


def family(pid: int) -> list[int]:
    """``pid`` and the numbers of all its descendants."""
    members = [pid]
    for member in members:
        for task in _tasks(Path("/proc", str(member))):
            try:
                members += map(int, Path(task, "children").read_text("ascii").split())
            except OSError:
                continue
    return members


def _tasks(process: Path) -> list[Path]:
    try:
        return list(Path(process, "task").iterdir())
    except OSError:
        return []


def _switches(task: Path) -> int:
    try:
        lines = Path(task, "status").read_text("latin-1").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches:" in line)


def allow_descriptors(count: int) -> int:
    """Raise the limit of open files of this process and its children to ``count`` if it is lower.

    Returns the limit there is then, which is less where the system allows no more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return soft
    if hard < count:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
        except (ValueError, PermissionError):
            count = hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(hard, count)))
    return count
