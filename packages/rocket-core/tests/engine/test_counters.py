from __future__ import annotations

from rocket_core import CloseReason
from rocket_core._engine.counters import Tally


def test_tally_counts_running_and_ended_threads() -> None:
    tally = Tally()
    first, second = tally.open(), tally.open()
    first.accepted = 2
    first.requests = 3
    first.closes[CloseReason.CLIENT] = 4
    second.closes[CloseReason.CLIENT] = 1
    second.closes[CloseReason.RESET] = 1
    tally.close(first)
    for _ in range(2):
        total = tally.total()
        assert (total.accepted, total.requests) == (2, 3)
        assert total.closes == {CloseReason.CLIENT: 5, CloseReason.RESET: 1}
        tally.close(second)
