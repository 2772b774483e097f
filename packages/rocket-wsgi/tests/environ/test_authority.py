from __future__ import annotations

import pytest

from rocket_core.http1 import HeadError
from rocket_wsgi._environ.authority import _hosts, split_host, valid_host
from rocket_wsgi._environ.target import parse_target
from rocket_wsgi._repeat_cache import MEMORY


@pytest.mark.parametrize(
    "host",
    ["", "a", "a.b:80", "127.0.0.1", "[::1]", "[::1]:1", "a_b", "a:", "xn--bcher-kva.example"],
)
def test_valid_hosts(host: str) -> None:
    assert valid_host(host)


@pytest.mark.parametrize("port", ["", ":", ":65535"])
def test_a_host_of_more_than_255_bytes_is_not_valid(port: str) -> None:
    name = ".".join(["a" * 63] * 4)
    assert len(name) == 255
    assert valid_host(name + port)
    assert not valid_host(f"a{name}{port}")
    with pytest.raises(HeadError, match="malformed authority"):
        parse_target("GET", f"http://a{name}{port}/")


def test_hosts_that_do_not_come_again_do_not_displace_others() -> None:
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


@pytest.mark.parametrize(
    ("host", "parts"),
    [
        ("", ("", None)),
        ("a", ("a", None)),
        ("a:", ("a", "")),
        ("a.b:80", ("a.b", "80")),
        ("[::1]", ("[::1]", None)),
        ("[::1]:", ("[::1]", "")),
        ("[::1]:8443", ("[::1]", "8443")),
    ],
)
def test_a_valid_host_is_split_into_name_and_port(host: str, parts: tuple[str, str | None]) -> None:
    assert valid_host(host)
    assert split_host(host) == parts
