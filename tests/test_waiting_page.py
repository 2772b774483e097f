"""The page on waiting without a thread: its examples run, alone and behind proxies."""

from __future__ import annotations

import queue
import re
import shlex
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.frames import Opcode
from websockets.sync.client import ClientConnection, connect

from systemtests.processes import APPLICATIONS, PATIENCE, PLAIN, ROOT, assert_quiet, serve
from systemtests.recipes import haproxy, nginx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PAGE = ROOT / "docs" / "waiting.md"
MODULES = ["plain", "flask_site", "django_site"]

QUICK = {
    ".accept(Chat())": ".accept(Chat(), ping=0.2)",
    ".open()": ".open(ping=0.2)",
    ".hold(": ".hold(timeout=0.4, ",
}
"""What an example has to say for proxies that wait for a second only."""


def write_module(directory: Path, name: str, changes: dict[str, str]) -> list[str]:
    """Write an example of the page to a file, and return the options that it is served with."""
    blocks = re.findall(
        r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    (source,) = [each for each in blocks if each.startswith(f"# {name}.py: ")]
    for old, new in changes.items():
        assert old in source
        source = source.replace(old, new)
    (directory / f"{name}.py").write_text(source, "utf-8")
    command, *options = shlex.split(source.splitlines()[0].partition(": ")[2])
    assert (command, options.pop(0)) == ("rocket-cli", "serve")
    return options


class Site:
    """An example at an address, by which clients reach it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def tell(self, text: str) -> dict[str, int]:
        """Send to all clients, and return how many took it."""
        answer = httpx.post(self.address + "/tell", content=text, timeout=PATIENCE, trust_env=False)
        assert answer.status_code == 200, answer.text
        told: dict[str, int] = answer.json()
        return told

    def tell_until(self, holds: Callable[[dict[str, int]], bool], text: str = "news") -> None:
        """Tell something again and again, until the right number of clients take it."""
        deadline = time.monotonic() + PATIENCE
        while not holds(told := self.tell(text)):
            assert time.monotonic() < deadline, told
            time.sleep(0.05)

    def wait_until_polling(self, count: int) -> None:
        """Wait until so many polls wait."""
        deadline = time.monotonic() + PATIENCE
        with httpx.Client(base_url=self.address, timeout=PATIENCE, trust_env=False) as client:
            while (found := client.get("/polling").text) != str(count):
                assert time.monotonic() < deadline, found
                time.sleep(0.05)

    def chat(self, pings: queue.SimpleQueue[None] | None = None) -> ClientConnection:
        class Listening(ClientConnection):
            def process_event(self, event: Any) -> None:
                if pings is not None and getattr(event, "opcode", None) is Opcode.PING:
                    pings.put(None)
                super().process_event(event)

        address = "ws" + self.address.removeprefix("http") + "/chat"
        options: Any = {"proxy": None, "ping_interval": None, "create_connection": Listening}
        options["origin"] = self.address  # as a page of the site sends it
        opened: ClientConnection = connect(address, open_timeout=PATIENCE, **options)
        return opened

    @contextmanager
    def listen(self, since: str | None = None) -> Iterator[Iterator[str]]:
        """Open the stream of news; yields its lines after the welcome."""
        fields = {} if since is None else {"Last-Event-ID": since}
        with (
            httpx.Client(timeout=PATIENCE, trust_env=False) as client,
            client.stream("GET", self.address + "/news", headers=fields) as response,
        ):
            assert response.headers["Content-Type"].startswith("text/event-stream")
            lines = response.iter_lines()
            assert next(line for line in lines if line) == ": welcome"
            yield lines

    @contextmanager
    def poll(self) -> Iterator[queue.SimpleQueue[httpx.Response]]:
        """Ask for news in another thread."""
        answers: queue.SimpleQueue[httpx.Response] = queue.SimpleQueue()

        def ask() -> None:
            answers.put(httpx.get(self.address + "/poll", timeout=PATIENCE, trust_env=False))

        thread = threading.Thread(target=ask)
        thread.start()
        yield answers
        thread.join(PATIENCE)


def data_of(lines: Iterator[str]) -> tuple[str, str]:
    """Return the ID and the data of the next event."""
    found = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name in {"id", "data"}:
            found[name] = value
        if not line and "data" in found:
            return found["id"], found["data"]
    pytest.fail("the stream has ended")


# -- the examples ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=MODULES)
def example(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    options = write_module(directory, request.param, {})
    with serve(*options, *PLAIN, cwd=directory) as server:
        yield Site(server.address)
    assert_quiet(server.log)


def test_websockets(example: Site) -> None:
    with example.chat() as ann, example.chat() as bob:
        example.tell_until(lambda told: told["chat"] == 2, "begin")
        ann.send("hello")
        for each in (ann, bob):
            while (message := each.recv(PATIENCE)) == "begin":
                pass
            assert message == "hello"
    example.tell_until(lambda told: told["chat"] == 0)


def test_event_streams(example: Site) -> None:
    with example.listen() as lines:
        example.tell("one")
        last, text = data_of(lines)
        assert text == "one"
    example.tell("two")
    with example.listen(since=last) as lines:
        assert data_of(lines) == (str(int(last) + 1), "two")
        example.tell("three")
        assert data_of(lines) == (str(int(last) + 2), "three")


def test_deferred_answers(example: Site) -> None:
    with example.poll() as answers:
        example.tell_until(lambda told: told["polls"] == 1, "an answer")
        assert answers.get(timeout=PATIENCE).text == "an answer"


def test_existing_code_has_as_many_threads_as_the_page_says() -> None:
    """Two for a websocket of Flask-Sock."""
    assert "| a websocket of Flask-Sock | 2:" in PAGE.read_text("utf-8")
    with serve("sockets:app", *PLAIN, "--threads", "2", cwd=APPLICATIONS) as server:

        def threads() -> int:
            address = server.address + "/threads"
            return int(httpx.get(address, timeout=PATIENCE, trust_env=False).text)

        with ExitStack() as stack:
            address = "ws" + server.address.removeprefix("http") + "/echo"

            def come() -> None:
                client = stack.enter_context(connect(address, proxy=None))
                client.send("hello")
                assert client.recv(PATIENCE) == "hello"

            for _ in range(3):  # now each takes a thread of its own in addition
                come()
            before = threads()
            for _ in range(10):
                come()
            assert threads() == before + 20


# -- behind proxies --------------------------------------------------------------------------------


POLLING = """

def polling(environ, start_response):
    start_response("200 OK", PLAIN)
    return [str(len(waiting)).encode()]


PAGES["/polling"] = polling
"""
"""What is added to the example: a page that says how many polls wait."""

WITHIN_A_SECOND = {
    "nginx": {"proxy_http_version 1.1;": "proxy_http_version 1.1; proxy_read_timeout 1s;"},
    "haproxy": {
        "timeout client 60s": "timeout client 1s",
        "timeout server 60s": "timeout server 1s",
    },
}
"""What is changed in the file of a proxy that waits for a second only."""

OLD_HTTP = {"proxy_http_version 1.1;": "proxy_http_version 1.0;"}
"""What nginx speaks by default: a body without a length goes to its end."""


@contextmanager
def behind(
    proxy: str, directory: Path, *, quick: bool, changes: dict[str, str] | None = None
) -> Iterator[Site]:
    """The plain example behind a proxy, with ``changes`` of the proxy's file.

    ``quick``: both wait for a shorter time than usual.
    """
    options = write_module(directory, "plain", QUICK if quick else {})
    with (directory / "plain.py").open("a", encoding="utf-8") as module:
        module.write(POLLING)
    path = f"{directory}/rocket.sock"
    options += ["--bind", f"unix:{path}", "--health", "/healthz"]
    changes = changes or (WITHIN_A_SECOND[proxy] if quick else {})
    with serve(*options, cwd=directory) as server, ExitStack() as stack:
        if proxy == "nginx":
            changes = {**changes, "unix:/run/mysite/rocket.sock": f"unix:{path}"}
            running = nginx(directory, "nginx.conf", changes, "listen 80;")
            host, port = stack.enter_context(running)
        else:
            changes = {**changes, "unix@/run/mysite/rocket.sock": f"unix@{path}"}
            binds = haproxy(directory, "haproxy.cfg", changes, ["bind :80", "bind :443"])
            (host, port), _ = stack.enter_context(binds)
        yield Site(f"http://{host}:{port}")
    assert_quiet(server.log)


@pytest.fixture(params=["nginx", "haproxy"])
def proxied(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with behind(request.param, tmp_path, quick=True) as site:
        yield site


@pytest.fixture(params=["nginx", "haproxy"])
def patient(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """The time-outs of 60 s are those of the files: what ends before has another reason."""
    with behind(request.param, tmp_path, quick=False) as site:
        yield site


PINGS = 8
"""So many take longer than the time-outs of the proxy."""


def test_websocket_behind_a_proxy(proxied: Site) -> None:
    pings: queue.SimpleQueue[None] = queue.SimpleQueue()
    with proxied.chat(pings) as chatting:
        for _ in range(PINGS):
            pings.get(timeout=PATIENCE)
        chatting.send("hello")
        assert chatting.recv(PATIENCE) == "hello"
        assert proxied.tell("news")["chat"] == 1
        assert chatting.recv(PATIENCE) == "news"
    proxied.tell_until(lambda told: told["chat"] == 0)


def test_event_stream_behind_a_proxy(proxied: Site) -> None:
    with proxied.listen() as lines:
        for _ in range(PINGS):
            next(line for line in lines if line.startswith(":"))  # a comment, as a ping
        assert proxied.tell("news")["news"] == 1
        assert data_of(lines) == ("1", "news")
    proxied.tell_until(lambda told: told["news"] == 0)


def test_event_stream_behind_nginx_that_buffers(tmp_path: Path) -> None:
    with behind("nginx", tmp_path, quick=False, changes=OLD_HTTP) as site, site.listen() as lines:
        assert site.tell("news")["news"] == 1
        assert data_of(lines) == ("1", "news")


def test_poll_behind_a_proxy(proxied: Site) -> None:
    with proxied.poll() as answers:
        assert answers.get(timeout=PATIENCE).status_code == 204, "at the time-out"


def test_poll_is_answered_behind_a_proxy(patient: Site) -> None:
    with patient.poll() as answers:
        patient.tell_until(lambda told: told["polls"] == 1, "an answer")
        assert answers.get(timeout=PATIENCE).text == "an answer"


def test_clients_that_leave_are_noticed_behind_a_proxy(patient: Site) -> None:
    """They close their connections without a word."""
    with patient.chat() as chatting:
        patient.tell_until(lambda told: told["chat"] == 1)
        chatting.socket.shutdown(socket.SHUT_RDWR)
        patient.tell_until(lambda told: told["chat"] == 0)
    with patient.listen():
        patient.tell_until(lambda told: told["news"] == 1)
    patient.tell_until(lambda told: told["news"] == 0)
    address = urlsplit(patient.address)
    with socket.create_connection((address.hostname or "", address.port or 0), PATIENCE) as raw:
        raw.sendall(b"GET /poll HTTP/1.1\r\nHost: a\r\n\r\n")
        patient.wait_until_polling(1)
    patient.wait_until_polling(0)
