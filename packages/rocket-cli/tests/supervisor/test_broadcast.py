from __future__ import annotations

from typing import Any, cast

import pytest

from manual_timers import ManualTimers
from rocket_cli._processes.channel import Message
from rocket_cli._supervisor import broadcast as broadcast_module
from rocket_cli._supervisor.broadcast import Broadcast
from rocket_cli._supervisor.child import Child


class Asked:
    """A stand-in for a process, with what a broadcast reads of it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.generation = 3


class Asking:
    def __init__(self, *pids: int) -> None:
        self.timers = ManualTimers()
        self.told: list[tuple[int, Message]] = []
        self.children = [cast("Child", Asked(pid)) for pid in pids]
        self.replies: list[list[Message]] = []
        self.broadcast = Broadcast(self.timers, lambda child, m: self.told.append((child.pid, m)))

    def ask(self) -> None:
        self.broadcast.ask("stats", {"a": 1}, self.children, self.replies.append)

    def answer(self, index: int, **result: Any) -> None:
        number = self.told[index][1]["question"]
        self.broadcast.answered(self.children[index], {"answer": number, "result": result})


def test_every_process_is_asked_and_the_answers_are_collected() -> None:
    asking = Asking(11, 12)
    asking.ask()
    question = {"question": 1, "name": "stats", "arguments": {"a": 1}}
    assert sorted(asking.told, key=lambda each: each[0]) == [(11, question), (12, question)]
    asking.answer(1, requests=5)
    assert asking.replies == []
    asking.answer(0, requests=4)
    assert asking.replies == [
        [
            {"process": 12, "generation": 3, "requests": 5},
            {"process": 11, "generation": 3, "requests": 4},
        ]
    ]


def test_an_answer_has_its_share_of_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is too long costs no other process its answer."""
    monkeypatch.setattr(broadcast_module, "_MAX_ANSWERS", 2000)
    asking = Asking(11, 12)
    asking.ask()
    asking.answer(0, text="x" * 1000)
    asking.answer(1, text="x" * 900)
    ((long, short),) = asking.replies
    assert (long["process"], long["error"]) == (
        11,
        "the answer is longer than 1000 bytes: ask with a limit",
    )
    assert (short["process"], len(short["text"])) == (12, 900)


def test_a_process_speaks_for_itself() -> None:
    asking = Asking(11)
    asking.ask()
    asking.answer(0, process=12, generation=9)
    assert asking.replies == [[{"process": 11, "generation": 3}]]


def test_without_processes_the_reply_is_empty() -> None:
    asking = Asking()
    asking.ask()
    assert asking.replies == [[]]


def test_a_process_that_does_not_answer_in_time() -> None:
    asking = Asking(11)
    asking.ask()
    asking.timers.make_calls()
    (answers,) = asking.replies
    assert answers[0]["process"] == 11
    assert "no answer within" in answers[0]["error"]
    asking.answer(0, requests=4)  # too late, and ignored
    assert len(asking.replies) == 1


def test_a_process_that_ends_is_not_waited_for() -> None:
    asking = Asking(11)
    asking.ask()
    asking.broadcast.gone(asking.children[0])
    assert asking.replies == [
        [{"process": 11, "generation": 3, "error": "the process ended before it answered"}]
    ]
