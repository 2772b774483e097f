from __future__ import annotations

import pytest

from rocket_wsgi._websocket.deflate import AGREED
from rocket_wsgi._websocket.handshake import (
    Opening,
    Refusal,
    accept_key,
    check_subprotocol,
    origin_admitted,
    read_extensions,
    read_opening,
    switching_fields,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
VALID = {
    "REQUEST_METHOD": "GET",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "keep-alive, Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": KEY,
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}


def opening(**changes: str) -> Opening:
    result = read_opening(VALID | changes, modern=True, body=False)
    assert isinstance(result, Opening)
    return result


def refused(changes: dict[str, str], *, body: bool = False) -> Refusal:
    result = read_opening(VALID | changes, modern=True, body=body)
    assert isinstance(result, Refusal)
    return result


def test_accept_key_of_the_rfc() -> None:
    assert accept_key(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_valid_handshake() -> None:
    result = opening(HTTP_SEC_WEBSOCKET_PROTOCOL="chat.v1, chat.v2", HTTP_ORIGIN="http://a")
    assert result.key == KEY
    assert result.subprotocols == ("chat.v1", "chat.v2")
    assert result.origin == "http://a"
    assert not result.deflate


@pytest.mark.parametrize(
    "changes",
    [{"HTTP_UPGRADE": "h2c"}, {"HTTP_CONNECTION": "keep-alive"}, {"HTTP_UPGRADE": ""}],
)
def test_other_requests_are_no_handshakes(changes: dict[str, str]) -> None:
    assert read_opening(VALID | changes, modern=True, body=False) is None


def test_http_1_0_has_no_upgrade() -> None:
    assert read_opening(dict(VALID), modern=False, body=False) is None


def test_other_version_is_told_which_one_is_supported() -> None:
    refusal = refused({"HTTP_SEC_WEBSOCKET_VERSION": "8"})
    assert refusal.status == "426 Upgrade Required"
    assert ("Sec-WebSocket-Version", "13") in refusal.fields


@pytest.mark.parametrize(
    "changes",
    [
        {"HTTP_SEC_WEBSOCKET_VERSION": ""},
        {"HTTP_SEC_WEBSOCKET_VERSION": "13, 13"},
        {"HTTP_SEC_WEBSOCKET_KEY": ""},
        {"HTTP_SEC_WEBSOCKET_KEY": "c2hvcnQ="},
        {"HTTP_SEC_WEBSOCKET_KEY": f"{KEY},{KEY}"},
        {"REQUEST_METHOD": "POST"},
        {"HTTP_SEC_WEBSOCKET_PROTOCOL": "a,,b"},
        {"HTTP_SEC_WEBSOCKET_PROTOCOL": "a,a"},
        {"HTTP_SEC_WEBSOCKET_EXTENSIONS": "a;=1"},
    ],
)
def test_broken_handshakes(changes: dict[str, str]) -> None:
    assert refused(changes).status == "400 Bad Request"


def test_handshake_with_a_body_is_broken() -> None:
    assert refused({}, body=True).status == "400 Bad Request"


def test_extensions_are_read_with_quoted_values() -> None:
    assert read_extensions('a; x=1; y="2" , b;z') == [
        ("a", [("x", "1"), ("y", "2")]),
        ("b", [("z", None)]),
    ]
    assert read_extensions('a; x="no token"') is None


@pytest.mark.parametrize(
    ("offer", "accepted"),
    [
        ("permessage-deflate", True),
        ("permessage-deflate; client_max_window_bits", True),
        ('permessage-deflate; client_max_window_bits="10"', True),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", True),
        ("permessage-deflate; server_max_window_bits=15", True),
        ("permessage-deflate; server_max_window_bits=10", False),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", True),
        ("permessage-deflate; server_max_window_bits", False),
        ("permessage-deflate; client_max_window_bits=16", False),
        ("permessage-deflate; client_max_window_bits=08", False),
        ("permessage-deflate; client_no_context_takeover=1", False),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits=9", False),
        ("permessage-deflate; unknown", False),
        ("x-webkit-deflate-frame", False),
        ("x-other, permessage-deflate", True),
    ],
)
def test_offers_of_compression(offer: str, accepted: bool) -> None:
    assert bool(opening(HTTP_SEC_WEBSOCKET_EXTENSIONS=offer).deflate) is accepted


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ("permessage-deflate; client_max_window_bits", AGREED),
        ("permessage-deflate; server_max_window_bits=15", f"{AGREED}; server_max_window_bits=15"),
        (
            (
                "permessage-deflate; server_max_window_bits=9, permessage-deflate; "
                "server_max_window_bits=15, permessage-deflate"
            ),
            f"{AGREED}; server_max_window_bits=15",
        ),
        ("permessage-deflate; server_max_window_bits=9, permessage-deflate", AGREED),
    ],
)
def test_limit_of_the_window_of_the_server_is_in_the_answer(offers: str, answer: str) -> None:
    """Clients that set one fail the connection otherwise (RFC 7692, section 7.1.2.1)."""
    asked = opening(HTTP_SEC_WEBSOCKET_EXTENSIONS=offers)
    fields = switching_fields(asked, [], None, deflate=True)
    assert fields[-1] == ("Sec-WebSocket-Extensions", answer)


def test_subprotocol_must_have_been_asked_for() -> None:
    asked = opening(HTTP_SEC_WEBSOCKET_PROTOCOL="a, b")
    check_subprotocol(asked, "b")
    check_subprotocol(asked, None)
    with pytest.raises(ValueError, match="'c', but for a, b"):
        check_subprotocol(asked, "c")


@pytest.mark.parametrize(
    ("origin", "host", "admitted"),
    [
        (None, "a.example", True),
        ("http://a.example", "a.example", True),
        ("https://a.example", "a.example", True),
        ("https://A.example", "a.EXAMPLE:443", True),
        ("https://a.example:443", "a.example", True),
        ("http://a.example:8000", "a.example:8000", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://a.example", "a.example:443", False),
        ("http://a.example", "a.example:8000", False),
        ("http://b.example", "a.example", False),
        ("http://a.example.b", "a.example", False),
        ("app://a.example", "a.example", False),
        ("null", "a.example", False),
        ("", "a.example", False),
    ],
)
def test_origin_of_the_same_host(origin: str | None, host: str, admitted: bool) -> None:
    assert origin_admitted(origin, None, host) is admitted


def test_origins_by_name() -> None:
    names = {"https://A.example:443", "http://b.example:8000", "null"}
    assert origin_admitted("https://a.example", names, "x")
    assert origin_admitted("http://b.example:8000", names, "x")
    assert origin_admitted("null", names, "x")
    assert origin_admitted(None, names, "x")
    assert not origin_admitted("http://a.example", names, "x")
    assert not origin_admitted("https://x", names, "x")
    assert origin_admitted("https://x", "*", "y")


def test_wrong_origins_are_an_error_even_without_an_origin() -> None:
    with pytest.raises(ValueError, match="collection of origins"):
        origin_admitted(None, "https://a.example", "x")
    with pytest.raises(ValueError, match=r"'a\.example' is not an origin"):
        origin_admitted(None, ["a.example"], "x")


def test_fields_of_101() -> None:
    asked = opening(
        HTTP_SEC_WEBSOCKET_PROTOCOL="a", HTTP_SEC_WEBSOCKET_EXTENSIONS="permessage-deflate"
    )
    dropped = [
        (name, "x")
        for name in (
            "Content-Length",
            "content-encoding",
            "Transfer-Encoding",
            "Connection",
            "Upgrade",
            "Sec-WebSocket-Accept",
        )
    ]
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    assert switching_fields(asked, dropped + cookies, "a", deflate=True) == [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("Sec-WebSocket-Protocol", "a"),
        ("Sec-WebSocket-Extensions", AGREED),
        *cookies,
    ]
    assert len(switching_fields(asked, [], None, deflate=False)) == 3
