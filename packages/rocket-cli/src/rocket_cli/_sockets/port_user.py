"""The process that listens on a port, for the message that the port is in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_LISTENS: Final = "0A"
"""The state of listening sockets in ``/proc/net/tcp`` (proc_net_tcp in Linux's documentation)."""


def port_user(port: int) -> str | None:
    """Return the name and the process ID of a process that listens on ``port``.

    The result is None if that is unknown: it belongs to another user, or this is not Linux.
    """
    sockets = set(_sockets(port))
    for process in _PROC.glob("[0-9]*"):
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                if str(descriptor.readlink()) in sockets:
                    name = (process / "comm").read_text(errors="backslashreplace").strip()
                    return f"{name} (process {process.name})"
    return None


def _sockets(port: int) -> Iterator[str]:
    """Yield the listening sockets of a port, in the form of the links in ``/proc/PID/fd``."""
    for file in ("net/tcp", "net/tcp6"):
        with suppress(OSError):
            for line in (_PROC / file).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    yield f"socket:[{fields[9]}]"
