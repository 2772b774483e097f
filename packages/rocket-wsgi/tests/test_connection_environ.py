"""What a layer below HTTP tells of a connection, and what a client cannot tell of itself."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from rocket_core import Connection, Listener, Peer, Server, Timeouts
from rocket_wsgi import Underscores, WSGIWorker
from served import Served

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

TOLD = {"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_S_DN": "CN=alice"}
FORGED = "".join(
    f"{name}: CN=root\r\n"
    for name in ("SSL_CLIENT_S_DN", "Ssl-Served-S-Dn", "SSL-CLIENT-VERIFY", "Ssl_Client_Verify")
)


class Telling(Listener):
    """A listener for clients that were identified before their first request."""

    told: dict[str, str] | None = None

    def connect(self, sock: socket.socket, peer: Peer, timeouts: Timeouts) -> Connection:
        connection = super().connect(sock, peer, timeouts)
        connection.environ = self.told
        return connection


def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    found = {key: value for key, value in environ.items() if "SSL" in key}
    environ["SSL_CLIENT_S_DN"] = "of this request"
    return [json.dumps(found).encode()]


def ask(told: dict[str, str] | None, fields: str = "", **settings: Any) -> list[dict[str, str]]:
    """What an application finds in each of two requests of one connection."""
    listener = Telling("127.0.0.1:0")
    listener.told = told
    server = Server(lambda: WSGIWorker(application, **settings), [listener])
    with server, Served(server) as client:
        request = f"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()
        stream = client.open()
        stream.send(request * 2)
        return [json.loads(stream.answer().body) for _ in range(2)]


def test_the_application_finds_it_in_every_request() -> None:
    assert ask(dict(TOLD)) == [TOLD, TOLD]


def test_without_any_there_is_nothing() -> None:
    assert ask(None) == [{}, {}]


@pytest.mark.parametrize("told", [TOLD, None], ids=["told", "nothing told"])
@pytest.mark.parametrize("underscores", [Underscores.DROP, Underscores.ALLOW])
@pytest.mark.parametrize("proxies", [None, ["127.0.0.1"]], ids=["", "trusted"])
def test_no_header_field_can_forge_it(
    told: dict[str, str] | None, underscores: Underscores, proxies: list[str] | None
) -> None:
    found = ask(told, FORGED, underscores=underscores, trusted_proxies=proxies)
    for each in found:
        genuine = {key: value for key, value in each.items() if not key.startswith("HTTP_")}
        assert genuine == (told or {})
        assert each["HTTP_SSL_CLIENT_VERIFY"]  # they arrive, as what they are
