from __future__ import annotations

import tracemalloc

import pytest

from rocket_core._connection.budget import Budget
from rocket_core._connection.spool import BUDGETED_BOUND, MEMORY_BOUND
from rocket_core.extending import Spool


@pytest.mark.parametrize("size", [0, 1, MEMORY_BOUND, MEMORY_BOUND + 1, 3 * MEMORY_BOUND])
def test_spool_returns_its_bytes_and_uses_a_file_beyond_the_memory_bound(size: int) -> None:
    spool = Spool()
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    for at in range(0, size, 10_000):
        spool.add(data[at : at + 10_000])
    assert spool.size == size
    file = spool.open()
    assert file.read() == data
    assert _has_descriptor(file) is (size > MEMORY_BOUND)
    spool.close()
    assert file.closed


def test_small_pieces_take_little_more_memory_than_they_hold() -> None:
    spool = Spool()
    pieces = [b"%02d" % (number % 100) for number in range(MEMORY_BOUND // 2)]
    tracemalloc.start()
    try:
        for piece in pieces:
            spool.add(piece)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 2 * MEMORY_BOUND
    assert spool.open().read() == b"".join(pieces)
    spool.close()


def test_large_and_small_pieces_keep_their_order() -> None:
    spool = Spool()
    pieces = [b"a" * 5000, b"b", b"c" * 1000, b"d" * 1024, b"e", b"f" * 2000]
    for piece in pieces:
        spool.add(piece)
    assert spool.open().read() == b"".join(pieces)
    spool.close()


def _has_descriptor(file: object) -> bool:
    try:
        file.fileno()  # type: ignore[attr-defined]
    except OSError:
        return False
    return True


def test_spool_that_was_never_opened_closes_its_file() -> None:
    spool = Spool()
    spool.add(b"x" * (MEMORY_BOUND + 1))
    spool.close()
    with pytest.raises(ValueError, match="closed"):
        spool.open()


@pytest.mark.parametrize("size", [MEMORY_BOUND + 1, BUDGETED_BOUND])
def test_larger_body_is_kept_in_memory_within_a_budget(size: int) -> None:
    budget = Budget(2 * BUDGETED_BOUND)
    spool = Spool(budget)
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    for at in range(0, size, 50_000):
        spool.add(data[at : at + 50_000])
    assert budget.held == size
    file = spool.open()
    assert file.read() == data
    assert not _has_descriptor(file)
    spool.close()
    assert budget.held == 0
    spool.close()
    assert budget.held == 0


def test_body_that_is_too_large_or_beyond_the_budget_goes_to_a_file() -> None:
    for budget, size in (
        (Budget(4 * BUDGETED_BOUND), BUDGETED_BOUND + 1),
        (Budget(100_000), 150_000),
    ):
        spool = Spool(budget)
        for at in range(0, size, 50_000):
            spool.add(bytes(min(50_000, size - at)))
        assert budget.held == 0
        file = spool.open()
        assert len(file.read()) == size
        assert _has_descriptor(file)
        spool.close()
        assert budget.held == 0


def test_small_body_needs_no_budget() -> None:
    spool = Spool(Budget(0))
    spool.add(bytes(MEMORY_BOUND))
    assert not _has_descriptor(spool.open())
    spool.close()
