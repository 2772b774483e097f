"""The working directory when directories are replaced while the command runs."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import dedent

import httpx
import pytest

from choosing import choose
from conftest import VERSION, Write
from processes import COMMAND, Served
from rocket_cli._errors import CommandError
from rocket_cli._supervisor.working_directory import WorkingDirectory
from rocket_core.testing import eventually

ANY = ["--bind", "127.0.0.1:0"]
ENTER = ["sh", "-c", 'cd "$DIRECTORY" && exec "$@"', "sh", *COMMAND]
"""Enter a directory as a shell does, which remembers links in the variable PWD."""

HASTY = [
    sys.executable,
    "-c",
    dedent("""
        from rocket_cli._commands.main import main
        from rocket_cli._supervisor import restarts
        restarts._PAUSES = (0.05,)
        main(prog_name="rocket-cli")
    """),
]
"""The command, with short pauses between its attempts to start a process."""

Release = Callable[[str], Path]


@pytest.fixture
def release(tmp_path: Path, write: Write) -> Release:
    """Make the release of this name, and let the link ``current`` lead to it."""

    def release(name: str) -> Path:
        write(f"{name}/versioned.py", VERSION.format(name))
        (tmp_path / "new").symlink_to(name)
        (tmp_path / "new").rename(tmp_path / "current")
        return tmp_path / name

    return release


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Return to the present directory at the end of the test."""
    monkeypatch.chdir(Path.cwd())


def read(log: Path) -> str:
    return log.read_text() if log.exists() else ""


def is_over(former: Path, present: Path) -> bool:
    """Return whether a reload or an upgrade is over, by the logs of both releases."""
    return "takes over" in read(former) or "reloaded: " in read(present)


def text(client: httpx.Client, url: str, path: str = "") -> str:
    return client.get(url + path).text.split()[0]


# -- where it is -----------------------------------------------------------------------------------


def test_directory_is_entered_by_its_name(tmp_path: Path, release: Release) -> None:
    first = release("first")
    os.chdir(tmp_path / "current")
    working_directory = WorkingDirectory({"PWD": str(tmp_path / "current")})
    assert working_directory.directory == tmp_path / "current"
    second = release("second")
    working_directory.leave(choose())
    assert Path.cwd() == second
    (second / "below").mkdir()
    os.chdir(first)
    working_directory.enter(choose("--chdir", "below"))
    assert Path.cwd() == second / "below"


@pytest.mark.parametrize("name", ["", ".", "first", "/", "/nowhere"])
def test_name_of_another_directory(tmp_path: Path, release: Release, name: str) -> None:
    first = release("first")
    os.chdir(first)
    assert WorkingDirectory({"PWD": name}).directory == Path.cwd() == tmp_path / "first"


def test_directory_that_is_gone(tmp_path: Path, release: Release) -> None:
    first = release("first")
    os.chdir(first)
    working_directory = WorkingDirectory({})
    shutil.rmtree(first)
    placed = choose("--chdir", str(tmp_path))
    for chosen in (choose(), choose("--chdir", "..")):
        with pytest.raises(CommandError, match="where the command was started: No such file"):
            working_directory.leave(chosen)
        with pytest.raises(CommandError, match=str(first)):
            working_directory.enter(chosen)
        with pytest.raises(CommandError, match=str(first)):
            working_directory.keep(chosen)
    working_directory.leave(placed)
    working_directory.enter(placed)
    assert Path.cwd() == tmp_path


def test_directory_that_was_gone_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    working_directory = WorkingDirectory({"PWD": str(tmp_path / "gone")})
    with pytest.raises(CommandError, match="is gone: start it in an existing one"):
        working_directory.enter(choose())
    working_directory.enter(choose("--chdir", str(tmp_path)))
    assert Path.cwd() == tmp_path


def test_directory_is_kept_unless_it_was_removed(tmp_path: Path, release: Release) -> None:
    """The replacement of a process serves the same release as the others."""
    first = release("first")
    chosen = choose("--chdir", str(tmp_path / "current"))
    working_directory = WorkingDirectory()
    working_directory.enter(chosen)
    second = release("second")
    working_directory.keep(chosen)
    assert Path.cwd() == first
    shutil.rmtree(first)
    working_directory.keep(chosen)
    assert Path.cwd() == second


# -- a server --------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--no-preload", "--preload"])
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2], ids=["reload", "upgrade"])
def test_link_is_followed(
    tmp_path: Path,
    release: Release,
    client: httpx.Client,
    number: signal.Signals,
    option: str,
) -> None:
    """Settings, static files and the application are those of the current release."""

    def prepare(name: str) -> Path:
        directory = release(name)
        (directory / "files").mkdir()
        (directory / "files/name.txt").write_text(name)
        (directory / "rocket.toml").write_text(
            f'app = "versioned"\nstatic = ["/files=files"]\nerror-log = "{name}.log"\n'
        )
        return directory

    options = [*ANY, option, "--pid", str(tmp_path / "rocket.pid")]
    first = prepare("first")
    with Served(tmp_path, *options, command=ENTER, DIRECTORY=str(tmp_path / "current")) as served:
        url = served.location()
        assert text(client, url) == "first"
        for old, name in ((first, "second"), (tmp_path / "second", "third")):
            prepare(name)
            os.kill(int((tmp_path / "rocket.pid").read_text()), number)
            former, present = old / f"{old.name}.log", tmp_path / name / f"{name}.log"
            eventually(partial(is_over, former, present))
            assert text(client, url) == name
            assert text(client, url, "/files/name.txt") == name
            assert present.exists()
            shutil.rmtree(old)
        os.kill(int((tmp_path / "rocket.pid").read_text()), signal.SIGTERM)
        assert served.wait()[0] == 0


def stop(served: Served, pid_file: Path, *, upgraded: bool) -> None:
    """End the server, after an upgrade only when the new supervisor has taken over the file.

    The new one answers before that.
    """
    if upgraded:
        eventually(lambda: int(pid_file.read_text()) != served.pid)
    os.kill(int(pid_file.read_text()), signal.SIGTERM)
    assert served.wait()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2], ids=["reload", "upgrade"])
def test_directory_of_the_start_is_gone(
    tmp_path: Path, release: Release, client: httpx.Client, number: signal.Signals
) -> None:
    """A server that does not depend on the directory goes on."""
    release("first")
    (tmp_path / "start").mkdir()
    options = ["--chdir", str(tmp_path / "current"), "--pid", str(tmp_path / "rocket.pid")]
    with Served(tmp_path / "start", *ANY, *options, "versioned") as served:
        url = served.location()
        (tmp_path / "start").rmdir()
        release("second")
        served.send(number)
        eventually(lambda: text(client, url) == "second")
        stop(served, tmp_path / "rocket.pid", upgraded=number == signal.SIGUSR2)


@pytest.mark.parametrize(
    ("option", "number", "trouble"),
    [
        ("--no-preload", signal.SIGHUP, "reload failed, the old processes keep serving"),
        ("--no-preload", signal.SIGUSR2, "upgrade failed, the old supervisor keeps running"),
        ("--preload", signal.SIGHUP, "upgrade failed, the old supervisor keeps running"),
    ],
    ids=["reload", "upgrade", "preload"],
)
def test_directory_that_is_needed_is_gone(
    release: Release, client: httpx.Client, option: str, number: signal.Signals, trouble: str
) -> None:
    """The server goes on, and uses the directory when it exists again."""
    first = release("first")
    with Served(
        first, *ANY, option, "--pid", str(first.parent / "rocket.pid"), "versioned"
    ) as served:
        url = served.location()
        shutil.rmtree(first)
        for _ in range(2):
            served.send(number)
            served.wait_for(f"{trouble}: cannot work in {first}, where the command was started: No")
            assert text(client, url) == "first"
        first.mkdir()
        (first / "versioned.py").write_text(dedent(VERSION.format("again")))
        served.send(number)
        eventually(lambda: text(client, url) == "again")
        upgraded = option == "--preload" or number == signal.SIGUSR2
        stop(served, first.parent / "rocket.pid", upgraded=upgraded)


def test_process_is_replaced_where_the_directory_is_another(
    tmp_path: Path, release: Release, client: httpx.Client
) -> None:
    first = release("first")
    with Served(
        tmp_path, *ANY, "versioned", command=ENTER, DIRECTORY=str(tmp_path / "current")
    ) as served:
        url = served.location()
        release("second")
        shutil.rmtree(first)
        os.kill(served.workers()[0], signal.SIGKILL)
        served.wait_for("worker [0-9]+ serves")
        assert text(client, url) == "second"
        served.stop()


def test_directory_is_gone_when_a_process_is_replaced(
    tmp_path: Path, release: Release, client: httpx.Client
) -> None:
    """The supervisor waits for the directory for as long as necessary."""
    first = release("first")
    with Served(first, *ANY, "versioned", command=HASTY) as served:
        url = served.location()
        shutil.rmtree(first)
        os.kill(served.workers()[0], signal.SIGKILL)
        for _ in range(6):
            served.wait_for(f"cannot start a process, trying again: cannot work in {first}")
        first.mkdir()
        (first / "versioned.py").write_text(dedent(VERSION.format("first")))
        served.wait_for("worker [0-9]+ serves")
        assert text(client, url) == "first"
        served.stop()
