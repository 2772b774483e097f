"""The client of the admin endpoint, and its errors without a server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from answering import administered
from rocket_cli._admin.client import AdminClient, RefusedError, UnreachableError, _advice
from rocket_cli._admin.reply import AskError, Reply


@contextmanager
def listening(path: Path, said: bytes) -> Iterator[None]:
    """Answer the first client with ``said``, and close."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def test_ask(tmp_path: Path) -> None:
    path = tmp_path / "admin"

    def ask(name: str, arguments: Mapping[str, Any]) -> Reply:
        return Reply([{"name": name, **arguments}], {"a": 1})

    with administered(path, ask), AdminClient(path) as client:
        assert client.ask("threads", limit=3) == Reply([{"name": "threads", "limit": 3}], {"a": 1})
        assert client.ask("stats").answers == [{"name": "stats"}]


def test_refusal(tmp_path: Path) -> None:
    def ask(name: str, arguments: object) -> Reply:
        raise AskError("not now")

    path = tmp_path / "admin"
    with administered(path, ask), AdminClient(path) as client:
        with pytest.raises(RefusedError, match=r"^not now$") as error:
            client.ask("stats")
        assert error.value.exit_code == 1


def test_no_socket(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="no such socket; start the server with --admin"):
        AdminClient(tmp_path / "none")


def test_no_server_listens(tmp_path: Path) -> None:
    path = tmp_path / "left"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(UnreachableError, match="no server listens there any more") as error:
        AdminClient(path)
    assert error.value.exit_code == 2


def test_permission_denied() -> None:
    """The advice is tested alone, because root may connect to every socket."""
    assert (
        _advice(PermissionError())
        == "permission denied; run this command as the user of the server"
    )


def test_file_that_is_not_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(UnreachableError, match="no server listens there any more"):
        AdminClient(path)


def test_path_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="too long; use the server's --admin path"):
        AdminClient(tmp_path / ("x" * 200))


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"", "the server closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n", "this is not the admin socket of a Rocket server"),
        (b"[]\n", "this is not the admin socket of a Rocket server"),
    ],
)
def test_something_else_listens(tmp_path: Path, said: bytes, complaint: str) -> None:
    path = tmp_path / "other"
    with (
        listening(path, said),
        AdminClient(path) as client,
        pytest.raises(UnreachableError, match=complaint),
    ):
        client.ask("stats")


def test_no_answer_in_time(tmp_path: Path) -> None:
    path = tmp_path / "silent"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with (
            AdminClient(path, patience=0.05) as client,
            pytest.raises(UnreachableError, match=r"no answer within 0\.05 seconds"),
        ):
            client.ask("stats")
