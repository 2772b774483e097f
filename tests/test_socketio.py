"""Flask-SocketIO with `rocket_wsgi.engineio`, and the clients of others.

With ROCKET_SOCKETIO_CLIENTS=1000 the crowd is of that size.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import queue
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import engineio.packet
import engineio.server
import engineio.socket
import httpx
import pytest
import requests
import socketio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from rocket_wsgi.engineio import ParkedSocket, _Poll, install
from systemtests.processes import APPLICATIONS, PATIENCE, PLAIN, Server, assert_quiet, serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from websockets.sync.client import ClientConnection

CROWD = int(os.environ.get("ROCKET_SOCKETIO_CLIENTS", "100"))
ROOMS = 10
WORKERS = 8
THREADS = ["--threads", str(WORKERS)]
OTHERS = 8
"""The threads beside the workers: five of the command and the main thread, that of engineio which
looks for clients that are gone, and that which sends pings."""

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""The threads of the client leave connections open where a server ends first."""

TRANSPORTS = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}


@pytest.fixture(autouse=True)
def _collect() -> Iterator[None]:
    """Have what a client has left open collected while its warning is ignored."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def site() -> Iterator[Server]:
    with serve("socketio_rooms:app", *PLAIN, *THREADS, cwd=APPLICATIONS) as server:
        yield server
    assert_quiet(server.log.replace("LookupError: as you wish", "").replace("Traceback", "", 1))


@contextmanager
def impatient(seconds: float) -> Iterator[Server]:
    """The site with frequent pings, which are to be answered within the same time."""
    variables = {"PING_INTERVAL": str(seconds), "PING_TIMEOUT": str(seconds)}
    with serve("socketio_rooms:app", *PLAIN, *THREADS, cwd=APPLICATIONS, variables=variables) as it:
        yield it
    assert_quiet(it.log)


def get(site: Server, path: str = "/") -> httpx.Response:
    return httpx.get(site.address + path, timeout=PATIENCE, trust_env=False)


def state_of(site: Server) -> dict[str, Any]:
    found: dict[str, Any] = get(site).json()
    return found


def wait_until(site: Server, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the state of the site once something holds for it."""
    for _ in range(int(PATIENCE / 0.05)):
        state = state_of(site)
        if holds(state):
            return state
        asyncio.run(asyncio.sleep(0.05))
    pytest.fail(f"waited in vain; the state is {state}")


# -- a crowd of real clients ---------------------------------------------------------------------


class Visitor:
    """One of the crowd."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.transports = TRANSPORTS["polling" if number % 2 else "upgrade"]
        self.client = socketio.AsyncClient(reconnection=False)
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.client.on("news", self._hear)
        self.client.on("room", self._hear)

    async def _hear(self, text: str) -> None:
        self.heard.put_nowait(text)

    async def come(self, address: str) -> None:
        await self.client.connect(address, transports=self.transports, wait_timeout=PATIENCE)
        assert self.client.transport() == self.transports[-1]
        room = f"room{self.number % ROOMS}"
        assert await self.client.call("join", room, timeout=PATIENCE) == f"in {room}"

    async def hears(self, text: str) -> None:
        assert await asyncio.wait_for(self.heard.get(), PATIENCE) == text


async def all_of(calls: Iterable[Awaitable[Any]], at_once: int = 50) -> None:
    """Await all, so many at a time."""
    room = asyncio.Semaphore(at_once)

    async def one(call: Awaitable[Any]) -> None:
        async with room:
            await call

    await asyncio.gather(*(one(call) for call in calls))


async def visit(site: Server) -> dict[str, Any]:
    """Have a crowd come, hear what is sent, and leave; the state of the site with all of them."""
    crowd = [Visitor(number) for number in range(CROWD)]
    async with httpx.AsyncClient(base_url=site.address, timeout=PATIENCE, trust_env=False) as http:
        await all_of(each.come(site.address) for each in crowd)
        await http.get("/broadcast/hello")
        await all_of((each.hears("hello") for each in crowd), CROWD)
        for number in range(ROOMS):
            await http.get(f"/to/room{number}/message{number}")
        await all_of((each.hears(f"message{each.number % ROOMS}") for each in crowd), CROWD)
        state: dict[str, Any] = (await http.get("/")).json()
        await all_of(each.client.disconnect() for each in crowd)
        assert all(each.heard.empty() for each in crowd)
    return state


def test_a_crowd_holds_no_threads() -> None:
    with serve("socketio_rooms:app", *PLAIN, *THREADS, cwd=APPLICATIONS) as site:
        state = asyncio.run(visit(site))
        told = {**state, "waiting": len(state["waiting"])}
        sys.stderr.write(f"{told}\n")
        assert state["clients"] == state["sockets"] == CROWD
        assert state["most"] <= WORKERS + OTHERS, state["threads"]
        assert len(state["threads"]) <= WORKERS + OTHERS, state["threads"]
        assert state["handled_by"] == ["rocket-worker-"]
        left = wait_until(site, lambda state: state["sockets"] == state["clients"] == 0)
        assert len(left["gone"]) == CROWD
        assert set(left["gone"]) <= {"client disconnect", "transport close"}
        assert left["threads"] == state["threads"]
    assert_quiet(site.log)


# -- what applications use -------------------------------------------------------------------------


@pytest.fixture(params=TRANSPORTS)
def client(request: pytest.FixtureRequest, site: Server) -> Iterator[socketio.Client]:
    with client_of(site, TRANSPORTS[request.param]) as client:
        yield client


@contextmanager
def client_of(site: Server, transports: list[str]) -> Iterator[socketio.Client]:
    with requests.Session() as session:
        session.trust_env = False
        client = socketio.Client(http_session=session, reconnection=False)
        client.connect(
            site.address, namespaces=["/", "/loud"], transports=transports, wait_timeout=PATIENCE
        )
        try:
            yield client
        finally:
            client.disconnect()


def hear(client: socketio.Client, event: str, namespace: str = "/") -> queue.SimpleQueue[Any]:
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
    client.on(event, heard.put, namespace=namespace)
    return heard


def test_acknowledgement_session_room_and_binary(site: Server, client: socketio.Client) -> None:
    heard = hear(client, "room"), hear(client, "reversed")
    assert client.call("join", "a room", timeout=PATIENCE) == "in a room"
    assert client.call("where", timeout=PATIENCE) == "a room"
    get(site, "/to/a room/hello")
    assert heard[0].get(timeout=PATIENCE) == "hello"
    data = bytes(range(256)) * 200
    assert client.call("reverse", data, timeout=PATIENCE) == data[::-1]
    assert heard[1].get(timeout=PATIENCE) == data[::-1]


def test_handlers_of_a_client_run_in_order(client: socketio.Client) -> None:
    heard = hear(client, "message")
    for number in range(16):  # engineio takes no more in one request
        client.emit("count", number)
    assert [heard.get(timeout=PATIENCE) for _ in range(16)] == list(range(16))


def test_namespace_and_a_callback_of_the_server(client: socketio.Client) -> None:
    heard = hear(client, "shouted", "/loud"), hear(client, "answered")
    assert client.call("shout", "hello", namespace="/loud", timeout=PATIENCE) == "done"
    assert heard[0].get(timeout=PATIENCE) == "HELLO"
    client.on("question", lambda text: f"{text}!")
    client.emit("ask", "why")
    assert heard[1].get(timeout=PATIENCE) == "why!"


def test_a_handler_may_wait_for_other_clients_only(site: Server, client: socketio.Client) -> None:
    with client_of(site, ["websocket"]) as other:
        other.on("question", lambda text: f"{text}!")
        own = client.call("call me", client.get_sid(), timeout=PATIENCE)
        assert own.startswith("a handler cannot wait for the answer of its own client")
        assert client.call("call me", other.get_sid(), timeout=PATIENCE) == "really!"


def test_the_server_disconnects(client: socketio.Client) -> None:
    gone = hear(client, "disconnect")
    client.emit("bye")
    assert gone.get(timeout=PATIENCE) == "server disconnect"


def test_binary_broadcast_to_both_transports(site: Server) -> None:
    """A packet keeps the encoding that its first receiver got."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(client_of(site, TRANSPORTS[name]))
            for name in ("websocket", "polling", "websocket", "polling")
        ]
        heard = [hear(client, "data") for client in clients]
        for _ in range(3):
            get(site, "/binary")
            for each in heard:
                assert each.get(timeout=PATIENCE) == b"\0binary"


def test_a_handler_that_fails_is_logged(site: Server) -> None:
    with client_of(site, ["websocket"]) as client:
        client.emit("fail")
        assert client.call("join", "on we go", timeout=PATIENCE) == "in on we go"
    site.wait_for("LookupError: as you wish")


# -- what is on the wire ---------------------------------------------------------------------------


class Polling:
    """A client that speaks the protocol by hand."""

    def __init__(self, site: Server, **fields: str) -> None:
        self.http = httpx.Client(
            base_url=site.address, timeout=PATIENCE, trust_env=False, headers=fields
        )
        self.site = site
        self.opened = self.http.get("/socket.io/?EIO=4&transport=polling")
        self.sid = json.loads(self.opened.text[1:])["sid"]
        self.path = f"/socket.io/?EIO=4&transport=polling&sid={self.sid}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def post(self, body: str) -> httpx.Response:
        return self.http.post(self.path, content=body)

    def poll(self, **fields: str) -> httpx.Response:
        return self.http.get(self.path, headers=fields)

    def join(self) -> None:
        """Connect to the namespace."""
        assert self.post("40").text == "OK"
        assert self.poll().text.startswith("40{")

    def wait(self) -> socket.socket:
        """Begin a poll, on a connection of its own."""
        address = urlsplit(self.site.address)
        raw = socket.create_connection((address.hostname or "", address.port or 0), PATIENCE)
        raw.sendall(f"GET {self.path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        self.until_waiting()
        return raw

    def until_waiting(self) -> None:
        wait_until(self.site, lambda state: self.sid in state["waiting"])

    def websocket(self, **options: Any) -> ClientConnection:
        path = self.path.replace("polling", "websocket")
        address = self.site.address.replace("http", "ws")
        opened: ClientConnection = connect(
            address + path, proxy=None, open_timeout=PATIENCE, **options
        )
        return opened


def answer_on(raw: socket.socket) -> str:
    """Read the answer to a poll that waited."""
    with raw, raw.makefile("rb") as file:
        size = 0
        while (line := file.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            size = int(value) if name.lower() == b"content-length" else size
        return file.read(size).decode()


def test_origins_cookie_compression_and_jsonp(site: Server) -> None:
    friend = {"Origin": "http://friend.example"}
    with Polling(site, **friend) as client:
        assert client.opened.headers["Access-Control-Allow-Origin"] == "http://friend.example"
        assert client.opened.headers["Set-Cookie"] == f"io={client.sid}; path=/; SameSite=Lax"
        client.join()
        assert client.post('420["join","x"]').text == "OK"
        assert client.poll().text == '430["in x"]'
        # What waits for news is answered with the same fields.
        with http_later(client, **friend, **{"Accept-Encoding": "br, gzip"}) as later:
            get(site, f"/to/x/{'long' * 500}")
            answer = later()
        assert answer.headers["Access-Control-Allow-Origin"] == "http://friend.example"
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"
        assert answer.text == f'42["room","{"long" * 500}"]'
        with http_later(client, "&j=3") as later:
            get(site, "/to/x/hello")
            assert later().text == '___eio[3]("42[\\"room\\",\\"hello\\"]");'
        refused = httpx.get(
            site.address + client.path, headers={"Origin": "http://evil"}, trust_env=False
        )
        assert (refused.status_code, refused.text) == (400, '"Not an accepted origin."')


@contextmanager
def http_later(
    client: Polling, query: str = "", **fields: str
) -> Iterator[Callable[[], httpx.Response]]:
    """Begin a poll in a thread; once it waits, what is yielded returns the answer."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(client.http.get, client.path + query, headers=fields)
        client.until_waiting()
        yield lambda: future.result(PATIENCE)


def test_too_large_payloads_end_the_session(site: Server) -> None:
    with Polling(site) as client:
        client.join()
        assert client.post("4" + "x" * 100_000).status_code == 400
        assert client.poll().status_code == 400
    with Polling(site) as client, client.websocket() as upgraded:
        upgrade(upgraded)
        upgraded.send("4" + "x" * 100_000)
        with pytest.raises(ConnectionClosed):
            upgraded.recv(PATIENCE)
        assert upgraded.close_code == 1009


def upgrade(websocket: ClientConnection) -> None:
    websocket.send("2probe")
    assert websocket.recv(PATIENCE) == "3probe"
    websocket.send("5")


def test_upgrade_ends_the_poll_that_waits(site: Server) -> None:
    with Polling(site) as client:
        client.join()
        waiting = client.wait()
        with client.websocket() as websocket:
            websocket.send("2probe")
            assert websocket.recv(PATIENCE) == "3probe"
            assert answer_on(waiting) == "6"
            assert client.poll().text == "6"
            assert client.post('420["join","up"]').text == "OK"
            assert client.poll().text == "6", "what is sent meanwhile is for the websocket"
            websocket.send("5")
            assert websocket.recv(PATIENCE) == '430["in up"]'
            assert client.poll().status_code == 400
            websocket.send("41")
            websocket.send("1")
            with pytest.raises(ConnectionClosed):
                websocket.recv(PATIENCE)


@pytest.mark.parametrize("probe", ["4message", "2", "no packet", ""])
def test_polling_goes_on_after_an_upgrade_that_fails(site: Server, probe: str) -> None:
    with Polling(site) as client:
        client.join()
        waiting = client.wait()
        with client.websocket() as websocket:
            websocket.send(probe)
            with pytest.raises(ConnectionClosed):
                websocket.recv(PATIENCE)
        assert client.post('420["join","again"]').text == "OK"
        assert answer_on(waiting) == '430["in again"]'
        with client.websocket() as websocket:
            upgrade(websocket)
            websocket.send('421["where"]')
            assert websocket.recv(PATIENCE) == '431["again"]'


def test_one_websocket_at_a_time(site: Server) -> None:
    with Polling(site) as client, client.websocket() as websocket:
        with pytest.raises(InvalidStatus) as refused:
            client.websocket()
        assert refused.value.response.status_code == 400
        upgrade(websocket)


def test_of_two_polls_the_second_counts(site: Server) -> None:
    with Polling(site) as client:
        client.join()
        first = client.wait()
        second = client.wait()
        assert answer_on(first) == "6"
        client.post('420["join","second"]')
        assert answer_on(second) == '430["in second"]'


def test_a_poll_ends_with_the_session(site: Server) -> None:
    with Polling(site) as client:
        client.join()
        waiting = client.wait()
        assert client.post("1").text == "OK"
        assert answer_on(waiting) == ""


def test_a_client_that_leaves_its_poll_is_noticed(site: Server) -> None:
    before = len(state_of(site)["gone"])
    with Polling(site) as client:
        client.join()
        client.wait().close()
        state = wait_until(site, lambda state: len(state["gone"]) > before)
        assert state["gone"][before:] == ["transport close"]
        assert client.poll().status_code == 400


# -- pings -----------------------------------------------------------------------------------------


def test_pings_by_polling() -> None:
    with impatient(0.2) as site, Polling(site) as client:
        client.join()
        for _ in range(3):
            assert client.poll().text == "2"
            client.post("3")
        assert client.poll().text == "2"
        state = wait_until(site, lambda state: state["sockets"] == 0)
        assert state["gone"] == ["ping timeout"]


def test_pings_by_websocket() -> None:
    with impatient(0.2) as site, Polling(site) as client:
        with client.websocket() as websocket:
            upgrade(websocket)
            websocket.send("40")
            assert str(websocket.recv(PATIENCE)).startswith("40{")
            for _ in range(3):
                assert websocket.recv(PATIENCE) == "2"
                websocket.send("3")
            assert websocket.recv(PATIENCE) == "2"
            assert websocket.recv(PATIENCE) == "1"
            with pytest.raises(ConnectionClosed):
                websocket.recv(PATIENCE)
            assert websocket.close_code == 1001
        state = wait_until(site, lambda state: state["sockets"] == 0)
        assert state["gone"] == ["ping timeout"]
        assert state["handled_by"] == ["rocket-worker-"]


@pytest.mark.parametrize("transports", TRANSPORTS.values(), ids=list(TRANSPORTS))
def test_real_clients_answer_pings(transports: list[str]) -> None:
    # engineio tells clients whole seconds
    with impatient(1) as site, client_of(site, transports) as client:
        answered = hear_answers(client)
        for _ in range(3):
            answered.get(timeout=PATIENCE)
        assert client.call("join", "still here", timeout=PATIENCE) == "in still here"


def hear_answers(client: socketio.Client) -> queue.SimpleQueue[None]:
    """Note each packet that the client sends as the answer to a ping."""
    answered: queue.SimpleQueue[None] = queue.SimpleQueue()
    send_packet = client.eio._send_packet

    def note(packet: Any) -> None:
        if packet.packet_type == 3:
            answered.put(None)
        send_packet(packet)

    client.eio._send_packet = note
    return answered


# -- the end, and other servers --------------------------------------------------------------------


@pytest.mark.parametrize("transports", TRANSPORTS.values(), ids=list(TRANSPORTS))
def test_clients_do_not_hold_up_the_end(transports: list[str]) -> None:
    with serve("socketio_rooms:app", *PLAIN, *THREADS, cwd=APPLICATIONS) as site:
        with client_of(site, transports) as client:
            gone = hear(client, "disconnect")
            assert client.call("join", "a room", timeout=PATIENCE) == "in a room"
            site.stop()
            gone.get(timeout=PATIENCE)
        assert "gone: transport" in site.log
    assert_quiet(site.log)


WERKZEUG = """
from werkzeug.serving import make_server
from socketio_rooms import app
server = make_server("127.0.0.1", 0, app, threaded=True)
print(f"Listening on http://127.0.0.1:{server.port}", flush=True)
server.serve_forever()
"""


@pytest.mark.parametrize("transports", TRANSPORTS.values(), ids=list(TRANSPORTS))
def test_another_server_serves_in_its_own_way(transports: list[str]) -> None:
    site = Server([sys.executable, "-c", WERKZEUG], APPLICATIONS)
    try:
        with client_of(site, transports) as client:
            heard = hear(client, "news")
            assert client.transport() == transports[-1]
            assert client.call("join", "a room", timeout=PATIENCE) == "in a room"
            get(site, "/broadcast/hello")
            assert heard.get(timeout=PATIENCE) == "hello"
            assert state_of(site)["handled_by"] != ["rocket-worker-"]
    finally:
        site.kill()


def test_without_install_each_websocket_has_four_threads() -> None:
    """So the tests above show what they should, and the documentation is right."""
    options = ["socketio_rooms:app", *PLAIN, "--threads", "2"]
    without = {"WITHOUT_INSTALL": "1"}
    kinds = ["rocket-worker-", "(writer)", "(_send_ping)", "(simple_websocket.Base._thread)"]

    def all_there(state: dict[str, Any]) -> bool:
        """Tell whether each of the eight clients has its four threads.

        Others come and go, for an event each, and the pool may have some more than it needs.
        """
        return all(sum(kind in name for name in state["threads"]) >= 8 for kind in kinds)

    with serve(*options, cwd=APPLICATIONS, variables=without) as site, ExitStack() as stack:
        for _ in range(8):  # more than the pool has at first
            stack.enter_context(client_of(site, ["websocket"]))
        wait_until(site, all_there)


class TooLate:
    """A deferred answer whose client has left."""

    def __init__(self) -> None:
        self.tried = 0

    def answer(self, status: str, fields: object, body: bytes) -> bool:
        self.tried += 1
        return False


def test_what_a_poll_could_not_be_answered_with_is_kept_in_order() -> None:
    server = engineio.server.Server(async_mode="threading")
    parked = ParkedSocket(server, "a")
    late: Any = TooLate()
    parked._poll = _Poll(late, None, [])
    for text in ("one", "two"):
        parked.send(engineio.packet.Packet(engineio.packet.MESSAGE, text))
    assert late.tried == 2
    assert [each.data for each in parked._take()] == ["one", "two"]


def test_install_says_what_a_version_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.delattr(engineio.server.Server, "handle_request")
        with pytest.raises(RuntimeError, match=r"lacks Server\.handle_request: install a version"):
            install()
    monkeypatch.setattr(engineio.socket, "Socket", engineio.socket.Socket)
    monkeypatch.setattr(
        engineio.server.Server,
        "start_background_task",
        engineio.server.Server.start_background_task,
    )
    install()
    install()
    assert engineio.socket.Socket is ParkedSocket
