from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest

from conftest import VERSION, Write
from processes import Served, refuse
from rocket_core.testing import eventually

ANY = ["--bind", "127.0.0.1:0"]
COUNTED = """
    import os
    with open("imports", "a") as file:
        file.write(f"{os.getpid()}\\n")
"""


def test_application_is_imported_once(tmp_path: Path, write: Write) -> None:
    write("counted.py", COUNTED + VERSION.format("one"))
    with Served(tmp_path, *ANY, "--preload", "--processes", "3", "counted") as served:
        served.location()
        assert (tmp_path / "imports").read_text() == f"{served.pid}\n"
        served.stop()


def test_error_of_the_application(tmp_path: Path, write: Write) -> None:
    write("failing.py", "raise RuntimeError('no database')")
    line = refuse(tmp_path, *ANY, "--preload", "failing")
    assert line.startswith("cannot import failing: RuntimeError: no database")


SLOW = """
    import threading
    open("begun", "w").close()
    threading.Event().wait()
"""
IMPORTING = pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 1), (signal.SIGQUIT, 0)]
)


@IMPORTING
@pytest.mark.parametrize("option", ["--no-preload", "--preload"])
def test_signal_while_the_application_is_imported(
    tmp_path: Path, write: Write, number: signal.Signals, code: int, option: str
) -> None:
    write("slow.py", SLOW)
    options = ["--bind", "unix:rocket.sock", "--pid", "rocket.pid", option]
    with Served(tmp_path, *options, "slow") as served:
        eventually((tmp_path / "begun").exists)
        assert (tmp_path / "rocket.sock").exists()
        served.send(number)
        assert served.wait()[0] == code
    assert served.said == []
    assert not (tmp_path / "rocket.sock").exists()
    assert not (tmp_path / "rocket.pid").exists()


def test_signal_while_the_import_blocks(tmp_path: Path, write: Write) -> None:
    """The import blocks in C code, or catches every exception."""
    write(
        "stubborn.py",
        """
        import ctypes
        pause = ctypes.CDLL(None).pause
        open("begun", "w").close()
        while True:
            try:
                pause()
            except BaseException:
                pass
        """,
    )
    with Served(tmp_path, *ANY, "--preload", "stubborn") as served:
        eventually((tmp_path / "begun").exists)
        served.send(signal.SIGTERM)
        assert served.wait()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2], ids=["reload", "upgrade"])
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT], ids=["gently", "at once"])
def test_ending_while_a_new_supervisor_imports(
    tmp_path: Path, write: Write, number: signal.Signals, ending: signal.Signals
) -> None:
    """Both supervisors end without being killed, and leave no files."""
    write("versioned.py", VERSION.format("one"))
    options = ["--bind", "unix:rocket.sock", "--pid", "rocket.pid", "--preload"]
    with Served(tmp_path, *options, "versioned") as served:
        served.location()
        write("versioned.py", SLOW)
        served.send(number)
        eventually((tmp_path / "begun").exists)
        served.send(ending)
        assert served.wait()[0] == 0  # and all that hold its standard error have ended
    assert not any("is killed" in line for line in served.said)
    assert not (tmp_path / "rocket.sock").exists()
    assert not (tmp_path / "rocket.pid").exists()


def test_other_signals_wait_for_the_application(tmp_path: Path, write: Write) -> None:
    write("versioned.py", VERSION.format("one"))
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    write("gated.py", "open('begun', 'w').close()\nopen('gate').read()\nfrom versioned import app")
    with Served(tmp_path, *ANY, "--preload", "gated") as served:
        eventually((tmp_path / "begun").exists)
        served.send(signal.SIGTTIN)
        served.send(signal.SIGUSR1)
        gate.write_text("")
        served.location()
        served.stop()


def test_threads_of_the_application(tmp_path: Path, write: Write) -> None:
    write(
        "threaded.py",
        """
        import threading, time
        threading.Thread(target=time.sleep, args=[60], name="ticker", daemon=True).start()
        """
        + VERSION.format("one").replace("\n    ", "\n        "),
    )
    with Served(tmp_path, *ANY, "--preload", "threaded") as served:
        served.wait_for("WARNING rocket_cli: --preload: .* at import, .*: ticker; start them later")
        served.location()
        served.stop()


def test_reload_replaces_the_supervisor(tmp_path: Path, write: Write, client: httpx.Client) -> None:
    """The supervisor has imported the application and cannot import it again."""
    write("versioned.py", VERSION.format("one"))
    with Served(tmp_path, *ANY, "--preload", "versioned") as served:
        url = served.location()
        write("versioned.py", "raise RuntimeError('no database')")
        served.send(signal.SIGHUP)
        served.wait_for(
            "ERROR rocket_cli: upgrade failed, the old supervisor keeps running: .*no database"
        )
        assert client.get(url).text.startswith("one ")
        write("versioned.py", VERSION.format("second"))
        served.send(signal.SIGHUP)
        new = int(served.wait_for("INFO rocket_cli: process ([0-9]+) takes over")[1])
        eventually(lambda: client.get(url).text.startswith("second "))
        os.kill(new, signal.SIGTERM)
        assert served.wait()[0] == 0
