from __future__ import annotations

from pathlib import Path

import pytest

from rocket_cli._settings.bind import Bind, parse_bind
from rocket_core import Address, TCPAddress, UnixAddress


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", TCPAddress("127.0.0.1", 80)),
        ("[::1]:8080", TCPAddress("::1", 8080)),
        (":0", TCPAddress("", 0)),
        ("localhost:8000", TCPAddress("localhost", 8000)),
        ("unix:/run/rocket.sock", UnixAddress(Path("/run/rocket.sock"))),
    ],
)
@pytest.mark.parametrize("scheme", ["", "http://", "https://"])
def test_address_with_and_without_scheme(scheme: str, text: str, address: Address) -> None:
    bind = parse_bind(scheme + text)
    assert bind == Bind(address, scheme.removesuffix("://") or None)
    assert str(bind) == scheme + text


@pytest.mark.parametrize(
    ("scheme", "certificate", "secure"),
    [
        (None, True, True),
        (None, False, False),
        ("http", True, False),
        ("https", True, True),
        ("https", False, True),
    ],
)
def test_without_a_scheme_a_certificate_means_https(
    scheme: str | None, certificate: bool, secure: bool
) -> None:
    assert Bind(TCPAddress("", 0), scheme).secure(certificate=certificate) is secure


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nonsense", ["'nonsense'", "HOST:PORT"]),
        ("127.0.0.1:http", ["'http'"]),
        ("http://127.0.0.1:99999", ["'99999'"]),
        ("::1:80", ["brackets"]),
        ("unix:", ["path"]),
        ("ftp://127.0.0.1:80", ["'ftp://127.0.0.1:80'", "https://"]),
    ],
)
def test_bad_bind(text: str, named: list[str]) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_bind(text)
    for name in named:
        assert name in str(caught.value)
