from __future__ import annotations

import errno
import fcntl
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from conftest import HELLO, Write
from privileges import needs_root, public_path, trap  # noqa: F401 - a fixture
from processes import Served, refuse
from rocket_cli._errors import CommandError
from rocket_cli._settings.identity import Identity
from rocket_cli._settings.origin import Origin
from rocket_cli._supervisor.pid_file import PidFile

OPTION = Origin("command line", "--pid", "--pid")


def test_file_is_there_while_it_serves(tmp_path: Path, write: Write) -> None:
    write("good.py", HELLO.format("app"))
    with Served(tmp_path, "--bind", "127.0.0.1:0", "--pid", "rocket.pid", "good") as served:
        served.location()
        assert (tmp_path / "rocket.pid").read_text() == f"{served.pid}\n"
        served.stop()
    assert not (tmp_path / "rocket.pid").exists()


def test_server_that_runs_keeps_its_file(tmp_path: Path, write: Write) -> None:
    write("good.py", HELLO.format("app"))
    options = ["--bind", "127.0.0.1:0", "--pid", "rocket.pid", "good"]
    with Served(tmp_path, *options) as served:
        served.location()
        line = refuse(tmp_path, *options)
        assert line.startswith(
            f"--pid: {tmp_path}/rocket.pid belongs to process {served.pid}, which runs"
        )
        assert (tmp_path / "rocket.pid").read_text() == f"{served.pid}\n"
        served.stop()
    assert not (tmp_path / "rocket.pid").exists()


def test_lock_ends_with_the_supervisor(tmp_path: Path, write: Write) -> None:
    """The workers, which may run on for a while after the supervisor was killed, do not hold it."""
    write("good.py", HELLO.format("app"))
    options = ["--bind", "127.0.0.1:0", "--pid", "rocket.pid", "--processes", "2", "good"]
    with Served(tmp_path, *options) as killed:
        killed.location()
        workers = killed.workers()
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        try:
            killed.send(signal.SIGKILL)
            killed.wait_for_exit()
            with Served(tmp_path, *options) as served:
                served.location()
                assert (tmp_path / "rocket.pid").read_text() == f"{served.pid}\n"
                served.stop()
        finally:
            for worker in workers:
                os.kill(worker, signal.SIGKILL)


def test_process_id_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "rocket.pid"
    path.write_text(f"{os.getppid()}\n")
    file = PidFile(path, OPTION)
    file.write()
    assert path.read_text() == f"{os.getpid()}\n"
    file.remove()


@pytest.mark.parametrize("content", ["", "nonsense", "ended"])
def test_file_that_was_left_behind(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rocket.pid"
    if content == "ended":
        with subprocess.Popen([sys.executable, "-c", ""]) as ended:
            content = str(ended.pid)
    path.write_text(content)
    file = PidFile(path, OPTION)
    file.write()
    assert path.read_text() == f"{os.getpid()}\n"
    assert list(tmp_path.iterdir()) == [path]
    file.remove()
    assert not path.exists()


def test_file_of_a_successor_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rocket.pid"
    file = PidFile(path, OPTION)
    file.write()
    successor = PidFile(path, OPTION)
    successor.write(os.getpid())
    inode = path.stat().st_ino
    file.remove()
    assert path.stat().st_ino == inode
    successor.remove()
    assert not path.exists()


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "rocket.pid"
    with pytest.raises(CommandError, match=rf"^--pid: {path} cannot be written: No such file"):
        PidFile(path, OPTION).write()


def test_file_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    path = tmp_path / "rocket.pid"
    with pytest.raises(CommandError, match=rf"^--pid: {path} cannot be locked: .*; choose a file"):
        PidFile(path, OPTION).write()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_path_that_is_not_a_regular_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "rocket.pid"
    make(path)
    before = path.lstat()
    with pytest.raises(CommandError, match=r"^--pid: .* cannot be written: (it is not|Is a dir)"):
        PidFile(path, OPTION).write()
    assert os.path.samestat(before, path.lstat())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("left", [True, False])
def test_one_of_two_simultaneous_commands_serves(tmp_path: Path, left: bool) -> None:
    """The second command starts within each step of the first, one step after the other."""
    path = tmp_path / "rocket.pid"
    fallen_into = set()
    for step in ("open", "fstat", "flock", "stat", "write", "link", "replace"):
        if left:
            path.write_text("garbage")
        first, second = PidFile(path, OPTION), PidFile(path, OPTION)
        results: list[bool] = []

        def start(file: PidFile, results: list[bool] = results) -> None:
            try:
                file.write()
            except CommandError:
                results.append(False)
            else:
                results.append(True)

        with before_call(step, partial(start, second)):
            start(first)
        if len(results) == 1:  # this step is not taken here
            assert results == [True]
        else:
            assert sorted(results) == [False, True], step
            fallen_into.add(step)
        for file in (first, second):
            file.remove()
        assert not path.exists() or left
        assert list(tmp_path.iterdir()) in ([], [path])
        path.unlink(missing_ok=True)
    assert fallen_into >= {"open", "flock", "write", "replace" if left else "link"}


@contextmanager
def before_call(step: str, interrupt: Callable[[], None]) -> Iterator[None]:
    """Call ``interrupt`` once, before the first system call of this name."""
    module = fcntl if step == "flock" else os
    real = getattr(module, step)
    with pytest.MonkeyPatch.context() as patch:

        def interrupted(*args: object, **kwargs: object) -> object:
            patch.undo()
            interrupt()
            return real(*args, **kwargs)

        patch.setattr(module, step, interrupted)
        yield


@needs_root
def test_file_that_another_user_foresees(tmp_path: Path) -> None:
    """In a directory of the service's user, nothing is written with the rights of root."""
    nobody = pwd.getpwnam("nobody")
    directory, secret = trap(tmp_path)
    path = directory / "rocket.pid"
    for name in (path.name, f"{path.name}.{os.getpid()}"):
        (directory / name).symlink_to(secret)
    file = PidFile(path, OPTION, Identity(nobody.pw_uid, nobody.pw_gid, []))
    with pytest.raises(CommandError, match="Permission denied"):
        file.write()
    path.unlink()
    file.write()
    assert path.read_text() == f"{os.getpid()}\n"
    assert path.owner() == "nobody"
    file.remove()
    assert secret.read_text() == "secret"
    assert secret.stat().st_uid == 0
    assert os.geteuid() == 0
