"""Applications that replace the threads and sockets of the process, by libraries of the test."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest

from conftest import VERSION, Write
from processes import Served, refuse

ANY = ["--bind", "127.0.0.1:0"]
LIBRARIES = {
    "gevent": """
        import gevent.monkey
        gevent.monkey.patch_all()
    """,
    "eventlet": """
        import eventlet.patcher
        eventlet.patcher.monkey_patch()
    """,
}


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest, write: Write) -> str:
    """A library that tells what it has replaced as the real one does, and replaces nothing."""
    name: str = request.param
    write(f"{name}/__init__.py", "")
    module, verb, question = {
        "gevent": ("monkey", "patch_all", "is_module_patched"),
        "eventlet": ("patcher", "monkey_patch", "is_monkey_patched"),
    }[name]
    write(
        f"{name}/{module}.py",
        f"""
        patched = set()
        def {verb}(*names):
            patched.update(names or ("os", "socket", "thread", "threading"))
        def {question}(name):
            return name in patched
        """,
    )
    write("patching.py", LIBRARIES[name] + VERSION.format("patched").replace("\n", "\n    "))
    return name


@pytest.mark.parametrize("option", ["--no-preload", "--preload", "--reload"])
def test_application_that_patches_is_refused(tmp_path: Path, library: str, option: str) -> None:
    line = refuse(tmp_path, *ANY, option, "patching:app")
    assert line.startswith(f"patching:app calls {library}.monkey")
    assert "replaces the threads and sockets that the server needs: remove the call" in line


def test_check_says_so(tmp_path: Path, library: str) -> None:
    assert "which replaces the threads" in refuse(tmp_path, *ANY, "patching", command="check"), (
        library
    )


def test_error_that_follows_from_it(tmp_path: Path, library: str, write: Write) -> None:
    write("patching.py", f"{LIBRARIES[library]}\n        raise RuntimeError('unreadable')")
    assert "unreadable" not in refuse(tmp_path, *ANY, "patching")


@pytest.mark.usefixtures("library")
def test_what_is_only_imported_is_served(tmp_path: Path, write: Write) -> None:
    write("gevent/monkey.py", "def is_module_patched(name): return name == 'os'")
    write("fine.py", "import gevent.monkey\n" + VERSION.format("fine").replace("\n    ", "\n"))
    with Served(tmp_path, *ANY, "fine") as served:
        served.location()
        served.stop()


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("option", ["--no-preload", "--preload"])
def test_reload_keeps_what_serves(
    tmp_path: Path, write: Write, client: httpx.Client, option: str
) -> None:
    patching = (tmp_path / "patching.py").read_text()
    write("patching.py", VERSION.format("one"))
    with Served(tmp_path, *ANY, option, "patching") as served:
        url = served.location()
        (tmp_path / "patching.py").write_text(patching)
        served.send(signal.SIGHUP)
        served.wait_for("stays: patching calls .* replaces the threads and sockets")
        assert client.get(url).text.startswith("one ")
        served.stop()
