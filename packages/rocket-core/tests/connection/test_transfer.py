from __future__ import annotations

from math import inf

import pytest

from rocket_core import Timeouts
from rocket_core._connection.transfer import MINUTE, Transfer

TIMEOUTS = Timeouts(minimum_rate=100, grace=10, stall=50)


def test_transfer_above_the_minimum_rate_is_never_late() -> None:
    transfer = Transfer(TIMEOUTS, 1000)
    for second in range(1000, 1000 + 3600, 5):
        assert transfer.deadline > second
        transfer.move(600, second)


def test_deadline_begins_with_the_grace_and_moves_with_bytes() -> None:
    transfer = Transfer(TIMEOUTS, 1000)
    assert transfer.deadline == 1010
    transfer.move(2000, 1001)
    assert transfer.deadline == 1030
    # However many bytes have moved, the next one is due within the stall time-out.
    transfer.move(10**9, 1001)
    assert transfer.deadline == 1051


def test_burst_earns_no_more_than_a_minute() -> None:
    transfer = Transfer(TIMEOUTS, 1000)
    transfer.move(10**9, 1000)
    late = [second for second in range(1000, 1200) if not _trickled(transfer, second)]
    assert late[0] == 1000 + MINUTE + 1


def _trickled(transfer: Transfer, second: int) -> bool:
    """Move one byte every 20 s; return False once the deadline has passed."""
    if transfer.deadline <= second:
        return False
    if second % 20 == 0:
        transfer.move(1, second)
    return True


def test_stall_time_out_above_a_minute_is_honoured() -> None:
    transfer = Transfer(Timeouts(stall=300), 1000)
    transfer.move(10**9, 1000)
    assert transfer.deadline == 1300


def test_bytes_that_move_do_not_shorten_the_grace() -> None:
    transfer = Transfer(Timeouts(minimum_rate=1e9, grace=200, stall=150), 1000)
    transfer.move(1, 1000)
    assert transfer.deadline == 1150
    transfer.move(1, 1140)
    assert transfer.deadline == pytest.approx(1200)


def test_time_outs_may_be_infinite() -> None:
    transfer = Transfer(Timeouts(keep_alive=inf, grace=inf, stall=inf), 1.0)
    transfer.move(10, 2.0)
    assert transfer.deadline == inf


def test_only_bytes_taken_lately_count_at_the_deadline() -> None:
    transfer = Transfer(TIMEOUTS, 1000, queued=500)
    transfer.move(10**6, 1000)
    # The client has taken all of it since.
    assert transfer.confirm(0, 1050)
    assert transfer.deadline == 1100
    transfer.move(10**6, 1050)
    # A hundred bytes in 50 s are too few, however many were taken before.
    assert transfer.confirm(10**6 - 100, 1100)
    assert transfer.deadline == 1111
    assert not transfer.confirm(10**6 - 200, 1111.5 + 1)
    assert not transfer.confirm(10**6 - 200, 1112)  # the client has taken nothing since


def test_time_without_waiting_for_the_client_does_not_count() -> None:
    transfer = Transfer(TIMEOUTS, 1000)
    transfer.resume(1500)
    assert transfer.deadline == 1510
    assert transfer.age(1500) == 0
    transfer.move(10**9, 1500)
    assert transfer.deadline == 1550


def test_waits_for_one_response_are_judged_as_one() -> None:
    """A client that takes a little less than it must is not spared by a response of many parts."""
    transfer = Transfer(TIMEOUTS, 1000, sending=True)
    now = 1000
    while transfer.deadline > now + 5:  # each part is waited for 5 s, and then comes a pause of 60
        assert now < 20_000
        now += 5
        transfer.move(490, now)
        transfer.pause(0, now)
        now += 60
        transfer.resume(now)
    assert now == 1000 + 51 * 65  # 51 waits, each of which costs 0.1 s of the 10 s of grace


def test_client_at_the_minimum_rate_is_not_late_however_many_waits_there_are() -> None:
    """The system holds what was sent, and is asked at a deadline and after each wait only."""
    transfer = Transfer(TIMEOUTS, 1000, queued=9_000, sending=True)
    now = 1000
    for _ in range(1000):
        now += 8
        transfer.move(800, now)
        transfer.pause(9_000, now)  # the system has accepted as much as the client has taken
        now += 1
        transfer.resume(now, queued=9_000)
    assert transfer.confirm(8_100, now + 9)


def test_pause_earns_no_more_than_a_minute() -> None:
    transfer = Transfer(Timeouts(minimum_rate=100, grace=10, stall=1000), 1000, sending=True)
    transfer.pause(0, 1000)
    transfer.move(10**9, 1500)
    transfer.resume(1500)
    assert transfer.deadline == 2500


def test_pace_is_that_of_the_last_minute() -> None:
    burst, steady = Transfer(TIMEOUTS, 1000), Transfer(TIMEOUTS, 1000)
    burst.move(90_000_000, 1001)
    assert burst.pace(1001) == pytest.approx(45_000_000, rel=0.05)
    for second in range(1000, 1900):
        steady.move(5000, second)
    assert steady.pace(1900) == pytest.approx(5000, rel=0.05)
    assert burst.pace(1900) < 1
