from __future__ import annotations

from typing import Any, cast

import pytest

from rocket_cli._processes.channel import Message
from rocket_cli._supervisor import questions as questions_module
from rocket_cli._supervisor.children import Child
from rocket_cli._supervisor.questions import Broadcast, add_statistics
from rocket_cli._supervisor.timers import Timers


class Asked:
    """A process as far as questions know it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.generation = 3


class Manual(Timers):
    """Timers whose calls are made by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []

    def after(self, seconds: float, call: Any) -> None:
        self.calls.append(call)


class Asking:
    def __init__(self, *pids: int) -> None:
        self.timers = Manual()
        self.told: list[tuple[int, Message]] = []
        self.children = [cast("Child", Asked(pid)) for pid in pids]
        self.replies: list[list[Message]] = []
        self.questions = Broadcast(self.timers, lambda child, m: self.told.append((child.pid, m)))

    def ask(self) -> None:
        self.questions.ask("stats", {"a": 1}, self.children, self.replies.append)

    def answer(self, index: int, **result: Any) -> None:
        number = self.told[index][1]["question"]
        self.questions.answered(self.children[index], {"answer": number, "result": result})


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
    """One that is too long costs no other process its answer."""
    monkeypatch.setattr(questions_module, "_MOST_ANSWERS", 2000)
    asking = Asking(11, 12)
    asking.ask()
    asking.answer(0, text="x" * 1000)
    asking.answer(1, text="x" * 900)
    ((long, short),) = asking.replies
    assert (long["process"], long["error"]) == (
        11,
        "its answer has more than 1000 bytes: ask for less",
    )
    assert (short["process"], len(short["text"])) == (12, 900)


def test_a_process_speaks_for_itself() -> None:
    asking = Asking(11)
    asking.ask()
    asking.answer(0, process=12, generation=9)
    assert asking.replies == [[{"process": 11, "generation": 3}]]


def test_names_that_processes_make_up_do_not_pile_up() -> None:
    total: Message = {}
    for start in range(0, 1000, 100):
        add_statistics(total, {"closes": {str(start + n): 1 for n in range(100)}})
    assert len(total["closes"]) == 256
    add_statistics(total, {"closes": {"0": 1, "new": 1}})
    assert total["closes"]["0"] == 2
    assert "new" not in total["closes"]


def test_nobody_to_ask() -> None:
    asking = Asking()
    asking.ask()
    assert asking.replies == [[]]


def test_a_process_that_does_not_answer_in_time() -> None:
    asking = Asking(11)
    asking.ask()
    for call in asking.timers.calls:
        call()
    (answers,) = asking.replies
    assert answers[0]["process"] == 11
    assert "no answer within" in answers[0]["error"]
    asking.answer(0, requests=4)  # too late, and ignored
    assert len(asking.replies) == 1


def test_a_process_that_ends_is_not_waited_for() -> None:
    asking = Asking(11)
    asking.ask()
    asking.questions.gone(asking.children[0])
    assert asking.replies == [
        [{"process": 11, "generation": 3, "error": "it ended before it answered"}]
    ]


def test_statistics_of_ended_processes_add_up() -> None:
    total: Message = {}
    add_statistics(total, {"requests": 3, "closes": {"served": 2}, "histogram": [1, 2], "who": "a"})
    add_statistics(
        total, {"requests": 4, "closes": {"served": 1, "error": 1}, "histogram": [0, 5], "who": "b"}
    )
    assert total == {
        "requests": 7,
        "closes": {"served": 3, "error": 1},
        "histogram": [1, 7],
        "who": "b",
    }
