"""The programs in the README, as the installed package carries it."""

from __future__ import annotations

import re
import signal
import threading
from importlib.metadata import metadata
from typing import Any

import pytest

import rocket_core
from coresupport import connect, serving
from rocket_core import Lifecycle, Listener, Timeouts
from rocket_core.testing import PATIENCE, Client, Script, at_growing_scales, eventually, within


def readme() -> str:
    """The README, which package metadata has as its description."""
    return str(metadata("rocket-core").json["description"])


def programs() -> list[str]:
    blocks = re.findall(r"^```python\n(.*?)^```$", readme(), re.MULTILINE | re.DOTALL)
    return [block.replace("127.0.0.1:7000", "127.0.0.1:0") for block in blocks]


def program_with(text: str) -> str:
    (found,) = [each for each in programs() if text in each]
    return found


def test_blocking_style() -> None:
    shout, run, *_ = programs()
    names: dict[str, Any] = {}
    thread = threading.Thread(target=exec, args=(shout + run, names), daemon=True)
    thread.start()
    eventually(lambda: "server" in names and names["server"].lifecycle is Lifecycle.RUNNING)
    server = names["server"]
    with connect(server) as slow, connect(server) as client:
        slow.send(b"sl")
        for _ in range(10):
            assert client.ask(b"hello\n") == b"HELLO\n"
        assert slow.ask(b"ow\n") == b"SLOW\n"
    server.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_other_style_and_signals(number: int) -> None:
    shout, _, patient, _, run, *_ = programs()
    with Script(shout + patient + run) as script:
        line = script.read_line()
        assert line.startswith("Listening on 127.0.0.1:")
        listener = Listener(line.split()[-1])
        with Client(listener.address) as slow, Client(listener.address) as client:
            slow.send(b"sl")
            assert client.ask(b"hello\n") == b"HELLO\n"
            assert slow.ask(b"ow\nnext\n") == b"SLOW\n"
            assert slow.read_line() == b"NEXT\n"
            client.send(b"x" * 5000)
            assert client.closed_by_server()
        script.signal(number)
        assert script.finish() == ""


def test_a_server_that_speaks_unasked() -> None:
    names: dict[str, Any] = {}
    exec(program_with("class Chat"), names)
    with serving(names["Chat"]) as server, connect(server) as first, connect(server) as second:
        first.send(b"hello\n")
        assert first.read_line() == b"hello\n"
        second.send(b"hi\n")
        assert [first.read_line(), second.read_line()] == [b"hi\n"] * 2
        second.close()
        eventually(lambda: len(names["members"]) == 1)


def test_a_protocol_that_answers_in_time() -> None:
    leave = threading.Event()

    def compute(line: bytes) -> bytes:
        if line == b"slow\n":
            assert leave.wait(PATIENCE)
        return line.upper()

    names: dict[str, Any] = {"compute": compute}
    exec(program_with("class Slow"), names)

    def test(scale: float) -> None:
        limit = 0.2 * scale
        leave.clear()
        with serving(names["Slow"], request_timeout=limit) as server, connect(server) as client:
            with within(limit):
                assert client.ask(b"quick\n") == b"QUICK\n"
            assert client.ask(b"slow\n") == b"no answer in time\n"
            leave.set()
            assert client.read_all() == b""

    at_growing_scales(test)


def test_a_test_of_a_protocol() -> None:
    names: dict[str, Any] = {}
    exec(programs()[0] + program_with("def test_it_shouts"), names)
    names["test_it_shouts"]()


def test_time_outs_in_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", readme(), re.MULTILINE)
    assert len(rows) == 7
    for name, seconds in rows:
        assert getattr(Timeouts(), name) == float(seconds)


def test_public_names_exist() -> None:
    for name in rocket_core.__all__:
        assert getattr(rocket_core, name) is not None
