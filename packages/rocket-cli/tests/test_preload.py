from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx

from conftest import VERSION, Write
from processes import Served, eventually, refuse

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
        served.wait_for(
            "WARNING rocket_cli: importing .* has started threads.*: ticker; do without"
        )
        served.location()
        served.stop()


def test_reload_replaces_the_supervisor(tmp_path: Path, write: Write, client: httpx.Client) -> None:
    """It has imported the application, and cannot import it once more."""
    write("versioned.py", VERSION.format("one"))
    with Served(tmp_path, *ANY, "--preload", "versioned") as served:
        url = served.location()
        write("versioned.py", "raise RuntimeError('no database')")
        served.send(signal.SIGHUP)
        served.wait_for("ERROR rocket_cli: no new supervisor, this one stays: .*no database")
        assert client.get(url).text.startswith("one ")
        write("versioned.py", VERSION.format("second"))
        served.send(signal.SIGHUP)
        new = int(served.wait_for("INFO rocket_cli: process ([0-9]+) takes over")[1])
        eventually(lambda: client.get(url).text.startswith("second "))
        os.kill(new, signal.SIGTERM)
        assert served.wait()[0] == 0
