"""Websockets that hold no thread, with the frameworks, the TLS and the clients of others."""

from __future__ import annotations

import re
import ssl
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from systemtests.processes import APPLICATIONS, PATIENCE, PLAIN, Server, assert_quiet, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.sync.client import ClientConnection

    from systemtests.certificates import Certificates

    Open = Callable[..., Any]

THREADS = ["--threads", "2"]


@pytest.fixture(params=["http", "https"])
def site(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Server]:
    options = certificates.options if request.param == "https" else PLAIN
    log = ["--access-log", "-"]
    with serve("parked:app", *options, *THREADS, *log, cwd=APPLICATIONS) as server:
        yield server


@pytest.fixture
def trust(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates.ca)
    # The client's receiving thread takes a session ticket of TLS 1.3 for data, and blocks in the
    # TLS object that another thread writes to: now and then its first message is never sent.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def opener(site: Server, trust: ssl.SSLContext) -> Open:
    @contextmanager
    def open_(path: str, **options: Any) -> Iterator[ClientConnection]:
        address = "ws" + site.address.removeprefix("http") + path
        context = trust if address.startswith("wss:") else None
        with connect(address, ssl=context, proxy=None, max_size=None, **options) as socket:
            yield socket

    return open_


@pytest.fixture
def open_socket(site: Server, trust: ssl.SSLContext) -> Open:
    return opener(site, trust)


def log_in(site: Server, trust: ssl.SSLContext, name: str) -> dict[str, str]:
    """Return the field with the cookie of the session of ``name``."""
    with httpx.Client(verify=trust, timeout=PATIENCE, trust_env=False) as client:
        cookie = client.get(f"{site.address}/login/{name}").headers["Set-Cookie"]
    return {"Cookie": cookie.partition(";")[0]}


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_messages_of_all_kinds_and_sizes(
    site: Server, open_socket: Open, compression: str | None
) -> None:
    with open_socket("/echo", compression=compression) as socket:
        for message in ("hello", b"\0bytes", "", b"", "ä" * 100_000, b"y" * 3_000_000):
            socket.send(message)
            assert socket.recv(PATIENCE) == message
        socket.send(["in ", "three ", "fragments"])
        assert socket.recv(PATIENCE) == "in three fragments"
        assert socket.ping().wait(PATIENCE)
    assert socket.close_code == 1000
    site.wait_for(r'"GET /echo HTTP/1\.1" 101 ')
    assert_quiet(re.sub(r'.*"GET /echo.*\n?', "", site.log))


def test_close_and_exception_of_the_handler(site: Server, open_socket: Open) -> None:
    with open_socket("/echo") as socket:
        socket.send("close")
        with pytest.raises(ConnectionClosed):
            socket.recv(PATIENCE)
        assert (socket.close_code, socket.close_reason) == (4000, "as you wish")
    with open_socket("/echo") as socket:
        socket.send("fail")
        with pytest.raises(ConnectionClosed):
            socket.recv(PATIENCE)
        assert socket.close_code == 1011
    site.wait_for("GET /echo: on_message of a websocket failed")
    site.wait_for("LookupError: as you wish")


def test_many_silent_websockets_hold_no_thread(
    site: Server, open_socket: Open, trust: ssl.SSLContext
) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(open_socket("/echo")) for _ in range(50)]
        with httpx.Client(verify=trust, timeout=PATIENCE, trust_env=False) as client:
            assert client.get(site.address).text == "a page"
        for number, socket in enumerate(sockets):
            socket.send(str(number))
        assert [socket.recv(PATIENCE) for socket in sockets] == [str(n) for n in range(50)]


def test_session_subprotocol_and_group_in_flask(
    site: Server, open_socket: Open, trust: ssl.SSLContext
) -> None:
    ann, bob = (
        {"subprotocols": ["chat.v1"], "additional_headers": log_in(site, trust, name)}
        for name in ("Ann", "Bob")
    )
    with open_socket("/chat", **ann) as first:
        assert first.subprotocol == "chat.v1"
        assert first.response.headers["X-Seen"] == "yes"
        assert first.response.headers["Set-Cookie"].startswith("session=")
        assert first.recv(PATIENCE) == "Ann comes"
        with open_socket("/chat", **bob) as second:
            assert second.recv(PATIENCE) == "Bob comes"
            assert first.recv(PATIENCE) == "Bob comes"
            first.send("hello")
            assert second.recv(PATIENCE) == "Ann: hello"
            assert first.recv(PATIENCE) == "Ann: hello"
        assert first.recv(PATIENCE) == "Bob goes: 1000"


def test_flask_refuses_with_any_answer(
    site: Server, open_socket: Open, trust: ssl.SSLContext
) -> None:
    for options, status in (
        ({}, 401),
        ({"additional_headers": log_in(site, trust, "Ann")}, 400),
    ):
        with pytest.raises(InvalidStatus) as refused, open_socket("/chat", **options):
            pass
        assert refused.value.response.status_code == status
        assert refused.value.response.headers["X-Seen"] == "yes"


def test_other_origin_is_refused(site: Server, open_socket: Open) -> None:
    with pytest.raises(InvalidStatus) as refused, open_socket("/echo", origin="http://evil"):
        pass
    assert refused.value.response.status_code == 403
    site.wait_for("origin 'http://evil' may not open a websocket at host '127.0.0.1:")
    with open_socket("/echo", origin=site.address) as socket:
        socket.send("from the same host")
        assert socket.recv(PATIENCE) == "from the same host"


def test_drain_says_a_last_word_and_1001(
    site: Server, open_socket: Open, trust: ssl.SSLContext
) -> None:
    ann = {"subprotocols": ["chat.v1"], "additional_headers": log_in(site, trust, "Ann")}
    with open_socket("/chat", **ann) as socket:
        assert socket.recv(PATIENCE) == "Ann comes"
        site.stop()
        assert socket.recv(PATIENCE) == "we will be back"
        with pytest.raises(ConnectionClosed):
            socket.recv(PATIENCE)
        assert socket.close_code == 1001


def test_django_with_its_middleware(trust: ssl.SSLContext) -> None:
    with serve("parked_django:app", *PLAIN, *THREADS, cwd=APPLICATIONS) as site:
        open_socket = opener(site, trust)
        cookie = ""
        for visit in (1, 2):
            with open_socket("/echo", additional_headers={"Cookie": cookie}) as socket:
                cookie = socket.response.headers["Set-Cookie"].partition(";")[0]
                socket.send("hello")
                assert socket.recv(PATIENCE) == f"{visit}: hello"
        with pytest.raises(InvalidStatus) as refused, open_socket("/refuse"):
            pass
        assert refused.value.response.status_code == 403
        assert refused.value.response.body == b"not you"
    assert_quiet(site.log)
