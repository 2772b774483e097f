"""Applications that patch threads and sockets, by libraries that the test provides."""

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
    """Write a library that reports patches as the real one does, but patches nothing."""
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


def test_check_refuses_it_too(tmp_path: Path, library: str) -> None:
    assert "which replaces the threads" in refuse(tmp_path, *ANY, "patching", command="check"), (
        library
    )


def test_error_at_import_that_the_patch_causes(tmp_path: Path, library: str, write: Write) -> None:
    write("patching.py", f"{LIBRARIES[library]}\n        raise RuntimeError('unreadable')")
    assert "unreadable" not in refuse(tmp_path, *ANY, "patching")


@pytest.mark.usefixtures("library")
def test_library_that_is_only_imported_is_accepted(tmp_path: Path, write: Write) -> None:
    write("gevent/monkey.py", "def is_module_patched(name): return name == 'os'")
    write("fine.py", "import gevent.monkey\n" + VERSION.format("fine").replace("\n    ", "\n"))
    with Served(tmp_path, *ANY, "fine") as served:
        served.location()
        served.stop()


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("option", ["--no-preload", "--preload"])
def test_reload_keeps_the_old_processes(
    tmp_path: Path, write: Write, client: httpx.Client, option: str
) -> None:
    patching = (tmp_path / "patching.py").read_text()
    write("patching.py", VERSION.format("one"))
    with Served(tmp_path, *ANY, option, "patching") as served:
        url = served.location()
        (tmp_path / "patching.py").write_text(patching)
        served.send(signal.SIGHUP)
        served.wait_for(
            "failed, the old .* keeps? .*: patching calls .* replaces the threads and sockets"
        )
        assert client.get(url).text.startswith("one ")
        served.stop()
