"""The admin endpoint on its socket."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from answering import administered
from processes import PATIENCE, eventually
from rocket_cli._admin.protocol import MAX_LINE, question
from rocket_cli._admin.reply import AskError, Reply
from rocket_core import Server


class Asked:
    """Records the questions, and answers them."""

    def __init__(self) -> None:
        self.questions: list[tuple[str, Mapping[str, Any]]] = []

    def __call__(self, name: str, arguments: Mapping[str, Any]) -> Reply:
        self.questions.append((name, arguments))
        if name == "reload":
            raise AskError("the supervisor is gone")
        if name == "drain":
            raise RuntimeError("a mistake")
        return Reply([{"process": 7, "generation": 2}], {"requests": 1})


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock"


@pytest.fixture
def server(path: Path, asked: Asked) -> Iterator[Server]:
    with administered(path, asked) as server:
        yield server


class Client:
    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> Any:
        return json.loads(self.file.readline())


def test_several_questions_on_a_connection(server: Server, path: Path, asked: Asked) -> None:
    with Client(path) as client:
        client.send(question("stats", {}) + question("threads", {"limit": 2}))
        for _ in range(2):
            assert client.answer() == {
                "version": 1,
                "answers": [{"process": 7, "generation": 2}],
                "ended": {"requests": 1},
            }
    assert asked.questions == [("stats", {}), ("threads", {"limit": 2})]


def test_resize_asks_for_threads_and_processes_apart(
    server: Server, path: Path, asked: Asked
) -> None:
    with Client(path) as client:
        client.send(question("resize", {"processes": 2, "threads": "4:8"}))
        assert len(client.answer()["answers"]) == 2
    assert asked.questions == [
        ("resize-processes", {"processes": 2}),
        ("resize-threads", {"threads": "4:8"}),
    ]


def test_question_in_single_bytes_holds_no_thread(server: Server, path: Path) -> None:
    slow = [Client(path) for _ in range(4)]
    try:
        for client in slow:
            client.send(b'{"version": 1,')
        eventually(lambda: server.statistics().connections == {"head": 4})
        with Client(path) as client:
            client.send(question("stats", {}))
            assert "answers" in client.answer()
        for client in slow:
            for byte in b' "ask": "stats"}\n':
                client.send(bytes([byte]))
            assert "answers" in client.answer()
    finally:
        for client in slow:
            client.file.close()
            client.socket.close()


@pytest.mark.parametrize(
    "line", [b"stats\n", b"\x00" * (MAX_LINE + 1), b"a" * MAX_LINE * 2 + b"\n"]
)
def test_malformed_line_is_answered_and_ends_the_connection(
    server: Server, path: Path, asked: Asked, line: bytes
) -> None:
    with Client(path) as client:
        client.send(line)
        answer = client.answer()
        assert ("not be longer than 16384 bytes" if len(line) > 10 else "not JSON") in answer[
            "error"
        ]
        assert client.file.read() == b""
    assert asked.questions == []


def test_processes_that_cannot_be_asked(server: Server, path: Path) -> None:
    with Client(path) as client:
        client.send(question("reload", {}) + question("stats", {}))
        assert client.answer() == {"version": 1, "error": "the supervisor is gone"}
        assert "answers" in client.answer()


def test_failure_of_the_server(
    server: Server, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Client(path) as client:
        client.send(question("drain", {}))
        assert client.answer()["error"] == (
            "the server failed to answer: RuntimeError('a mistake')"
        )
        assert client.file.read() == b""
    assert "a mistake" in caplog.text


def test_socket_is_for_its_user_only(server: Server, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = os.umask(0)
    os.umask(before)
    assert before != 0o177
