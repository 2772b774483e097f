from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_core.http1 import HeadError
from rocket_wsgi._environ.nodes import UNDISCLOSED, Node, parse_loose_node, parse_node, parse_port

BOTH = [
    ("192.0.2.43", Node("192.0.2.43", None)),
    ("192.0.2.43:47011", Node("192.0.2.43", "47011")),
    ("192.0.2.43:00080", Node("192.0.2.43", "80")),
    ("192.0.2.43:0", Node("192.0.2.43", None)),
    ("192.0.2.43:_here", Node("192.0.2.43", None)),
    ("[2001:db8:CAFE::17]", Node("2001:db8:cafe::17", None)),
    ("[2001:db8:cafe:0::17]:4711", Node("2001:db8:cafe::17", "4711")),
    ("[::ffff:192.0.2.1]", Node("192.0.2.1", None)),
    ("unknown", UNDISCLOSED),
    ("Unknown:80", UNDISCLOSED),
    ("_SEVKISEK", UNDISCLOSED),
    ("_a.b-c_1:_x", UNDISCLOSED),
]
LOOSE = [
    ("2001:db8::17", Node("2001:db8::17", None)),
    ("::1", Node("::1", None)),
    ("::ffff:192.0.2.1", Node("192.0.2.1", None)),
    ("unix:", Node("", None)),
]
NEITHER = [
    "",
    "example.com",
    "192.0.2",
    "192.0.2.043",
    "192.0.2.256",
    "192.0.2.1 ",
    "192.0.2.1:",
    "192.0.2.1:-1",
    "192.0.2.1:65536",
    "192.0.2.1:123456",
    "192.0.2.1:80:80",
    "[192.0.2.1]",
    "[2001:db8::17",
    "2001:db8::17]",
    "[2001:db8::17]80",
    "[2001:db8::17::]",
    "[fe80::1%eth0]",
    "fe80::1%eth0",
    "_",
    "_a b",
    "unknowns",
    "unix:/run/x",
    "192.0.2.1\n",
    "\u0661.0.0.1",
]


@pytest.mark.parametrize(("text", "node"), BOTH)
def test_nodes(text: str, node: Node) -> None:
    assert parse_node(text) == node
    assert parse_loose_node(text) == node


@pytest.mark.parametrize(("text", "node"), LOOSE)
def test_nodes_of_x_forwarded_for(text: str, node: Node) -> None:
    assert parse_loose_node(text) == node
    with pytest.raises(HeadError):
        parse_node(text)


@pytest.mark.parametrize("text", NEITHER)
def test_invalid_nodes(text: str) -> None:
    for parse in (parse_node, parse_loose_node):
        with pytest.raises(HeadError) as caught:
            parse(text)
        assert caught.value.status == 400


@given(st.ip_addresses(v=6).map(str).filter(lambda text: "ffff:" not in text))
def test_ipv6_in_both_forms(text: str) -> None:
    assert parse_node(f"[{text}]:1") == Node(text, "1")
    assert parse_loose_node(text) == Node(text, None)


@given(st.one_of(st.text(max_size=30), st.text("0123456789abc:.[]_%", max_size=30)))
def test_any_text_is_a_node_or_refused(text: str) -> None:
    try:
        node = parse_loose_node(text)
    except HeadError:
        return
    assert node.port is None or 0 < int(node.port) <= 65535


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "+1", "8 0", "\u00b2", "000080"])
def test_invalid_ports(text: str) -> None:
    with pytest.raises(HeadError):
        parse_port(text)
