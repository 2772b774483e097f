from __future__ import annotations

from coresupport import LineWorker, connect, serving, shout
from rocket_core import Connection, State
from rocket_core._engine.counters import Tally
from rocket_core._engine.response_counts import ResponseCounts
from rocket_core.testing import eventually


def test_classes_and_own_responses_of_all_threads_are_added_up() -> None:
    tally = Tally()
    first, second = ResponseCounts(), ResponseCounts()
    counters = tally.open(first)
    tally.open(second)
    first.sent[2] += 3
    first.count_own(503)
    second.count_own(503)
    second.note_own(500)
    first.times[2].add(0.5)
    second.times[5].add(25.0)
    tally.close(counters)  # its thread has ended
    total = tally.total().responses
    assert total.by_class() == {"1xx": 0, "2xx": 3, "3xx": 0, "4xx": 0, "5xx": 2}
    assert total.own_by_status() == {"500": 1, "503": 2}
    times = total.times_by_class()
    assert list(times) == ["none", "1xx", "2xx", "3xx", "4xx", "5xx"]
    assert (times["2xx"].count, times["5xx"].count, times["none"].count) == (1, 1, 0)
    assert total.all_times().total == 25.5


def test_invalid_status_counts_as_an_error_of_the_server() -> None:
    """Clients take it for one (RFC 9110, section 15)."""
    counts = ResponseCounts()
    counts.sent[9] += 1
    counts.times[9].add(1.0)
    assert counts.by_class()["5xx"] == 1
    assert counts.times_by_class()["5xx"].count == 1


class Responding(LineWorker):
    """A worker whose responses have the class that the line of the request tells."""

    def __init__(self) -> None:
        self.responses = counts = ResponseCounts()

        def respond(connection: Connection, line: bytes, body: bytes) -> State:
            digit = 0 if line == b"nothing" else int(line)
            if digit:
                counts.sent[digit] += 1
            counts.sent[0] = digit
            return shout(connection, line, body)

        super().__init__(respond)


def test_time_of_a_service_counts_for_the_class_of_its_response() -> None:
    with serving(Responding) as server, connect(server) as client:
        for line in (b"2\n", b"5\n", b"nothing\n"):
            client.send(line)
            assert client.read_line() == line.upper()
        eventually(lambda: server.statistics().service_time.count == 3)
        statistics = server.statistics()
    assert {name: each.count for name, each in statistics.service_times.items()} == {
        "none": 1, "1xx": 0, "2xx": 1, "3xx": 0, "4xx": 0, "5xx": 1
    }  # fmt: skip
    assert statistics.responses["2xx"] == statistics.responses["5xx"] == 1
