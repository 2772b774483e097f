from __future__ import annotations

from rocket_cli._admin.counters import total
from rocket_cli._admin.ledger import Ledger
from rocket_cli._admin.reply import Reply


def told(process: int, requests: int) -> dict[str, object]:
    return {"process": process, "generation": 1, "counters": {"requests": requests}}


def silent(process: int) -> dict[str, object]:
    return {"process": process, "generation": 1, "error": "no answer"}


def test_living_and_ended_processes_are_added_up() -> None:
    ledger = Ledger()
    assert ledger.total(Reply([told(1, 5), told(2, 6)], {"requests": 100})) == {"requests": 111}


def test_process_that_does_not_answer_counts_as_before() -> None:
    ledger = Ledger()
    assert ledger.total(Reply([told(1, 5), told(2, 6)])) == {"requests": 11}
    assert ledger.total(Reply([silent(1), told(2, 7)])) == {"requests": 12}
    assert ledger.total(Reply([silent(1), told(2, 8)])) == {"requests": 13}
    assert ledger.total(Reply([told(1, 9), told(2, 8)])) == {"requests": 17}


def test_process_that_has_ended_is_counted_once() -> None:
    ledger = Ledger()
    ledger.total(Reply([told(1, 5)]))
    assert ledger.total(Reply([told(2, 1)], {"requests": 6})) == {"requests": 7}


def test_silence_from_the_beginning_counts_nothing() -> None:
    assert Ledger().total(Reply([silent(1)], total([]))) == {}
