from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_wsgi._static.ranges import MAX_RANGES, ByteRange, parse_ranges


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-9", [(0, 10)]),
        ("BYTES=2-", [(2, 8)]),
        ("bytes=-3", [(7, 3)]),
        ("bytes=-30", [(0, 10)]),
        ("bytes=5-99", [(5, 5)]),
        ("bytes= 8-9 ,\t0-1", [(8, 2), (0, 2)]),
        ("bytes=0-1,20-30", [(0, 2)]),
        ("bytes=10-", []),
        ("bytes=-0", []),
        ("bytes=9999999999999999999-", []),
        ("bytes=0-9999999999999999999", [(0, 10)]),
    ],
)
def test_ranges(value: str, expected: list[tuple[int, int]]) -> None:
    assert parse_ranges(value, 10) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=3-2",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=1_0-20",
        "bytes=\u0661-2",
        "bytes=1-2-3",
        "bytes=0-1,",
        "bytes=0-1;2-3",
        "lines=0-1",
        "bytes =0-1",
        "bytes=99999999999999999999-",
        "bytes=0-5,5-9",
        "bytes=0-,0-",
        "bytes=-5,-4,-3",
        "bytes=" + ",".join(f"{2 * n}-{2 * n}" for n in range(MAX_RANGES + 1)),
    ],
)
def test_ignored(value: str) -> None:
    assert parse_ranges(value, 1000) is None


def test_an_empty_file_has_no_ranges() -> None:
    assert parse_ranges("bytes=0-", 0) == []
    assert parse_ranges("bytes=-1", 0) == []


def test_content_range() -> None:
    assert ByteRange(3, 4).content_range(10) == "bytes 3-6/10"


specs = st.lists(
    st.tuples(st.none() | st.integers(0, 50), st.none() | st.integers(0, 50)),
    min_size=1,
    max_size=MAX_RANGES + 2,
)


@given(specs, st.integers(0, 40))
def test_the_requested_bytes_are_sent_once(
    wanted: list[tuple[int | None, int | None]], size: int
) -> None:
    text = ",".join(
        f"{'' if first is None else first}-{'' if last is None else last}" for first, last in wanted
    )
    found = parse_ranges(f"bytes={text}", size)
    if found is None:
        return
    data = range(size)
    expected = []
    for first, last in wanted:
        if first is None:
            assert last is not None
            part = data[max(size - last, 0) :]
        else:
            part = data[first : None if last is None else last + 1]
        if part:
            expected.append((part[0], len(part)))
    assert found == expected
    assert sum(each.length for each in found) <= size


@given(st.text(), st.integers(0, 1 << 40))
def test_any_text(text: str, size: int) -> None:
    for value in (text, "bytes=" + text):
        for each in parse_ranges(value, size) or ():
            assert 0 <= each.offset < each.offset + each.length <= size
