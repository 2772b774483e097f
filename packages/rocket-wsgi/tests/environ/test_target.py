from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_core.http1 import HeadError
from rocket_wsgi._environ.target import _paths, parse_target
from rocket_wsgi._repeat_cache import MEMORY


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", ("/", "", None)),
        ("/a/b?c=d&e", ("/a/b", "c=d&e", None)),
        ("/a?b?c", ("/a", "b?c", None)),
        ("/caf%C3%A9%20x", ("/caf\xc3\xa9 x", "", None)),
        ("/a%2Fb?q=%41", ("/a/b", "q=%41", None)),
        ("//host/x", ("//host/x", "", None)),
        ("http://example.org", ("/", "", "example.org")),
        ("HTTP://example.org:81/x?y", ("/x", "y", "example.org:81")),
        ("https://[::1]:8443?q", ("/", "q", "[::1]:8443")),
    ],
)
def test_forms(target: str, expected: tuple[str, str, str | None]) -> None:
    assert parse_target("GET", target) == expected


def test_asterisk_is_for_options_only() -> None:
    assert parse_target("OPTIONS", "*") == ("*", "", None)
    with pytest.raises(HeadError) as caught:
        parse_target("GET", "*")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("CONNECT", "example.org:443", 501),
        ("GET", "example.org:443", 400),
        ("GET", "ftp://example.org/", 400),
        ("GET", "http:///path", 400),
        ("GET", "http://a b/", 400),
        ("GET", "http://user@host/", 400),
        ("GET", "/a#b", 400),
        ("GET", "path", 400),
    ],
)
def test_refused(method: str, target: str, status: int) -> None:
    with pytest.raises(HeadError) as caught:
        parse_target(method, target)
    assert caught.value.status == status


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_any_target_is_split_or_refused(target: str) -> None:
    try:
        found = parse_target("GET", target)
    except HeadError as error:
        assert error.status == 400
    else:
        assert found[0].startswith("/")
        assert "?" not in found[0] or "%3f" in target.lower()


def test_decoded_paths_are_remembered_within_bounds() -> None:
    for number in range(2 * MEMORY):
        for _ in range(3):
            assert parse_target("GET", f"/%41{number}?%41") == (f"/A{number}", "%41", None)
    assert 0 < len(_paths) <= MEMORY
    for _ in range(3):
        assert parse_target("GET", "/%41" + "x" * 256)[0] == "/A" + "x" * 256
    assert all(len(path) <= 256 for path in _paths)
