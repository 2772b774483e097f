from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rocket_cli._processes.channel import Channel, Message, channel_pair
from rocket_cli._processes.control import Control
from rocket_core.testing import PATIENCE


class Process:
    """A control thread that collects its orders, and the supervisor's end of its channel."""

    def __init__(self) -> None:
        self.orders: queue.SimpleQueue[tuple[str, Message]] = queue.SimpleQueue()
        self.supervisor, self.channel = channel_pair()

        def order(name: str) -> Any:
            return lambda message: self.orders.put((name, message))

        def broken(arguments: Message) -> Message:
            raise LookupError("no such thing")

        handlers = {"double": lambda arguments: {"n": arguments["n"] * 2}, "broken": broken}
        orders = {name: order(name) for name in ("stop", "end")}
        self.control = Control(self.channel, orders, handlers)
        self.control.start()

    def ask(self, name: str, **arguments: Any) -> Message:
        self.supervisor.send({"question": 9, "name": name, "arguments": arguments})
        return receive(self.supervisor)


def receive(channel: Channel) -> Message:
    while not (found := channel.receive()):
        pass
    (message,) = found
    return message


@pytest.fixture
def process() -> Iterator[Process]:
    process = Process()
    yield process
    process.supervisor.close()
    process.control._thread.join(PATIENCE)
    process.channel.close()


def test_orders_are_carried_out(process: Process) -> None:
    process.supervisor.send({"order": "unknown"})
    process.supervisor.send({"order": "stop", "seconds": 3})
    name, message = process.orders.get(timeout=PATIENCE)
    assert (name, message["seconds"]) == ("stop", 3)


def test_questions_are_answered(process: Process) -> None:
    assert process.ask("double", n=4) == {"answer": 9, "result": {"n": 8}}


def test_unknown_question(process: Process) -> None:
    assert process.ask("nonsense")["result"] == {"error": "unknown question 'nonsense'"}


def test_handler_that_fails(process: Process, caplog: pytest.LogCaptureFixture) -> None:
    assert process.ask("broken")["result"] == {"error": "LookupError: no such thing"}
    assert "cannot answer the question broken" in caplog.text
    assert process.ask("double", n=1)["result"] == {"n": 2}


def test_the_process_ends_when_the_supervisor_is_gone(process: Process) -> None:
    process.supervisor.close()
    assert process.orders.get(timeout=PATIENCE)[0] == "end"


def test_asking_the_supervisor(process: Process) -> None:
    """Answers may arrive in any order."""
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(process.control.ask, "stats", {"n": 1})
        asked = [receive(process.supervisor)]
        second = threads.submit(process.control.ask, "stats", {"n": 2})
        asked.append(receive(process.supervisor))
        assert [each["arguments"] for each in asked] == [{"n": 1}, {"n": 2}]
        for each in reversed(asked):
            answers = [each["arguments"]]
            process.supervisor.send({"id": each["id"], "answers": answers, "ended": {}})
        assert first.result(PATIENCE)["answers"] == [{"n": 1}]
        assert second.result(PATIENCE)["answers"] == [{"n": 2}]


def test_supervisor_that_does_not_answer(process: Process) -> None:
    with pytest.raises(TimeoutError, match="has not answered stats"):
        process.control.ask("stats", {}, timeout=0.01)
