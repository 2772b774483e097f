from __future__ import annotations

from answering import counters, stats, thread
from rocket_cli._admin.reply import Reply
from rocket_cli._terminal.trend import Look, Trend


def look(time: float, *processes: dict[str, object]) -> Look:
    return Look(time, Reply(list(processes)), Reply([]))


def test_rates_are_those_of_the_last_interval() -> None:
    trend = Trend()
    trend.add(look(10.0, stats(counters=counters(100))))
    assert not trend.rates
    trend.add(look(12.0, stats(counters=counters(150, cpu=2.5))))
    assert list(trend.rates) == [25.0]
    assert trend.cpu == {100: 0.5}
    assert trend.per_process == {100: 25.0}
    assert trend.counted["service_time"]["buckets"] == {"3072": 50}
    assert trend.waited is not None
    assert round(trend.waited, 4) == round(1e-5 / (1e-5 + 3e-3), 4)


def test_no_share_of_the_time_without_requests() -> None:
    trend = Trend()
    for time in (0.0, 1.0):
        trend.add(look(time, stats(counters=counters(100))))
    assert trend.waited is None
    assert list(trend.rates) == [0.0]


def test_process_that_is_new_counts_from_its_beginning() -> None:
    trend = Trend()
    trend.add(look(0.0, stats(counters=counters(1000))))
    trend.add(look(1.0, stats(process=101, generation=2, counters=counters(30))))
    assert list(trend.rates) == [30.0]
    assert trend.per_process == {101: 30.0}


def test_process_that_does_not_answer_counts_nothing() -> None:
    trend = Trend()
    silent = {"process": 101, "generation": 1, "error": "no answer"}
    trend.add(look(0.0, stats(counters=counters(10)), stats(process=101)))
    trend.add(look(1.0, stats(counters=counters(15)), silent))
    assert list(trend.rates) == [5.0]
    assert [each["process"] for each in trend.processes] == [100]


def test_server_that_has_begun_anew_is_not_compared_with_the_old() -> None:
    trend = Trend()
    trend.add(look(0.0, stats(counters=counters(1000))))
    trend.forget()
    assert trend.processes == []
    trend.add(look(1.0, stats(counters=counters(5))))
    assert not trend.rates


def test_generations_in_their_order() -> None:
    trend = Trend()
    trend.add(look(0.0, stats(process=9, generation=2), stats(process=10), stats(process=8)))
    assert [each["process"] for each in trend.processes] == [8, 10, 9]


def test_slowest_requests_of_all_processes() -> None:
    trend = Trend()
    answers = [
        {"process": 1, "generation": 1, "threads": [thread(seconds=1.0), thread(client=None)]},
        {"process": 2, "generation": 1, "threads": [thread(seconds=2.0)]},
    ]
    trend.add(Look(0.0, Reply([stats()]), Reply(answers)))
    assert [(each["process"], each["seconds"]) for each in trend.slowest] == [(2, 2.0), (1, 1.0)]
