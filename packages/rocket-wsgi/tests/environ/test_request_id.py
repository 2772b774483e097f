from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from conftest import Serve
from rocket_core import Peer
from rocket_wsgi import AccessLog, RequestIds, StaticFiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Environ = dict[str, Any]
MADE = re.compile(r"[0-9a-f]{16}-[0-9a-f]+\Z")


def show_id(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
    assert environ.get("rocket.request_id", "") == environ.get("HTTP_X_REQUEST_ID", "")
    start_response("200 OK", [])
    return [environ.get("rocket.request_id", "").encode()]


def request(given: str | None = None) -> bytes:
    field = "" if given is None else f"X-Request-ID: {given}\r\n"
    return f"GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n".encode("latin-1")


def local(peer: Peer) -> bool:
    return peer.host == "127.0.0.1"


def test_no_ids_by_default(serve: Serve) -> None:
    answer = serve(show_id).exchange(request())
    assert answer.body == b""
    assert "X-Request-ID" not in answer


def test_each_request_has_its_own_id(serve: Serve) -> None:
    client = serve(show_id, request_ids=RequestIds())
    stream = client.open()
    found = set()
    for _ in range(5):
        stream.send(request())
        answer = stream.answer()
        assert MADE.match(answer.body.decode())
        assert "X-Request-ID" not in answer
        found.add(answer.body)
        found.add(client.exchange(request()).body)
    assert len(found) == 10


@pytest.mark.parametrize("ids", [RequestIds(), RequestIds(trusted=lambda peer: False)])
def test_the_id_of_an_untrusted_client_is_replaced(serve: Serve, ids: RequestIds) -> None:
    body = serve(show_id, request_ids=ids).exchange(request("chosen")).body
    assert MADE.match(body.decode())


@pytest.mark.parametrize(
    "given", ["chosen", "a" * 128, "Root=1-67891233-abcdef01", "0A0B:1F90_7F/x+y==", "x@y"]
)
def test_the_id_of_a_trusted_proxy_is_accepted(serve: Serve, given: str) -> None:
    client = serve(show_id, request_ids=RequestIds(trusted=local))
    assert client.exchange(request(given)).body == given.encode()


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", "a,b", 'a"', "é", "a;b", "<x>"])
def test_a_malformed_id_is_replaced(serve: Serve, given: str) -> None:
    client = serve(show_id, request_ids=RequestIds(trusted=local))
    assert MADE.match(client.exchange(request(given)).body.decode())


def test_an_id_that_is_sent_twice_is_replaced(serve: Serve) -> None:
    client = serve(show_id, request_ids=RequestIds(trusted=local))
    data = request("one").replace(b"\r\n\r\n", b"\r\nX-Request-ID: two\r\n\r\n")
    assert MADE.match(client.exchange(data).body.decode())


def test_echo(serve: Serve) -> None:
    client = serve(show_id, request_ids=RequestIds(trusted=local, echo=True))
    assert client.exchange(request("chosen"))["X-Request-ID"] == "chosen"
    answer = client.exchange(request())
    assert answer["X-Request-ID"] == answer.body.decode()


def test_the_field_of_the_application_is_kept(serve: Serve) -> None:
    def application(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("x-request-id", "mine")])
        return []

    client = serve(application, request_ids=RequestIds(echo=True))
    assert client.exchange(request())["X-Request-ID"] == "mine"


def test_echo_with_a_file(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("hello")
    files = {"/static": StaticFiles(tmp_path)}
    client = serve(show_id, request_ids=RequestIds(trusted=local, echo=True), static=files)
    answer = client.exchange(request("chosen").replace(b"GET /", b"GET /static/page.txt"))
    assert (answer.body, answer["X-Request-ID"]) == (b"hello", "chosen")


def test_echo_in_the_server_s_own_answers(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def application(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        raise RuntimeError("broken")

    ids = RequestIds(trusted=local, echo=True)
    client = serve(application, request_ids=ids, max_body=5)
    assert client.exchange(request("one"))["X-Request-ID"] == "one"
    data = b"PUT / HTTP/1.1\r\nHost: a\r\nX-Request-ID: two\r\nContent-Length: 6\r\n\r\n"
    answer = client.exchange(data)
    assert (answer.status, answer["X-Request-ID"]) == (413, "two")


def test_logged(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(path, "{request_id} {status}")
    client = serve(show_id, request_ids=RequestIds(trusted=local), access_log=log)
    client.exchange(request("chosen"))
    client.stop()
    log.close()
    assert path.read_text() == "chosen 200\n"
