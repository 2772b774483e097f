from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_core.http1 import HeadError
from rocket_wsgi._environ.forwarded import Element, parse_forwarded

TOKEN = st.text("!#$%&'*+-.^_`|~0123456789abcXYZ", min_size=1)
NAMES = TOKEN.map(str.lower)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        ("", []),
        (" , ,,", []),
        (";", []),
        ("for=192.0.2.43", [{"for": "192.0.2.43"}]),
        ('For="[2001:db8::17]:4711"', [{"for": "[2001:db8::17]:4711"}]),
        (
            "for=192.0.2.60;proto=http;by=203.0.113.43",
            [{"for": "192.0.2.60", "proto": "http", "by": "203.0.113.43"}],
        ),
        ("for=a, for=b", [{"for": "a"}, {"for": "b"}]),
        ("for=a,for=b,", [{"for": "a"}, {"for": "b"}]),
        ("for=a ; proto=b\t,\tfor=c", [{"for": "a", "proto": "b"}, {"for": "c"}]),
        (";for=a;;proto=b;", [{"for": "a", "proto": "b"}]),
        ('for="a,b;c=d"', [{"for": "a,b;c=d"}]),
        (r'secret="\"\\\a"', [{"secret": '"\\a'}]),
        ('for=""', [{"for": ""}]),
        ('x="\xe9\t"', [{"x": "\xe9\t"}]),
    ],
)
def test_elements(value: str, elements: list[Element]) -> None:
    assert parse_forwarded(value) == elements


@pytest.mark.parametrize(
    "value",
    [
        "for",
        "for=",
        "=a",
        "for =a",
        "for= a",
        "for=a b",
        "for=a:1",
        "for=[::1]",
        'for="a',
        'for=a"',
        'for="a"b',
        'for="a, for="192.0.2.1"',
        'for="a\\"',
        "for=a;for=b",
        "for=a;FOR=b",
        "f\xf6r=a",
        "for=\xe9",
        'for="\x7f"',
    ],
)
def test_malformed(value: str) -> None:
    with pytest.raises(HeadError) as caught:
        parse_forwarded(value)
    assert caught.value.status == 400


@given(st.lists(st.dictionaries(NAMES, VALUES, min_size=1)))
def test_every_element_survives_quoting(elements: list[Element]) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    written = [";".join(f"{name}={quoted(each[name])}" for name in each) for each in elements]
    assert parse_forwarded(", ".join(written)) == elements


@given(st.one_of(st.text(max_size=60), st.text('for=;,"\\ a\t', max_size=60)))
def test_any_text_is_parsed_or_refused(value: str) -> None:
    try:
        elements = parse_forwarded(value)
    except HeadError:
        return
    assert all(elements)


@pytest.mark.parametrize(
    "filling", [" ", "\t", "a", '"', "\\", "\\a", ";", ",", "=", "a=b;", 'a="']
)
def test_parsing_takes_linear_time(filling: str) -> None:
    """A parser that backtracks would take minutes."""
    for value in (
        filling * 20_000 + "\x00",
        'for="' + filling * 20_000,
        "for=a," + filling * 20_000,
    ):
        try:
            parse_forwarded(value)
        except HeadError:
            continue
