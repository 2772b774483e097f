"""The command with standard descriptors that are closed, or that a log names by a path."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from conftest import HELLO, Write
from privileges import public_path  # noqa: F401 - a fixture
from processes import COMMAND, PATIENCE, Served, eventually, refuse

ANY = ["--bind", "127.0.0.1:0"]

PRINTS = """
    import os, subprocess, sys
    def app(environ, start_response):
        for number in (1, 2):
            os.write(number, b"PRINTED")
        print("PRINTED")
        sys.stderr.write("PRINTED")
        sys.__stderr__.write("PRINTED")
        subprocess.run(["echo", "PRINTED"], check=True)
        if environ["PATH_INFO"] == "/failing":
            raise RuntimeError("a bug")
        environ["wsgi.errors"].write("PRINTED")
        start_response("200 OK", [])
        return [repr([os.fstat(n).st_rdev for n in range(3)]).encode(), sys.stdin.read().encode()]
"""


@pytest.mark.parametrize("closed", ["0<&- 1>&- 2>&-", "0<&-", "1>&-", "2>&-", "1>&- 2>&-"])
def test_closed_descriptors(tmp_path: Path, write: Write, closed: str) -> None:
    """Output of the application never goes to a client, and errors are logged."""
    write("prints.py", PRINTS)
    path, log = tmp_path / "a.sock", tmp_path / "error.log"
    options = ["--bind", f"unix:{path}", "--error-log", str(log), "--pid", "pid", "prints"]
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, "serve", *options]
    pid = tmp_path / "pid"
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            eventually(lambda: pid.exists() and answers(path))
            transport = httpx.HTTPTransport(uds=str(path))
            with httpx.Client(transport=transport, timeout=PATIENCE) as client:
                null = os.stat(os.devnull).st_rdev
                for _ in range(2):
                    assert client.get("http://a/").text == repr([null] * 3)
                assert client.get("http://a/failing").status_code == 500
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert "RuntimeError: a bug" in log.read_text()


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(str(path))
        except OSError:
            return False
        return True


# -- logs by the path of a descriptor ----------------------------------------------------------


class Output:
    """A kind of standard output, and the data that arrives at its other end."""

    def __init__(self, kind: str, directory: Path) -> None:
        if kind == "pipe":
            self.reader, self.given = os.pipe()
        elif kind == "socket":  # as the journal's
            reader, given = socket.socketpair()
            self.reader, self.given = reader.detach(), given.detach()
        else:
            self.given = os.open(directory / "output", os.O_WRONLY | os.O_CREAT, 0o600)
            self.reader = os.open(directory / "output", os.O_RDONLY)
        os.set_blocking(self.reader, False)
        self.read = b""

    def holds(self, *texts: str) -> bool:
        with suppress(BlockingIOError):
            self.read += os.read(self.reader, 65536)
        return all(each.encode() in self.read for each in texts)

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.given)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("pipe", "/dev/stdout"),
        ("pipe", "/dev/fd/1"),
        ("pipe", "/dev/fd/{}"),
        ("pipe", "/proc/self/fd/1"),
        ("pipe", "link"),
        ("socket", "/dev/stdout"),
        ("socket", "/dev/stderr"),
        ("file", "/dev/stdout"),
    ],
)
def test_log_uses_the_given_descriptor(tmp_path: Path, write: Write, kind: str, path: str) -> None:
    """All kinds work at the start, after the logs are reopened, and with another user."""
    write("hello.py", HELLO.format("app"))
    (tmp_path / "link").symlink_to("/dev/stdout")
    output = Output(kind, tmp_path)
    name = path.format(output.given)
    options = [*ANY, "--access-log", name, "--error-log", name]
    if os.geteuid() == 0:
        options += ["--user", "nobody"]
    with subprocess.Popen(
        [*COMMAND, "serve", *options, "hello"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=output.given,
        stderr=output.given,
        pass_fds=(output.given,),
    ) as process:
        try:
            eventually(lambda: output.holds("Listening on "))
            url = output.read.decode().partition("Listening on ")[2].split()[0]
            httpx.get(f"{url}/first", trust_env=False)
            eventually(lambda: output.holds("GET /first HTTP"))
            process.send_signal(signal.SIGUSR1)
            eventually(lambda: output.holds("the logs are reopened"))
            httpx.get(f"{url}/second", trust_env=False)
            eventually(lambda: output.holds("GET /second HTTP"))
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            output.close()


@pytest.mark.parametrize("option", ["--access-log", "--error-log"])
def test_descriptor_of_the_server_is_refused(tmp_path: Path, write: Write, option: str) -> None:
    """By the time a log is opened, the number of a closed descriptor may be that of a socket."""
    write("hello.py", HELLO.format("app"))
    line = refuse(tmp_path, *ANY, option, "/dev/fd/4", "hello")
    assert f"{option} '/dev/fd/4' cannot be written: Bad file descriptor" in line


def test_other_paths_of_devices(tmp_path: Path, write: Write) -> None:
    write("hello.py", HELLO.format("app"))
    with Served(tmp_path, *ANY, "--access-log", "/dev/null", "hello") as served:
        served.location()
        served.stop()
