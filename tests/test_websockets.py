from __future__ import annotations

import queue
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import requests
import socketio
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from systemtests.chromium import Chromium
from systemtests.processes import APPLICATIONS, PATIENCE, PLAIN, Server, assert_quiet, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.sync.client import ClientConnection

    from systemtests.certificates import Certificates


@pytest.fixture(params=["http", "https"])
def site(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Server]:
    options = certificates.options if request.param == "https" else PLAIN
    with serve("sockets:app", *options, "--access-log", "-", cwd=APPLICATIONS) as server:
        yield server
    assert_quiet(server.log)


@pytest.fixture
def trust(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates.ca)
    # The client's receiving thread takes a session ticket of TLS 1.3 for data, and blocks in the
    # TLS object that another thread writes to: now and then its first message is never sent.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.fixture
def open_socket(site: Server, trust: ssl.SSLContext) -> Callable[[str], Any]:
    @contextmanager
    def open_(path: str) -> Iterator[ClientConnection]:
        address = "ws" + site.address.removeprefix("http") + path
        context = trust if address.startswith("wss:") else None
        with connect(address, ssl=context, proxy=None, max_size=None) as socket:
            yield socket

    return open_


def test_flask_sock_in_chromium(site: Server, certificates: Certificates) -> None:
    """A page that came over HTTP/2 opens the websocket over HTTP/1.1, after it was told to."""
    with Chromium(certificates.trusted_by_chromium) as browser:
        page = browser.visit(site.address)
        heard = page.evaluate("""new Promise(resolve => {
            const socket = new WebSocket(location.href.replace("http", "ws") + "echo");
            socket.onopen = () => socket.send("hello");
            socket.onmessage = ({ data }) => { resolve(data); socket.send("enough"); };
            socket.onerror = () => resolve("an error");
        })""")
        assert heard == "hello"
        assert page.evaluate("fetch('/').then(answer => answer.text())") == "a page"
    site.wait_for('"GET /echo HTTP/1.1" 101')


def test_flask_sock(site: Server, open_socket: Callable[[str], Any], trust: ssl.SSLContext) -> None:
    with open_socket("/echo") as socket:
        for message in ("hello", b"\0bytes", "x" * 100_000, b"y" * 3_000_000):
            socket.send(message)
            assert socket.recv(PATIENCE) == message
        with httpx.Client(verify=trust, timeout=PATIENCE, trust_env=False) as client:
            assert client.get(site.address).text == "a page"
        socket.send("enough")
        with pytest.raises(ConnectionClosed):
            socket.recv(PATIENCE)
        assert socket.close_code == 1000
    site.wait_for(r'"GET /echo HTTP/1\.1" 101 ')


def test_more_websockets_than_threads(
    site: Server, open_socket: Callable[[str], Any], trust: ssl.SSLContext
) -> None:
    crowd = [open_socket("/echo") for _ in range(20)]
    sockets = [each.__enter__() for each in crowd]
    for number, socket in enumerate(sockets):
        socket.send(str(number))
    assert [socket.recv(PATIENCE) for socket in sockets] == [str(n) for n in range(20)]
    with httpx.Client(verify=trust, timeout=PATIENCE, trust_env=False) as client:
        assert client.get(site.address).text == "a page"
    for each in crowd:
        each.__exit__(None, None, None)


def test_an_idle_websocket_does_not_hold_up_the_end(
    site: Server, open_socket: Callable[[str], Any]
) -> None:
    with open_socket("/endless") as socket:
        socket.send("hello")
        assert socket.recv(PATIENCE) == "hello"
        site.stop()
        with pytest.raises(ConnectionClosed):
            socket.recv(PATIENCE)


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"]])
def test_flask_socketio(site: Server, certificates: Certificates, transports: list[str]) -> None:
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    with requests.Session() as session:
        session.verify = str(certificates.ca)
        session.trust_env = False
        client = socketio.Client(http_session=session, reconnection=False)
        client.on("shouted", heard.put)
        client.connect(site.address, transports=transports, wait_timeout=PATIENCE)
        try:
            for text in ("hello", "x" * 50_000):
                assert client.call("shout", text, timeout=PATIENCE) == "done"
                assert heard.get(timeout=PATIENCE) == text.upper()
            assert client.transport() == "websocket"
        finally:
            client.disconnect()
