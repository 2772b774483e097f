"""The command in a process that has imported it once and forks for every call of it.

Most of the processor time of `python -m rocket_cli` is the start of Python and the imports. A call
that is forked from here has them behind it, and is otherwise as one that was executed: a process of
its own, in its own session, with the given directory, environment and standard descriptors, and the
ordinary end of the interpreter.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

INTERPRETER: Final = [sys.executable, "-P"]
"""The option -P keeps Python itself from importing modules of the current directory."""

COMMAND: Final = [*INTERPRETER, "-m", "rocket_cli"]

_IMPORTED: Final = ("rocket_cli._commands.launch", "rocket_cli._commands.serve")
_PIPES: Final = 4
"""Descriptors of a call: the socket to the test, and standard input, output and error."""


class Call:
    """A call of the command; it has the attributes and methods of a `subprocess.Popen` for text."""

    def __init__(
        self, arguments: Sequence[str], directory: Path, environ: Mapping[str, str]
    ) -> None:
        """Run the command with these arguments, without input."""
        self.returncode: int | None = None
        self._socket, others = socket.socketpair()
        (output, its_output), (errors, its_errors) = os.pipe(), os.pipe()
        self.stdout = open(output, encoding="utf-8")  # noqa: SIM115, PTH123
        self.stderr = open(errors, encoding="utf-8")  # noqa: SIM115, PTH123
        null = os.open(os.devnull, os.O_RDONLY)
        with others:
            given = [others.fileno(), null, its_output, its_errors]
            socket.send_fds(_template(), [b"!"], given)
        for descriptor in given[1:]:
            os.close(descriptor)
        request = {
            "arguments": list(arguments),
            "directory": str(directory),
            "environ": dict(environ),
        }
        self._socket.sendall(json.dumps(request).encode())
        self._socket.shutdown(socket.SHUT_WR)
        self._answers = self._socket.makefile(encoding="ascii")
        self.pid = int(self._answers.readline())

    def wait(self, timeout: float) -> int:
        """Return the exit code, or minus the number of the signal that ended the process."""
        if self.returncode is None:
            self._socket.settimeout(timeout)
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._socket.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)


@functools.cache
def _template() -> socket.socket:
    """Start the process that forks; it ends with this one, or before."""
    ours, others = socket.socketpair()
    with others:
        template = subprocess.Popen(
            [*INTERPRETER, __file__, str(others.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[others.fileno()],
        )

    def end() -> None:
        ours.close()
        template.wait()

    atexit.register(end)
    return ours


def _serve(channel: socket.socket) -> None:
    """Fork for each request that the channel brings; return in the process that is to run it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the keepers need no one to wait for them
    while True:
        _, descriptors, _, _ = socket.recv_fds(channel, 1, _PIPES)
        if not descriptors:
            sys.exit()
        if os.fork() == 0:
            break
        for each in descriptors:
            os.close(each)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    channel.close()
    test = socket.socket(fileno=descriptors[0])
    with test.makefile(encoding="utf-8") as stream:
        request = json.load(stream)
    pid = os.fork()
    if pid == 0:
        test.close()
        _prepare(request, descriptors[1:])
        return
    # This process keeps the call: it tells the test what becomes of it.
    for each in descriptors[1:]:
        os.close(each)
    test.sendall(f"{pid}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    test.sendall(f"{code}\n".encode())
    os._exit(0)


def _prepare(request: Mapping[str, Any], standard: Sequence[int]) -> None:
    os.setsid()
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environ"])
    sys.argv = ["rocket-cli", *request["arguments"]]
    sys.orig_argv = [*COMMAND, *request["arguments"]]  # a supervisor executes it to replace itself


def _main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    for name in _IMPORTED:
        importlib.import_module(name)
    assert threading.active_count() == 1
    gc.freeze()  # so that collections of the processes do not copy the pages of what is imported
    _serve(channel)
    from rocket_cli import main  # noqa: PLC0415

    main(prog_name="rocket-cli")


if __name__ == "__main__":
    _main()
