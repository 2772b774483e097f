from __future__ import annotations

from pathlib import Path

import pytest

from rocket_cli._bind import Bind, parse_binds
from rocket_cli._errors import CommandError
from rocket_core import Address, TCPAddress, UnixAddress

CERTIFICATE = Path("certificate.pem")
KEY = Path("key.pem")


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
def test_certificate_decides_where_there_is_no_scheme(text: str, address: Address) -> None:
    assert parse_binds([text], None, None) == [Bind(address)]
    assert parse_binds([text], CERTIFICATE, KEY) == [Bind(address, CERTIFICATE, KEY)]
    assert parse_binds([text], CERTIFICATE, None) == [Bind(address, CERTIFICATE, None)]


def test_scheme_decides_for_each_bind() -> None:
    binds = parse_binds(["http://[::1]:80", "https://:443", "http://unix:a"], CERTIFICATE, KEY)
    assert binds == [
        Bind(TCPAddress("::1", 80)),
        Bind(TCPAddress("", 443), CERTIFICATE, KEY),
        Bind(UnixAddress(Path("a"))),
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nonsense", ["--bind", "'nonsense'", "HOST:PORT"]),
        ("127.0.0.1:http", ["--bind", "'http'"]),
        ("http://127.0.0.1:99999", ["--bind", "'99999'"]),
        ("::1:80", ["--bind", "brackets"]),
        ("unix:", ["--bind", "path"]),
        ("ftp://127.0.0.1:80", ["--bind", "'ftp://127.0.0.1:80'", "https://"]),
        ("https://127.0.0.1:80", ["--bind", "'https://127.0.0.1:80'", "--tls-cert"]),
    ],
)
def test_bad_bind(text: str, named: list[str]) -> None:
    with pytest.raises(CommandError) as caught:
        parse_binds(["127.0.0.1:0", text], None, None)
    for name in named:
        assert name in str(caught.value)


def test_key_without_certificate() -> None:
    with pytest.raises(CommandError, match=r"^--tls-key key\.pem .* --tls-cert"):
        parse_binds([], None, KEY)
