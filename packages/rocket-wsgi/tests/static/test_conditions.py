from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_wsgi._static.conditions import Outcome, Validators, _date, evaluate, range_applies

MODIFIED = 784111777
SAME = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = "Sun, 06 Nov 1994 08:49:38 GMT"
VALIDATORS = Validators('"v"', MODIFIED)


def outcome(**fields: str) -> Outcome:
    return evaluate({f"HTTP_{name.upper()}": value for name, value in fields.items()}, VALIDATORS)


@pytest.mark.parametrize(
    ("value", "matches"),
    [
        ('"v"', True),
        ("*", True),
        ('"a", "v"', True),
        (',, "a" ,\t"v",', True),
        ('"a,\\", "v"', True),
        ('"x"', False),
        ("", False),
        ("v", False),
        ('"v', False),
        ('"a" "v"', False),
        ('w/"v"', False),
        ('"a", *', False),
    ],
)
def test_entity_tags(value: str, matches: bool) -> None:
    expected = (
        (Outcome.NOT_MODIFIED, Outcome.PROCEED) if matches else (Outcome.PROCEED, Outcome.FAILED)
    )
    assert outcome(if_none_match=value) is expected[0]
    assert outcome(if_match=value) is expected[1]


def test_weak_tags_match_if_none_match_only() -> None:
    assert outcome(if_none_match='W/"v"') is Outcome.NOT_MODIFIED
    assert outcome(if_match='W/"v"') is Outcome.FAILED


@pytest.mark.parametrize(
    ("since", "modified", "unmodified"),
    [
        (BEFORE, Outcome.PROCEED, Outcome.FAILED),
        (SAME, Outcome.NOT_MODIFIED, Outcome.PROCEED),
        (AFTER, Outcome.NOT_MODIFIED, Outcome.PROCEED),
        ("Sun Nov  6 08:49:37 1994", Outcome.NOT_MODIFIED, Outcome.PROCEED),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Outcome.NOT_MODIFIED, Outcome.PROCEED),
        ("yesterday", Outcome.PROCEED, Outcome.PROCEED),
        ("Sun, 36 Nov 1994 08:49:38 GMT", Outcome.PROCEED, Outcome.PROCEED),
        ("Sun, 06 Nov 0000 08:49:38 GMT", Outcome.PROCEED, Outcome.PROCEED),
        ("Sun, 06 Ovd 1994 08:49:38 GMT", Outcome.PROCEED, Outcome.PROCEED),
        ("Sun, 06 Nov 1994 08:49:38 +0100", Outcome.PROCEED, Outcome.PROCEED),
    ],
)
def test_dates(since: str, modified: Outcome, unmodified: Outcome) -> None:
    assert outcome(if_modified_since=since) is modified
    assert outcome(if_unmodified_since=since) is unmodified


def test_precedence() -> None:
    """The order of RFC 9110, section 13.2.2."""
    assert outcome(if_match='"v"', if_unmodified_since=BEFORE) is Outcome.PROCEED
    assert outcome(if_match='"x"', if_none_match='"v"') is Outcome.FAILED
    assert outcome(if_match='"v"', if_none_match='"v"') is Outcome.NOT_MODIFIED
    assert outcome(if_none_match='"x"', if_modified_since=AFTER) is Outcome.PROCEED
    assert outcome(if_unmodified_since=BEFORE, if_modified_since=AFTER) is Outcome.FAILED
    assert outcome() is Outcome.PROCEED


def test_two_digit_years_lie_within_fifty_years() -> None:
    now = time.gmtime().tm_year
    for year in (now, now + 49, now - 49):
        found = _date(f"Sunday, 06-Nov-{year % 100:02} 08:49:37 GMT")
        assert found is not None
        assert time.gmtime(found).tm_year == year


@given(st.integers(0, 253402300799))
def test_formatted_dates_are_parsed(seconds: int) -> None:
    assert _date(formatdate(seconds, usegmt=True)) == seconds
    if seconds % 86400:
        assert _date(time.asctime(time.gmtime(seconds))) == seconds


@given(st.text() | st.text(alphabet='"W/, *x\\'))
def test_any_text(text: str) -> None:
    assert _date(text) is None
    assert outcome(if_match=text) in (Outcome.PROCEED, Outcome.FAILED)
    assert outcome(if_none_match=text) in (Outcome.PROCEED, Outcome.NOT_MODIFIED)


def test_parsing_takes_linear_time() -> None:
    for value in (" " * 16000 + "x", '"a",' * 4000, '"' * 16000, "," * 16000):
        assert outcome(if_match=value) is Outcome.FAILED


def test_if_range() -> None:
    def applies(value: str, modified: int = MODIFIED) -> bool:
        return range_applies({"HTTP_IF_RANGE": value}, Validators('"v"', modified))

    assert range_applies({}, VALIDATORS)
    assert applies('"v"')
    assert not applies('W/"v"')
    assert not applies('"x"')
    assert applies(SAME)
    assert not applies(AFTER)
    assert not applies(BEFORE)
    now = int(time.time())
    assert not applies(formatdate(now, usegmt=True), now)
