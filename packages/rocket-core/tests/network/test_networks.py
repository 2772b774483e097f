from __future__ import annotations

import pytest

from rocket_core import AddressError, Networks


@pytest.mark.parametrize(
    ("networks", "inside", "outside"),
    [
        (["10.0.0.0/8"], ["10.0.0.0", "10.255.255.255"], ["11.0.0.0", "::1", "", "/run/x"]),
        (["10.0.0.0/8"], ["10.0.0.1"], ["10.0.0.1%", "10.0.0.1%x", "10.0.0.1%/x"]),
        (["127.0.0.1"], ["127.0.0.1"], ["127.0.0.2", "unix"]),
        (["::1", "2001:db8::/32"], ["::1", "2001:db8:1::2"], ["::2", "2001:db9::", "0.0.0.1"]),
        (["fe80::/10"], ["fe80::1%eth0"], ["fec0::1"]),
        (["unix"], ["", "/run/proxy.sock", "@proxy", "./10.0.0.1"], ["10.0.0.1", "::1"]),
        (["unix", "10.0.0.0/8"], ["", "10.0.0.1"], ["127.0.0.1"]),
        ([], [], ["", "10.0.0.1"]),
        (["0.0.0.0/0"], ["1.2.3.4"], ["::1", ""]),
    ],
)
def test_who_is_inside(networks: list[str], inside: list[str], outside: list[str]) -> None:
    found = Networks(networks)
    for _ in range(2):  # the second answer is remembered
        assert [host for host in inside + outside if host in found] == inside
    assert bool(found) == bool(networks)


@pytest.mark.parametrize(
    "text", ["*", "", "10.0.0.1/8", "10.0.0", "localhost", "fe80::1%eth0", "::ffff:10.0.0.0/104"]
)
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(AddressError, match="use ") as caught:
        Networks(["127.0.0.1", text])
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_string_is_no_list_of_networks() -> None:
    with pytest.raises(TypeError, match=r"use \['10.0.0.0/8'\]"):
        Networks("10.0.0.0/8")


def test_answers_remembered_are_bounded() -> None:
    networks = Networks(["10.0.0.0/16"])
    for number in range(3000):
        assert f"10.0.{number // 256}.{number % 256}" in networks
    assert "10.1.0.0" not in networks
    assert len(networks._known) <= 1024
