from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_core.http1 import HeadError
from rocket_wsgi._environ.target import Target, _hosts, parse_target, valid_host
from rocket_wsgi._repeat_cache import MEMORY


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", Target("/", "", None)),
        ("/a/b?c=d&e", Target("/a/b", "c=d&e", None)),
        ("/a?b?c", Target("/a", "b?c", None)),
        ("/caf%C3%A9%20x", Target("/caf\xc3\xa9 x", "", None)),
        ("/a%2Fb?q=%41", Target("/a/b", "q=%41", None)),
        ("//host/x", Target("//host/x", "", None)),
        ("http://example.org", Target("/", "", "example.org")),
        ("HTTP://example.org:81/x?y", Target("/x", "y", "example.org:81")),
        ("https://[::1]:8443?q", Target("/", "q", "[::1]:8443")),
    ],
)
def test_forms(target: str, expected: Target) -> None:
    assert parse_target("GET", target) == expected


def test_asterisk_is_for_options_only() -> None:
    assert parse_target("OPTIONS", "*") == Target("*", "", None)
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


@pytest.mark.parametrize(
    "host",
    ["", "a", "a.b:80", "127.0.0.1", "[::1]", "[::1]:1", "a_b", "a:", "xn--bcher-kva.example"],
)
def test_hosts(host: str) -> None:
    assert valid_host(host)


@pytest.mark.parametrize("port", ["", ":", ":65535"])
def test_a_host_is_no_longer_than_a_name(port: str) -> None:
    name = ".".join(["a" * 63] * 4)
    assert len(name) == 255
    assert valid_host(name + port)
    assert not valid_host(f"a{name}{port}")
    with pytest.raises(HeadError, match="malformed authority"):
        parse_target("GET", f"http://a{name}{port}/")


def test_hosts_that_do_not_come_again_keep_no_others_out() -> None:
    for number in range(3 * MEMORY):
        for _ in range(2):
            assert valid_host(f"x{number}")
    for number in range(3 * MEMORY):
        assert not valid_host(f"x {number}")
    assert len(_hosts) <= MEMORY
    for _ in range(2):
        assert valid_host("the.usual.one")
    assert "the.usual.one" in _hosts


@pytest.mark.parametrize("host", ["a b", "a/b", "a:b", "::1", "[::1", "u@h", "a:123456", "\xe9"])
def test_malformed_hosts(host: str) -> None:
    assert not valid_host(host)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_any_target_is_split_or_refused(target: str) -> None:
    try:
        found = parse_target("GET", target)
    except HeadError as error:
        assert error.status == 400
    else:
        assert found.path.startswith("/")
        assert "?" not in found.path or "%3f" in target.lower()
