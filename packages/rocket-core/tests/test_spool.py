from __future__ import annotations

import pytest

from rocket_core import Spool
from rocket_core._spool import MEMORY_BOUND


@pytest.mark.parametrize("size", [0, 1, MEMORY_BOUND, MEMORY_BOUND + 1, 3 * MEMORY_BOUND])
def test_spool(size: int) -> None:
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


def _has_descriptor(file: object) -> bool:
    try:
        file.fileno()  # type: ignore[attr-defined]
    except OSError:
        return False
    return True


def test_a_spool_that_was_never_opened_closes_its_file() -> None:
    spool = Spool()
    spool.add(b"x" * (MEMORY_BOUND + 1))
    spool.close()
    with pytest.raises(ValueError, match="closed"):
        spool.open()
