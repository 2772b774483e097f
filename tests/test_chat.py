"""The chat, by websockets as scripts have them, and by its page in Chromium."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from rocket_core.testing import eventually, unused_port
from systemtests.chromium import Chromium
from systemtests.processes import EXAMPLES, PATIENCE, PLAIN, Server, assert_quiet, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.client import ClientConnection

    from systemtests.chromium import Page

CONNECTED = "find('status').textContent === 'Connected.'"
TEXTS = "[...document.querySelectorAll('#messages li:not(.waiting) p')].map(p => p.textContent)"
PRESENT = "[...document.querySelectorAll('#present li')].map(li => li.textContent)"


def serve_chat(data: Path, *options: str) -> Server:
    arguments = options or (*PLAIN, "--access-log", "-")
    return serve(*arguments, cwd=EXAMPLES / "chat", variables={"CHAT_DATA": str(data)})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Server]:
    with serve_chat(tmp_path) as server:
        yield server
    assert_quiet(server.log)


def log_in(site: Server, name: str) -> str:
    """Return the cookie of a visitor."""
    with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
        form = {"room": "lobby", "name": name}
        answer = client.post(f"{site.address}/log-in", data=form)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/rooms/lobby")
        return answer.headers["Set-Cookie"].partition(";")[0]


class Visitor:
    """A websocket of the chat, as a page has one."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def say(self, text: str, key: str) -> None:
        self.tell(type="say", key=key, text=text)

    def ask(self, since: int | None = None) -> dict[str, Any]:
        """Return the answer to what came after ``since``."""
        self.tell(type="ask", since=since)
        return self.hear("answer")

    def tell(self, **values: object) -> None:
        self.socket.send(json.dumps(values))

    def hear(self, kind: str) -> dict[str, Any]:
        """Return the next message of this kind."""
        until = time.monotonic() + PATIENCE
        while True:
            heard: dict[str, Any] = json.loads(self.socket.recv(until - time.monotonic()))
            if heard["type"] == kind:
                return heard


@contextmanager
def enter(site: Server, name: str, room: str = "lobby") -> Iterator[Visitor]:
    address = f"ws{site.address.removeprefix('http')}/rooms/{room}/socket"
    cookie = {"Cookie": log_in(site, name)}
    # A client that receives only as much as it was asked for would not get to the close frame.
    with connect(address, proxy=None, additional_headers=cookie, max_queue=None) as socket:
        yield Visitor(socket)


def test_only_visitors_with_a_name_come_in(site: Server) -> None:
    with httpx.Client(base_url=site.address, timeout=PATIENCE, trust_env=False) as client:
        asked = client.get("/rooms/kitchen")
        assert asked.status_code == 401
        assert "Enter the kitchen" in asked.text
        assert client.get("/session").status_code == 401
        refused = client.post("/log-in", data={"room": "lobby", "name": " "})
        assert refused.status_code == 422
        assert "Please give a name" in refused.text
        client.post("/log-in", data={"room": "lobby", "name": "Zoë & Co"})
        assert client.get("/session").json() == {"name": "Zoë & Co"}
        assert 'data-name="Zoë &amp; Co"' in client.get("/rooms/kitchen").text
        assert client.get("/rooms/attic").status_code == 404
        client.post("/log-out")
        assert client.get("/rooms/kitchen").status_code == 401
    address = f"ws{site.address.removeprefix('http')}/rooms/lobby/socket"
    with pytest.raises(InvalidStatus) as refusal, connect(address, proxy=None):
        pass
    assert refusal.value.response.status_code == 401


def test_rooms_and_history(site: Server) -> None:
    with (
        enter(site, "Ada") as ada,
        enter(site, "Bob") as bob,
        enter(site, "Cleo", "kitchen") as cleo,
    ):
        assert ada.ask() == {"type": "answer", "since": 0, "messages": [], "latest": 0}
        for number in range(1, 61):
            ada.say(f"message {number}", f"{number:032x}")
            heard = bob.hear("message")
            assert (heard["number"], heard["author"]) == (number, "Ada")
            assert heard["text"] == f"message {number}"
        answer = bob.ask()
        assert (answer["since"], answer["latest"]) == (10, 60)
        assert [each["number"] for each in answer["messages"]] == list(range(11, 61))
        assert [each["number"] for each in bob.ask(58)["messages"]] == [59, 60]
        assert cleo.ask()["latest"] == 0


def test_what_is_sent_again_is_stored_once(site: Server) -> None:
    with enter(site, "Ada") as ada:
        ada.say("hello", "a")
        first = ada.hear("message")
        with enter(site, "Ada") as again:
            again.say("hello", "a")
            assert again.hear("message") == first
            again.say("bye", "b")
            assert again.hear("message")["number"] == 2
        assert ada.hear("message")["number"] == 2


def test_many_visitors_speak_at_once(site: Server) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(8) as threads:
        crowd = [stack.enter_context(enter(site, f"visitor {each}")) for each in range(8)]

        def speak(speaker: int) -> list[int]:
            for each in range(20):
                crowd[speaker].say(f"{speaker}: {each}", f"{speaker}-{each}")
            return [crowd[speaker].hear("message")["number"] for _ in range(160)]

        heard = list(threads.map(speak, range(8)))
        assert [sorted(each) for each in heard] == [list(range(1, 161))] * 8
        texts = [each["text"] for each in crowd[0].ask(0)["messages"]]
        for speaker in range(8):
            mine = [each for each in texts if each.startswith(f"{speaker}:")]
            assert mine == [f"{speaker}: {each}" for each in range(20)]


def test_who_is_there(site: Server) -> None:
    with enter(site, "Ada") as ada:
        first = ada.hear("roster")
        assert first["names"] == ["Ada"]
        with enter(site, "Bob"), enter(site, "Bob"):
            for _ in range(2):
                second = ada.hear("roster")
                assert second["names"] == ["Ada", "Bob"]
        assert ada.hear("roster")["names"] == ["Ada", "Bob"]
        last = ada.hear("roster")
        assert last["names"] == ["Ada"]
        assert first["version"] < second["version"] < last["version"]


def test_processes_have_the_same_rooms(tmp_path: Path) -> None:
    with serve_chat(tmp_path, *PLAIN, "--processes", "2") as site, ExitStack() as stack:
        ada = stack.enter_context(enter(site, "Ada"))
        assert ada.hear("roster")["names"] == ["Ada"]
        (worker,) = visits(tmp_path)
        os.kill(worker, signal.SIGSTOP)  # so that the next comes to the other process
        bob = stack.enter_context(enter(site, "Bob"))
        assert bob.hear("roster")["names"] == ["Ada", "Bob"]
        os.kill(worker, signal.SIGCONT)
        assert ada.hear("roster")["names"] == ["Ada", "Bob"]
        assert sorted(visits(tmp_path).values()) == ["Ada", "Bob"]
        for number in range(1, 100, 2):
            ada.say("hello", f"a {number}")
            bob.say("hello", f"b {number}")
            heard = [[each.hear("message") for _ in range(2)] for each in (ada, bob)]
            assert heard[0] == heard[1]
            assert {each["number"] for each in heard[0]} == {number, number + 1}
        os.kill(worker, signal.SIGKILL)
        site.wait_for(f"worker {worker} ")
        with enter(site, "Zoë"):
            assert bob.hear("roster")["names"] == ["Bob", "Zoë"]


def visits(data: Path) -> dict[int, str]:
    """Return which visitor is in which process."""
    with closing(sqlite3.connect(data / "chat.db", timeout=PATIENCE)) as database:
        return dict(database.execute("SELECT process, name FROM visit"))


def test_visits_to_a_process_that_was_killed_are_forgotten(site: Server) -> None:
    with ExitStack() as stack:
        visitors = [stack.enter_context(enter(site, name)) for name in ("Ada", "Bob")]
        for each in visitors:
            each.hear("roster")
        worker = int(Path(f"/proc/{site.pid}/task/{site.pid}/children").read_text())
        os.kill(worker, signal.SIGKILL)
        site.wait_for(f"worker {worker} ")
        with enter(site, "Cleo") as cleo:
            assert cleo.hear("roster")["names"] == ["Cleo"]


@pytest.mark.parametrize(
    "message",
    [
        "hello",
        b"\0",
        "[]",
        '{"type": "ask", "since": -1}',
        '{"type": "ask", "since": 1e3}',
        '{"type": "ask", "since": 99999999999999999999}',
        '{"type": "say", "key": "ä", "text": "hello"}',
        '{"type": "say", "key": 1, "text": "hello"}',
    ],
)
def test_what_no_page_sends_ends_the_websocket(site: Server, message: str | bytes) -> None:
    with enter(site, "Ada") as ada:
        ada.socket.send(message)
        with pytest.raises(ConnectionClosed):
            ada.hear("none")
        assert ada.socket.close_code == 1008


def test_text_that_is_refused_and_text_that_is_mended(site: Server) -> None:
    with enter(site, "Ada") as ada:
        for text in ("", " \n ", "x" * 2001):
            ada.say(text, "a")
            assert ada.hear("refusal")["key"] == "a"
        ada.say("half \ud83d of a pair", "a")
        assert ada.hear("message")["text"] == "half ? of a pair"


# -- Chromium --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with Chromium() as browser:
        yield browser


@contextmanager
def visit(chromium: Chromium, site: Server, name: str) -> Iterator[Page]:
    page = chromium.visit(site.address)
    page.submit("#log-in", name=name)
    page.wait_for(CONNECTED)
    yield page
    assert page.troubles == []
    page.close()


def say(page: Page, text: str) -> None:
    page.fill("#say", text=text)


def test_two_pages_chat(chromium: Chromium, site: Server) -> None:
    with visit(chromium, site, "Ada") as ada:
        with visit(chromium, site, "Bob") as bob:
            ada.wait_for(PRESENT, ["Ada", "Bob"])
            bob.wait_for(PRESENT, ["Ada", "Bob"])
            ada.wait_for("find('news').textContent", "Bob has come.")
            assert ada.evaluate("document.activeElement.id") == "text"
            ada.type("Hello, Bob")
            ada.press("Enter")
            bob.wait_for(TEXTS, ["Hello, Bob"])
            ada.wait_for(TEXTS, ["Hello, Bob"])
            assert ada.evaluate("find('text').value") == ""
            markup = "<img src=x onerror=\"troubles.push('run')\">\nsecond line"
            say(bob, markup)
            ada.wait_for(TEXTS, ["Hello, Bob", markup])
            assert ada.evaluate("document.querySelectorAll('#messages .mine').length") == 1
            assert ada.evaluate("document.querySelectorAll('.waiting').length") == 0
            bob.reload()
            bob.wait_for(CONNECTED)
            assert bob.evaluate(TEXTS) == ["Hello, Bob", markup]
            bob.evaluate("ready = false; undefined")  # as if the connection were lost
            say(bob, "not sent before the reload")
            bob.reload()
            ada.wait_for(f"{TEXTS}.length", 3)
            bob.wait_for(f"{TEXTS}.at(-1)", "not sent before the reload")
            bob.wait_for("document.querySelectorAll('.waiting').length", 0)
            bob.open(f"{site.address}/rooms/kitchen")
            bob.wait_for(CONNECTED)
            assert bob.evaluate(TEXTS) == []
            ada.wait_for(PRESENT, ["Ada"])
        ada.wait_for("find('news').textContent", "Bob has left.")


def test_what_is_lost_or_overtaken_on_the_way_is_asked_for(
    chromium: Chromium, site: Server
) -> None:
    with visit(chromium, site, "Ada") as ada, visit(chromium, site, "Bob") as bob:
        ada.wait_for(PRESENT, ["Ada", "Bob"])
        ada.evaluate("""{
            const late = [];
            socket.onmessage = event => {
                const heard = JSON.parse(event.data);
                if (heard.text === "late") {
                    late.push(heard);
                } else if (heard.text !== "lost") {
                    receive(heard);
                    late.splice(0).forEach(receive);
                }
            };
        }""")
        for text in ("late", "lost", "at last"):
            say(bob, text)
        ada.wait_for(TEXTS, ["late", "lost", "at last"])
        ada.evaluate('receive({ type: "roster", version: 1, names: ["Zoë"] })')
        assert ada.evaluate(PRESENT) == ["Ada", "Bob"]
        say(bob, "the end")
        ada.wait_for(TEXTS, ["late", "lost", "at last", "the end"])


def test_page_can_be_used_without_a_mouse_and_without_sight(
    chromium: Chromium, site: Server
) -> None:
    with visit(chromium, site, "Ada") as ada:
        names = ada.accessible_names()
        for wanted in (
            ("log", "Messages"),
            ("textbox", "Message to the lobby"),
            ("button", "Send"),
            ("button", "Log out"),
            ("link", "Lobby"),
            ("navigation", "Rooms"),
        ):
            assert wanted in names, names
        assert ada.evaluate("document.querySelector('[aria-current]').textContent") == "lobby"
        ada.press("Tab")
        assert ada.evaluate("document.activeElement.textContent") == "Send"
        assert ada.evaluate("find('history').ariaBusy") == "false"
        for number in range(20):
            say(ada, f"message {number}")
        ada.wait_for(f"{TEXTS}.length", 20)
        below = "find('history').scrollHeight - find('history').clientHeight"
        assert ada.evaluate(below) > 0
        assert ada.evaluate(f"Math.abs(find('history').scrollTop - ({below})) <= 1")


class Conversation:
    """Two pages whose visitors speak, whatever happens to the server."""

    def __init__(self, pages: dict[str, Page]) -> None:
        self.pages = pages
        self.said: list[str] = []

    def speak(self, about: str) -> None:
        for name, page in self.pages.items():
            self.said.append(f"{name} {about}")
            say(page, self.said[-1])

    def have_new_sockets(self) -> bool:
        return all(
            page.evaluate("ready && socket !== window.before") for page in self.pages.values()
        )

    def wait_for_new_sockets(self) -> None:
        eventually(self.have_new_sockets, "for new sockets")
        for page in self.pages.values():
            page.evaluate("window.before = socket; undefined")

    def check(self) -> None:
        """Wait until everything was sent, and fail unless all of it is there once and in order."""
        for page in self.pages.values():
            page.wait_for("document.querySelectorAll('.waiting').length", 0)
            page.wait_for(f"{TEXTS}.length", len(self.said))
        texts = [page.evaluate(TEXTS) for page in self.pages.values()]
        assert texts[0] == texts[1]
        for name in self.pages:
            own = [each for each in self.said if each.startswith(name)]
            assert [each for each in texts[0] if each.startswith(name)] == own


@pytest.mark.parametrize("processes", ["1", "2"])
def test_pages_come_back_after_a_reload_of_the_server(
    chromium: Chromium, tmp_path: Path, processes: str
) -> None:
    with (
        serve_chat(tmp_path, *PLAIN, "--processes", processes) as site,
        visit(chromium, site, "Ada") as ada,
        visit(chromium, site, "Bob") as bob,
    ):
        conversation = Conversation({"Ada": ada, "Bob": bob})
        conversation.speak("before")
        conversation.wait_for_new_sockets()
        for reload in range(3):
            site.send(signal.SIGHUP)
            spoken = 0
            while not conversation.have_new_sockets():
                if spoken < 10:  # the longer it takes, the less may be left to do in the end
                    conversation.speak(f"during reload {reload}")
                    spoken += 1
            conversation.speak(f"after reload {reload}")
            conversation.wait_for_new_sockets()
            conversation.check()


def test_pages_come_back_after_a_restart_of_the_server(chromium: Chromium, tmp_path: Path) -> None:
    with ExitStack() as stack:
        bind = ["--bind", f"127.0.0.1:{unused_port()}"]
        server = stack.enter_context(serve_chat(tmp_path, *bind))
        ada, bob = (stack.enter_context(visit(chromium, server, name)) for name in ("Ada", "Bob"))
        conversation = Conversation({"Ada": ada, "Bob": bob})
        conversation.wait_for_new_sockets()
        for number in range(2):
            conversation.speak(f"just before stop {number}")
            server.stop()
            for page in (ada, bob):
                page.wait_for("socket", None)
            conversation.speak(f"without a server {number}")
            server = stack.enter_context(serve_chat(tmp_path, *bind))
            conversation.wait_for_new_sockets()
            conversation.speak(f"after start {number}")
            conversation.check()


def test_a_page_whose_session_has_ended_asks_for_the_name(
    chromium: Chromium, tmp_path: Path
) -> None:
    bind = ["--bind", f"127.0.0.1:{unused_port()}"]
    with serve_chat(tmp_path, *bind) as server:
        page = chromium.visit(server.address)
        page.submit("#log-in", name="Ada")
        page.wait_for(CONNECTED)
    (tmp_path / "secret-key").unlink()
    with serve_chat(tmp_path, *bind):
        page.wait_for("document.getElementById('log-in') !== null")
    page.close()
