"""A supervisor whose own calls fail: the server goes on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conftest import VERSION, Write
from processes import Served
from rocket_core.testing import eventually

ANY = ["--bind", "127.0.0.1:0"]

FAULTY = """
    import os, selectors, socket
    from pathlib import Path
    from rocket_cli._commands.main import main
    from rocket_cli._errors import CommandError
    from rocket_cli._settings.options import SettingsCommand
    from rocket_cli._supervisor import replacement, restarts, supervisor
    from rocket_cli._supervisor.generations import Generations

    process = os.getpid()
    fault = Path("fault").absolute()

    def broken(owner, name, error):
        call = getattr(owner, name)
        def fail_or_call(*arguments, **options):
            if os.getpid() == process and fault.read_text() == name:
                raise error
            return call(*arguments, **options)
        setattr(owner, name, fail_or_call)

    restarts._PAUSES = (0.05,)  # the tests wait for several

    broken(os, "fork", BlockingIOError(11, "no more processes"))
    broken(os, "chdir", FileNotFoundError(2, "no such directory"))
    broken(os, "kill", PermissionError(1, "not permitted"))
    broken(socket, "socketpair", OSError(24, "too many files"))
    broken(selectors.DefaultSelector, "register", OSError(28, "too many watches"))
    broken(SettingsCommand, "make_context", RuntimeError("of the settings"))
    broken(replacement, "open_sockets", MemoryError("of the sockets"))
    broken(replacement, "configure_log", CommandError("of the log"))
    broken(supervisor, "reopen_log", RuntimeError("of the log"))
    broken(replacement, "Successor", RuntimeError("of the successor"))
    broken(replacement.Replacement, "notify_ready", RuntimeError("of the notice"))
    broken(supervisor.Supervisor, "_announce", BrokenPipeError(32, "of the pipe"))
    broken(Generations, "_paths", RuntimeError("of the task"))
    broken(Generations, "_drain", RuntimeError("of the drain"))
    broken(Generations, "ended", RuntimeError("of the end"))
    main(prog_name="rocket-cli")
"""


class Faulty(Served):
    """A server whose supervisor fails on demand."""

    def __init__(self, site: Path, write: Write, *arguments: str) -> None:
        write("versioned.py", VERSION.format("one"))
        script = write("faulty.py", FAULTY)
        self._fault = write("fault", "")
        command = [sys.executable, str(script)]
        super().__init__(site, *ANY, *arguments, "versioned", command=command)

    def fail(self, name: str) -> None:
        """Make this call fail from now on; an empty name makes none fail."""
        new = self._fault.with_suffix(".new")
        new.write_text(name)
        new.replace(self._fault)


@pytest.fixture
def served(tmp_path: Path, write: Write) -> Iterator[Faulty]:
    """A server with two processes, which must still serve and end properly."""
    with Faulty(tmp_path, write, "--processes", "2") as served:
        yield served


def require_all_well(served: Faulty, client: httpx.Client, url: str) -> None:
    """Require that the server still serves, and that a reload succeeds without the fault."""
    assert client.get(url).text.startswith("one ")
    served.fail("")
    served.send(signal.SIGHUP)
    served.wait_for("INFO rocket_cli: reloaded: generation [0-9]+ serves")
    assert client.get(url).text.startswith("one ")
    served.stop()


def require_that_the_server_goes_on(
    served: Faulty,
    client: httpx.Client,
    number: signal.Signals,
    message: str,
    reasons: dict[str, str],
) -> None:
    """Require that each fault makes the signal's action fail with its reason, and nothing else."""
    url = served.location()
    for name, reason in reasons.items():
        served.fail(name)
        served.send(number)
        served.wait_for(f"ERROR rocket_cli: {message}: {reason}")
        assert client.get(url).text.startswith("one ")
    require_all_well(served, client, url)


def test_reload(served: Faulty, client: httpx.Client) -> None:
    reasons = {
        "fork": "fork failed: no more processes",
        "chdir": "cannot work in .*: no such directory",
        "socketpair": "fork failed: too many files",
        "register": "fork failed: too many watches",
        "make_context": "cannot read the settings: RuntimeError: of the settings",
        "open_sockets": "cannot read the settings: MemoryError: of the sockets",
        "_paths": "fork failed: RuntimeError: of the task",
    }
    message = "reload failed, the old processes keep serving"
    require_that_the_server_goes_on(served, client, signal.SIGHUP, message, reasons)


def test_log_of_a_reload(served: Faulty, client: httpx.Client) -> None:
    url = served.location()
    served.fail("configure_log")
    served.send(signal.SIGHUP)
    served.wait_for("ERROR rocket_cli: the supervisor keeps its previous error log: of the log")
    served.wait_for("INFO rocket_cli: reloaded: generation 2 serves")
    require_all_well(served, client, url)


def test_upgrade(served: Faulty, client: httpx.Client) -> None:
    reasons = {
        "fork": "fork failed: no more processes",
        "socketpair": "fork failed: too many files",
        "register": "fork failed: too many watches",
        "Successor": "fork failed: RuntimeError: of the successor",
    }
    message = "upgrade failed, the old supervisor keeps running"
    require_that_the_server_goes_on(served, client, signal.SIGUSR2, message, reasons)


def test_more_and_fewer_processes(served: Faulty, client: httpx.Client) -> None:
    url = served.location()
    served.fail("fork")
    served.send(signal.SIGTTIN)
    served.wait_for(
        "ERROR rocket_cli: cannot start a process, trying again: fork failed: no more processes"
    )
    assert len(served.workers()) == 2
    served.fail("")
    eventually(lambda: len(served.workers()) == 3)
    served.wait_for("INFO rocket_cli: worker [0-9]+ serves")
    served.fail("_drain")
    served.send(signal.SIGTTOU)
    served.wait_for("ERROR rocket_cli: error while handling SIGTTOU; the supervisor goes on")
    served.wait_for("RuntimeError: of the drain")
    require_all_well(served, client, url)


def test_logs_that_are_reopened(served: Faulty, client: httpx.Client) -> None:
    url = served.location()
    served.fail("reopen_log")
    served.send(signal.SIGUSR1)
    served.wait_for("ERROR rocket_cli: error while handling SIGUSR1; the supervisor goes on")
    require_all_well(served, client, url)


def test_process_that_ended(served: Faulty, client: httpx.Client) -> None:
    """The process is replaced after failed attempts, and despite an error at its end."""
    url = served.location()
    served.fail("fork")
    for worker in served.workers():
        os.kill(worker, signal.SIGKILL)
    for _ in range(6):
        served.wait_for(
            "ERROR rocket_cli: cannot start a process, trying again: fork failed: no more"
        )
    served.fail("")
    for _ in range(2):
        served.wait_for("INFO rocket_cli: worker [0-9]+ serves")
    served.fail("ended")
    os.kill(served.workers()[0], signal.SIGKILL)
    served.wait_for("error while handling the end of a process; the supervisor goes on")
    require_all_well(served, client, url)


def test_end_of_a_process_that_was_to_serve(served: Faulty, client: httpx.Client) -> None:
    """The failed reload is noticed although the handling of the process's end fails."""
    url = served.location()
    application = Path(f"/proc/{served.pid}/cwd/versioned.py").resolve()
    text = application.read_text()
    application.write_text("raise RuntimeError('no database')")
    served.fail("ended")
    served.send(signal.SIGHUP)
    served.wait_for("error while handling the end of a process; the supervisor goes on")
    served.wait_for(
        "ERROR rocket_cli: reload failed, the old processes keep serving: its processes"
    )
    application.write_text(text)
    require_all_well(served, client, url)


def test_signal_that_cannot_be_sent(served: Faulty, client: httpx.Client, tmp_path: Path) -> None:
    url = served.location()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    application = (tmp_path / "versioned.py").read_text()
    (tmp_path / "versioned.py").write_text(
        "with open('arrived', 'a') as file: file.write('.')\nopen('gate').read()"
    )
    served.fail("kill")
    served.send(signal.SIGHUP)
    arrived = tmp_path / "arrived"
    eventually(lambda: arrived.exists() and arrived.stat().st_size == 2)  # both new processes
    os.kill(served.workers()[-1], signal.SIGKILL)
    served.wait_for("ERROR rocket_cli: cannot send SIGTERM to worker [0-9]+: not permitted")
    served.wait_for("ERROR rocket_cli: reload failed, the old processes keep serving: worker")
    (tmp_path / "versioned.py").write_text(application)
    served.fail("")
    gate.write_text("raise SystemExit")
    eventually(lambda: len(served.workers()) == 2)
    require_all_well(served, client, url)


@pytest.mark.parametrize("name", ["_announce", "notify_ready"])
def test_what_is_told_at_the_start(tmp_path: Path, write: Write, name: str) -> None:
    """The first generation serves although an announcement fails."""
    write("fault", name)
    with Faulty(tmp_path, write, "--pid", "rocket.pid") as served:
        served.fail(name)
        served.wait_for("the supervisor goes on")
        served.fail("")
        served.send(signal.SIGHUP)
        served.wait_for("INFO rocket_cli: reloaded: generation 2 serves")
        served.stop()


def test_nothing_that_could_serve(tmp_path: Path, write: Write) -> None:
    """An error of the supervisor at the start ends it, because nothing could serve."""
    with Faulty(tmp_path, write) as served:
        served.fail("ended")
        (tmp_path / "versioned.py").write_text("raise RuntimeError")
        assert served.wait()[0] in {0, 2}
