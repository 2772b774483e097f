"""A network of its own for programs that need certain ports, where the system allows it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HOLD = """
import fcntl, socket, struct, sys
with socket.socket() as probe:  # switches the loopback interface on: SIOCSIFFLAGS, IFF_UP
    fcntl.ioctl(probe, 0x8914, struct.pack("16sH14x", b"lo", 1))
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def own_network() -> Iterator[Sequence[str]]:
    """Yield what precedes a command that runs in a network with nothing but a loopback interface.

    Without the permission for that, commands run in the network of this process, and a lock
    keeps other users of this function out meanwhile.
    """
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    with subprocess.Popen(
        ["unshare", "--net", *user, sys.executable, "-c", _HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        if holder.stdout.readline() == "ready\n":
            entered = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
            yield ["nsenter", "--target", str(holder.pid), "--net", *entered]
            holder.stdin.close()
            return
        holder.stdin.close()
    with Path(tempfile.gettempdir(), f"rocket-pages-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield []
