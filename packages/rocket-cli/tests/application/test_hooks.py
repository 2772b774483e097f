"""The functions of a hooks module are called at their moments."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from conftest import HELLO, Write
from processes import Served, refuse
from rocket_cli._application.hooks import Moment
from rocket_core.testing import eventually

ALL = """
import os, signal

def note(name, server, *worker):
    pids = [server.pid, *(each.pid for each in worker)]
    generations = [each.generation for each in worker]
    with open("calls", "a") as file:
        print(name, os.getpid(), *pids, *generations, file=file)

def on_starting(server): note("on_starting", server)
def when_ready(server): note("when_ready", server)
def pre_fork(server, worker): note("pre_fork", server, worker)
def post_fork(server, worker): note("post_fork", server, worker)
def worker_ready(server, worker): note("worker_ready", server, worker)
def worker_exit(server, worker): note("worker_exit", server, worker)
def child_exit(server, worker): note("child_exit", server, worker)
def on_reload(server): note("on_reload", server)
def on_exit(server): note("on_exit", server)
"""
ANY = ("--bind", "127.0.0.1:0", "--hooks", "hooks", "app")


@pytest.fixture
def site(tmp_path: Path, write: Write) -> Path:
    write("app.py", HELLO.format("app"))
    return tmp_path


def test_all_functions_are_called_in_order(site: Path, write: Write) -> None:
    write("hooks.py", ALL)

    def calls() -> list[list[str]]:
        return [line.split() for line in (site / "calls").read_text().splitlines()]

    with Served(site, *ANY) as served:
        served.location()
        eventually(lambda: any(each[0] == "when_ready" for each in calls()))
        server = str(served.pid)
        (first,) = map(str, served.workers())
        served.send(signal.SIGHUP)
        served.wait_for("reloaded")
        eventually(lambda: first not in map(str, served.workers()))
        (second,) = map(str, served.workers())
        served.stop()
    seen = calls()
    names = [each[0] for each in seen]
    assert set(names) == {each.value for each in Moment}
    start = ["on_starting", "pre_fork", "post_fork", "worker_ready", "when_ready"]
    assert names[:5] == start
    assert names[5:9] == ["on_reload", "pre_fork", "post_fork", "worker_ready"]
    assert names[9:13] == ["worker_exit", "child_exit"] * 2
    assert names[13:] == ["on_exit"]
    for name, caller, of_server, *of_worker in seen:
        in_worker = name in {"post_fork", "worker_ready", "worker_exit"}
        assert of_server == server
        assert (caller != server) == in_worker
        if in_worker:
            assert of_worker == [caller, "0"]
    assert [each[3:] for each in seen if each[0] == "pre_fork"] == [["0", "1"], ["0", "2"]]
    exits = [each[3:] for each in seen if each[0] == "child_exit"]
    assert exits == [[first, "1"], [second, "2"]]


@pytest.mark.parametrize("name", ["on_starting", "pre_fork", "post_fork", "worker_ready"])
def test_a_function_may_keep_the_server_from_starting(site: Path, write: Write, name: str) -> None:
    parameters = "server" if name == "on_starting" else "server, worker"
    write("hooks.py", f"def {name}({parameters}): raise LookupError('no database')")
    line = refuse(site, *ANY)
    assert line == f"--hooks: {name} failed: LookupError: no database"


@pytest.mark.parametrize("name", ["when_ready", "worker_exit", "child_exit", "on_exit"])
def test_an_error_that_comes_too_late_is_logged(site: Path, write: Write, name: str) -> None:
    parameters = "server, worker" if name in {"worker_exit", "child_exit"} else "server"
    write("hooks.py", f"def {name}({parameters}): raise LookupError('no database')")
    with Served(site, *ANY) as served:
        served.location()
        served.stop()
    told = f"ERROR rocket_cli: --hooks: {name} failed: LookupError: no database"
    assert sum(told in line for line in served.said) == 1
    assert any("in " + name in line for line in served.said)


def test_the_logger_and_the_settings(site: Path, write: Write) -> None:
    write(
        "hooks.py",
        "def post_fork(server, worker):\n"
        "    server.log.info('%s threads in %d', server.settings['threads'].most, worker.pid)\n",
    )
    with Served(site, *ANY) as served:
        pid = served.wait_for(r"INFO rocket_cli: 8 threads in (\d+)")[1]
        served.location()
        assert [int(pid)] == served.workers()
        served.stop()
    assert int(pid) != os.getpid()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, "no module 'hooks' in "),
        ("import nothing_like_this", "cannot import hooks: ModuleNotFoundError: "),
        ("x = 1", "--hooks: module hooks has none of these functions: on_starting, "),
        ("on_exit = 3", "--hooks: hooks.on_exit must be a function that takes (server)"),
        ("def on_exit(): ...", "--hooks: hooks.on_exit must be a function that takes (server)"),
        (
            "def pre_fork(server): ...",
            "--hooks: hooks.pre_fork must be a function that takes (server, worker)",
        ),
    ],
)
def test_modules_that_are_refused(site: Path, write: Write, text: str | None, line: str) -> None:
    if text is not None:
        write("hooks.py", text)
    assert refuse(site, *ANY).startswith(line)


def test_names_that_are_none_of_a_module(site: Path) -> None:
    line = refuse(site, "--hooks", "hooks.py:x")
    assert line == "--hooks: 'hooks.py:x' is not the name of a module: use MODULE or PACKAGE.MODULE"
