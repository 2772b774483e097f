"""The commands exit with the codes that the page on exit codes has."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import termios
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from rocket_cli._commands.main import SUBCOMMANDS, main
from systemtests.processes import PATIENCE, PLAIN, ROOT, Process, Server, environment, rocket_cli
from systemtests.tables import rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = ROOT / "docs" / "reference" / "exit-codes.md"
CODES = {
    (command.strip(" `"), int(code))
    for commands, code, _ in rows(PAGE)
    for command in commands.split(",")
}

GOOD = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return []\n"
WAITING = """\
import os, socket
socket.create_connection(("127.0.0.1", int(os.environ["GATE"]))).recv(1)
"""

ASKING = {
    "stats": [],
    "threads": [],
    "connections": [],
    "log-level": ["info"],
    "resize": ["--threads", "2"],
    "reload": [],
    "drain": [],
}
"""The commands that ask a running server, with arguments that it accepts."""

ALONE = {
    ("config", 0): [],
    ("config", 2): ["--threads", "none"],
    ("cert", 0): ["--directory", "certificates"],
    ("cert", 2): ["not/a/name"],
    ("completion", 0): ["bash"],
    ("completion", 2): ["tcsh"],
    ("migrate", 0): ["--", "gunicorn", "-w", "4", "shop.wsgi"],
    ("migrate", 2): ["no.conf.py"],
    ("top", 2): ["--admin", "no.sock"],
    ("any", 2): ["--no-such-option"],
}
"""Arguments of the commands that need no server, and with which code they end."""

ELSEWHERE = {("serve", 0), ("serve", 1), ("serve", 2), ("check", 0), ("check", 2), ("top", 0)}
"""What has a test of its own below."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def code_of(*arguments: str) -> int:
    """Run a command in this process; return its exit code."""
    with pytest.raises(SystemExit) as caught:
        main.main(list(arguments), prog_name="rocket-cli")
    return int(caught.value.code or 0)


def code_of_process(folder: Path, *arguments: str) -> int:
    done = subprocess.run(
        [rocket_cli(), *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode


def test_every_code_of_the_page_is_tried() -> None:
    asked = {(name, code) for name in ASKING for code in (0, 1, 2)}
    assert asked | set(ALONE) | ELSEWHERE == CODES
    assert {name for name, _ in CODES} == {*SUBCOMMANDS, "any"}


@pytest.mark.parametrize(("name", "code"), ALONE, ids=str)
def test_without_a_server(name: str, code: int) -> None:
    command = [] if name == "any" else [name]
    assert code_of(*command, *ALONE[name, code]) == code


@contextmanager
def refusing(path: str) -> Iterator[None]:
    """A server that refuses whatever it is asked."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def answer() -> None:
            client, _ = listener.accept()
            with client, client.makefile("rb") as lines:
                for _ in lines:
                    client.sendall(json.dumps({"version": 1, "error": "no"}).encode() + b"\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join(PATIENCE)


@pytest.mark.parametrize("name", ASKING)
def test_server_that_refuses(name: str) -> None:
    with refusing("admin.sock"):
        assert code_of(name, "--admin", "admin.sock", *ASKING[name]) == 1
    assert code_of(name, "--admin", "admin.sock", *ASKING[name]) == 2  # it has ended


def test_server_that_obeys(folder: Path) -> None:
    (folder / "good.py").write_text(GOOD)
    command = [rocket_cli(), "serve", *PLAIN, "--admin", "admin.sock", "good:app"]
    with Server(command, folder) as server:
        names = [name for name in ASKING if name != "drain"]
        assert [code_of(name, "--admin", "admin.sock", *ASKING[name]) for name in names] == [0] * 6
        assert code_of_top(folder) == 0
        (folder / "good.py").write_text("raise RuntimeError")
        assert code_of("reload", "--admin", "admin.sock") == 1
        assert code_of("drain", "--admin", "admin.sock") == 0
        assert server.wait() == 0


def code_of_top(folder: Path) -> int:
    """Run the live screen in a terminal, and press q when it is there."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [rocket_cli(), "top", "--admin", "admin.sock"]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment(TERM="xterm"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as child:
        os.close(theirs)
        shown = b""
        while b"quit" not in shown:  # the screen is there, and keys are read
            shown += os.read(ours, 4096)
        os.write(ours, b"q")
        try:
            while os.read(ours, 4096):
                pass
        except OSError:  # the other side is closed
            pass
        os.close(ours)
        return child.wait(PATIENCE)


def test_check_and_serve_that_fail(folder: Path) -> None:
    (folder / "good.py").write_text(GOOD)
    assert code_of_process(folder, "check", "good:app") == 0
    (folder / "bad.py").write_text("raise RuntimeError")
    assert code_of_process(folder, "check", "bad:app") == 2
    assert code_of_process(folder, "serve", *PLAIN, "bad:app") == 2


def test_interrupt_before_it_serves(folder: Path) -> None:
    (folder / "waiting.py").write_text(WAITING)
    with socket.create_server(("127.0.0.1", 0)) as gate:
        gate.settimeout(PATIENCE)
        variables = {"GATE": str(gate.getsockname()[1])}
        command = [rocket_cli(), "serve", *PLAIN, "waiting"]
        process = Process(command, folder, variables)
        try:
            client, _ = gate.accept()
            with client:
                process.send(signal.SIGINT)
                assert process.wait() == 1
        finally:
            process.kill()
