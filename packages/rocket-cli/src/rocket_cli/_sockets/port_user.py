"""Who listens at a port that is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_LISTENS: Final = "0A"
"""The state in ``/proc/net/tcp`` (proc_net_tcp in the documentation of Linux)."""


def port_user(port: int) -> str | None:
    """The name and number of a process that listens at ``port``.

    None where that cannot be told: it is another user's, or this is not Linux.
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
    """Listening sockets of a port, as links to them read."""
    for file in ("net/tcp", "net/tcp6"):
        with suppress(OSError):
            for line in (_PROC / file).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    yield f"socket:[{fields[9]}]"
