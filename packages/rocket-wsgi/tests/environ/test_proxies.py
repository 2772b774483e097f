"""Rocket behind proxies, over real connections."""

from __future__ import annotations

import json
import logging
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Serve
from rocket_core import AddressError, Listener, Peer, Server, TCPAddress, Timeouts
from rocket_core.http1 import HeadError
from rocket_core.testing import Answer
from rocket_wsgi import AccessLog, WSGIWorker
from rocket_wsgi._environ.proxies import Proxies
from served import Served

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

X = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"]
ALL = [*X, "X-Forwarded-Prefix"]
HERE = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32", "unix"]

Environ = dict[str, Any]


def show_environ(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({k: v for k, v in environ.items() if isinstance(v, str)}).encode()]


def send(client: Served, *fields: str, host: str | None = "a") -> Answer:
    stream = client.open()
    version = "1.0" if host is None else "1.1"
    lines = [f"GET /app/x?q HTTP/{version}", *([] if host is None else [f"Host: {host}"]), *fields]
    stream.send("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
    return stream.answer()


def ask(client: Served, *fields: str, host: str | None = "a") -> Environ:
    answer = send(client, *fields, host=host)
    assert answer.status == 200, answer.body
    found: Environ = json.loads(answer.body)
    return found


def forwarded_keys(environ: Environ) -> list[str]:
    return [key for key in environ if "FORWARDED" in key or key == "HTTP_X_REAL_IP"]


FORGED = [
    "Forwarded: for=192.0.2.9;proto=https;host=evil",
    "X-Forwarded-For: 192.0.2.9",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Prefix: /evil",
    "X-Forwarded-User: root",
    "X-Forwarded: for=192.0.2.9",
    "X-Real-IP: 192.0.2.9",
]


# -- trust -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("trusted", [[], ["10.0.0.0/8", "unix", "::1"]])
@pytest.mark.parametrize("fields", [None, ALL, ["Forwarded"]])
def test_fields_of_untrusted_peers_are_removed(
    serve: Serve, trusted: list[str], fields: list[str]
) -> None:
    client = serve(show_environ, trusted_proxies=trusted, proxy_fields=fields)
    environ = ask(client, *FORGED)
    assert forwarded_keys(environ) == []
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["HTTP_HOST"] == "a"
    assert environ["SCRIPT_NAME"] == ""
    assert "rocket.peer" not in environ
    assert "HTTPS" not in environ


def test_without_trusted_proxies_the_application_gets_all_fields(serve: Serve) -> None:
    environ = ask(serve(show_environ), *FORGED)
    assert len(forwarded_keys(environ)) == len(FORGED)
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["HTTP_HOST"] == "a"


def test_malformed_fields_of_untrusted_peers_are_ignored(serve: Serve) -> None:
    client = serve(show_environ, trusted_proxies=[], proxy_fields=ALL)
    assert ask(client, "X-Forwarded-For: x", "X-Forwarded-Port: x", "X-Forwarded-Prefix: x")


@pytest.mark.parametrize(
    ("fields", "client", "scheme", "host"),
    [
        (None, "192.0.2.9", "https", "a"),
        (["x-forwarded-for"], "192.0.2.9", "http", "a"),
        (["X-Forwarded-Host"], "127.0.0.1", "http", "evil"),
        (["Forwarded"], "192.0.2.9", "https", "evil"),
    ],
)
def test_only_the_configured_fields_are_accepted(
    serve: Serve, fields: list[str] | None, client: str, scheme: str, host: str
) -> None:
    environ = ask(serve(show_environ, trusted_proxies=HERE, proxy_fields=fields), *FORGED)
    # Fields that the server does not know may come from the proxy; the application gets them.
    assert forwarded_keys(environ) == [
        "HTTP_X_FORWARDED_USER",
        "HTTP_X_FORWARDED",
        "HTTP_X_REAL_IP",
    ]
    assert environ["REMOTE_ADDR"] == client
    assert environ["wsgi.url_scheme"] == scheme
    assert environ["HTTP_HOST"] == host
    assert environ["SCRIPT_NAME"] == ""


def test_field_names_with_underscores_are_not_accepted(serve: Serve) -> None:
    client = serve(show_environ, trusted_proxies=HERE, proxy_fields=ALL)
    environ = ask(client, "X_Forwarded_For: 192.0.2.9", "X-Forwarded_Proto: https")
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["wsgi.url_scheme"] == "http"
    assert forwarded_keys(environ) == []


def test_a_request_of_the_proxy_itself(serve: Serve) -> None:
    environ = ask(serve(show_environ, trusted_proxies=HERE, proxy_fields=ALL))
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert "REMOTE_PORT" in environ
    assert "rocket.peer" not in environ


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"trusted_proxies": ["*"]}, AddressError, r"'\*' is not a network"),
        ({"trusted_proxies": "10.0.0.0/8"}, TypeError, "list of strings"),
        ({"proxy_fields": ALL}, ValueError, "proxy_fields needs trusted_proxies"),
        ({"trusted_proxies": [], "proxy_fields": []}, ValueError, "proxy_fields is empty"),
        ({"trusted_proxies": [], "proxy_fields": ["Via"]}, ValueError, "unknown field 'Via'; use"),
        ({"trusted_proxies": [], "proxy_fields": "Forwarded"}, TypeError, "list of strings"),
        ({"trusted_proxies": [], "proxy_fields": ["Forwarded", *X]}, ValueError, "one kind"),
    ],
)
def test_invalid_settings(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        WSGIWorker(show_environ, **settings)


# -- the client ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "host", "port"),
    [
        ("192.0.2.1", "192.0.2.1", None),
        ("192.0.2.1:4711", "192.0.2.1", "4711"),
        ("2001:DB9::1", "2001:db9::1", None),
        ("[2001:db9::1]:4711", "2001:db9::1", "4711"),
        ("192.0.2.9, 192.0.2.1", "192.0.2.1", None),
        ("what,ever\x80, 192.0.2.1", "192.0.2.1", None),
        ("192.0.2.9, 192.0.2.1, 10.1.2.3", "192.0.2.1", None),
        ("192.0.2.9, 192.0.2.1, 2001:db8::2, 10.1.2.3:80,unix:,127.0.0.1", "192.0.2.1", None),
        ("10.0.0.1, 192.0.2.1", "192.0.2.1", None),
        ("10.0.0.1, 10.0.0.2", "10.0.0.1", None),
        ("10.0.0.1:5", "10.0.0.1", "5"),
        ("192.0.2.1, ,", "192.0.2.1", None),
        ("192.0.2.9, unknown, 10.0.0.2", "", None),
        ("unknown", "", None),
        ("unix:", "", None),
    ],
)
def test_the_last_untrusted_hop_is_the_client(
    serve: Serve, value: str, host: str, port: str | None
) -> None:
    client = serve(show_environ, trusted_proxies=HERE)
    environ = ask(client, f"X-Forwarded-For: {value}")
    assert environ["REMOTE_ADDR"] == host
    assert environ.get("REMOTE_PORT") == port
    assert re.fullmatch(r"127\.0\.0\.1:\d+", environ["rocket.peer"])
    assert forwarded_keys(environ) == []


def test_repeated_fields_are_one_list(serve: Serve) -> None:
    client = serve(show_environ, trusted_proxies=HERE)
    fields = ["X-Forwarded-For: 192.0.2.9", "X-Forwarded-For: 192.0.2.1, 10.0.0.1"]
    assert ask(client, *fields)["REMOTE_ADDR"] == "192.0.2.1"


@pytest.mark.parametrize("value", ["", ",", " , "])
def test_an_empty_list_names_no_client(serve: Serve, value: str) -> None:
    for fields in (ALL, ["Forwarded"]):
        client = serve(show_environ, trusted_proxies=HERE, proxy_fields=fields)
        environ = ask(client, *(f"{name}: {value}" for name in fields))
        assert environ["REMOTE_ADDR"] == "127.0.0.1"
        assert environ["HTTP_HOST"] == "a"


@pytest.mark.parametrize(
    ("value", "client", "scheme", "name"),
    [
        ("for=192.0.2.1", ("192.0.2.1", None), "http", "a"),
        ('for="192.0.2.1:5";proto=https;host=b', ("192.0.2.1", "5"), "https", "b"),
        ('FOR="[2001:db9::1]:5";Proto=HTTPS;Host="b:81"', ("2001:db9::1", "5"), "https", "b:81"),
        ("for=192.0.2.9;host=evil, for=192.0.2.1;host=b", ("192.0.2.1", None), "http", "b"),
        (
            "for=192.0.2.9;host=evil, for=192.0.2.1;host=b;proto=https, for=10.0.0.1;host=c",
            ("192.0.2.1", None),
            "https",
            "b",
        ),
        ("for=192.0.2.9, for=_hidden;proto=https, for=10.0.0.1", ("", None), "https", "a"),
        ("for=192.0.2.9, proto=https", ("", None), "https", "a"),
        ("for=unknown", ("", None), "http", "a"),
        ("for=10.0.0.1;host=b, for=10.0.0.2;host=c", ("10.0.0.1", None), "http", "b"),
    ],
)
def test_forwarded(
    serve: Serve, value: str, client: tuple[str, str | None], scheme: str, name: str
) -> None:
    served = serve(show_environ, trusted_proxies=HERE, proxy_fields=["Forwarded"])
    environ = ask(served, f"Forwarded: {value}")
    assert (environ["REMOTE_ADDR"], environ.get("REMOTE_PORT")) == client
    assert environ["wsgi.url_scheme"] == scheme
    assert environ["HTTP_HOST"] == name
    assert forwarded_keys(environ) == []


# -- scheme, host, port, prefix --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "scheme"),
    [
        ("http", "http"),
        ("https", "https"),
        ("HTTPS", "https"),
        ("wss", "https"),
        ("ws", "http"),
        ("https, http", "http"),
        ("evil, https", "https"),
    ],
)
def test_schemes(serve: Serve, value: str, scheme: str) -> None:
    environ = ask(serve(show_environ, trusted_proxies=HERE), f"X-Forwarded-Proto: {value}")
    assert environ["wsgi.url_scheme"] == scheme
    assert environ.get("HTTPS") == ("on" if scheme == "https" else None)


@pytest.mark.parametrize(
    ("own", "fields", "expected"),
    [
        ("a", ["Host: b"], ("b", "b", "80")),
        ("a", ["Host: b", "Proto: https"], ("b", "b", "443")),
        ("a", ["Host: b:81"], ("b:81", "b", "81")),
        ("a", ["Host: b:81", "Port: 82"], ("b:81", "b", "81")),
        ("a", ["Host: b", "Port: 82"], ("b:82", "b", "82")),
        ("a", ["Host: b:", "Port: 82"], ("b:82", "b", "82")),
        ("a", ["Host: b", "Port: 443", "Proto: https"], ("b", "b", "443")),
        ("a", ["Host: b", "Port: 443"], ("b:443", "b", "443")),
        ("a", ["Host: evil, [2001:db8::1]:81"], ("[2001:db8::1]:81", "[2001:db8::1]", "81")),
        ("a", ["Host: [2001:db8::1]"], ("[2001:db8::1]", "[2001:db8::1]", "80")),
        ("a", ["Port: 8443", "Proto: https"], ("a:8443", "a", "8443")),
        ("a:1", ["Port: 8443"], ("a:1", "a", "1")),
        (None, ["Host: b"], ("b", "b", "80")),
        (None, ["Port: 82"], (None, "127.0.0.1", "82")),
    ],
)
def test_hosts(
    serve: Serve, own: str | None, fields: list[str], expected: tuple[str | None, str, str]
) -> None:
    client = serve(show_environ, trusted_proxies=HERE, proxy_fields=X)
    environ = ask(client, *(f"X-Forwarded-{each}" for each in fields), host=own)
    found = environ.get("HTTP_HOST"), environ["SERVER_NAME"], environ["SERVER_PORT"]
    assert found == expected


@pytest.mark.parametrize(
    ("value", "script"),
    [
        ("/", ""),
        ("/app", "/app"),
        ("/app/", "/app"),
        ("/a/b-c_d.e~f", "/a/b-c_d.e~f"),
        ("/%C3%A9", "/\xc3\xa9"),
        ("/%C3%80", "/\xc3\x80"),
        ("/\xc3\x80/b", "/\xc3\x80/b"),
        ("/evil, /app", "/app"),
    ],
)
def test_prefixes(serve: Serve, value: str, script: str) -> None:
    client = serve(show_environ, trusted_proxies=HERE, proxy_fields=ALL)
    environ = ask(client, f"X-Forwarded-Prefix: {value}")
    assert environ["SCRIPT_NAME"] == script
    assert environ["PATH_INFO"] == "/app/x"  # the proxy has removed the prefix
    assert environ["REQUEST_URI"] == "/app/x?q"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        (ALL, "X-Forwarded-For: 192.0.2.9, example.com"),
        (ALL, "X-Forwarded-For: 192.0.2.256"),
        (ALL, "X-Forwarded-For: 192.0.2.9:99999"),
        (ALL, "X-Forwarded-For: 10.0.0.256, 10.0.0.1"),
        (ALL, "X-Forwarded-Proto: ftp"),
        (ALL, "X-Forwarded-Proto: https https"),
        (ALL, "X-Forwarded-Host: a/b"),
        (ALL, "X-Forwarded-Host: user@b"),
        (ALL, "X-Forwarded-Host: b:99999"),
        (ALL, "X-Forwarded-Host: b:0"),
        (ALL, "X-Forwarded-Host: ::1"),
        (ALL, "X-Forwarded-Port: 0"),
        (ALL, "X-Forwarded-Port: http"),
        (ALL, "X-Forwarded-Port: 65536"),
        (ALL, "X-Forwarded-Prefix: app"),
        (ALL, "X-Forwarded-Prefix: //evil"),
        (ALL, "X-Forwarded-Prefix: /a//b"),
        (ALL, "X-Forwarded-Prefix: /a/../b"),
        (ALL, "X-Forwarded-Prefix: /a/%2e%2E"),
        (ALL, "X-Forwarded-Prefix: /a%2F%2Fb"),
        (ALL, "X-Forwarded-Prefix: /%2Fevil"),
        (ALL, "X-Forwarded-Prefix: /a%0d%0ab"),
        (ALL, "X-Forwarded-Prefix: /a%5Cb"),
        (ALL, "X-Forwarded-Prefix: /a\\b"),
        (ALL, "X-Forwarded-Prefix: /a?b"),
        (ALL, "X-Forwarded-Prefix: https://evil/"),
        (["Forwarded"], 'Forwarded: for="192.0.2.1'),
        (["Forwarded"], "Forwarded: for=2001:db8::1"),
        (["Forwarded"], "Forwarded: for=example.com"),
        (["Forwarded"], "Forwarded: for=192.0.2.1;proto=ftp"),
        (["Forwarded"], 'Forwarded: for=192.0.2.1;host="a b"'),
        (["Forwarded"], 'Forwarded: for=192.0.2.1;host=""'),
    ],
)
def test_malformed_values_of_a_trusted_proxy_are_refused(
    serve: Serve, fields: list[str], field: str
) -> None:
    answer = send(serve(show_environ, trusted_proxies=HERE, proxy_fields=fields), field)
    assert answer.status == 400
    assert b"roxy" in answer.body or b"Forwarded" in answer.body


SETTINGS = [ALL, ["Forwarded"]]


@given(
    st.dictionaries(
        st.sampled_from(["FOR", "PROTO", "HOST", "PORT", "PREFIX"]),
        st.one_of(st.text(max_size=40), st.text("/.:,%25 []0a", max_size=20)),
    ),
    st.one_of(st.text(max_size=60), st.text('for=proto=host=;,"0.1:[]', max_size=40)),
)
def test_no_value_makes_the_environ_unclean(said: dict[str, str], forwarded: str) -> None:
    for fields in SETTINGS:
        environ = {
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_PORT": "1",
            "HTTP_HOST": "a",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SCRIPT_NAME": "",
            "wsgi.url_scheme": "http",
            "HTTP_FORWARDED": forwarded,
            **{f"HTTP_X_FORWARDED_{name}": value for name, value in said.items()},
        }
        if fields == ALL:
            del environ["HTTP_FORWARDED"]
        try:
            Proxies(HERE, fields).apply(environ, Peer("127.0.0.1", 1))
        except HeadError as error:
            assert error.status == 400
            continue
        assert re.fullmatch(r"[0-9a-f.:]*", environ["REMOTE_ADDR"])
        assert 0 < int(environ.get("REMOTE_PORT", "1")) <= 65535
        assert 0 < int(environ["SERVER_PORT"]) <= 65535
        assert environ["wsgi.url_scheme"] in ("http", "https")
        assert environ["HTTP_HOST"].isascii()
        assert not set(environ["HTTP_HOST"]) & set(" /\\@,\r\n")
        script = environ["SCRIPT_NAME"]
        assert not script or script[0] == "/" != script[-1]
        assert "//" not in script


# -- other listeners -------------------------------------------------------------------------------


@contextmanager
def reached(listener: Listener, **settings: Any) -> Iterator[Server]:
    with Server(lambda: WSGIWorker(show_environ, **settings), [listener]) as server:
        yield server


def exchange(sock: socket.socket, *fields: str, preamble: bytes = b"") -> Environ:
    """Send ``preamble`` and a request, and return the environ of the request."""
    lines = ["GET / HTTP/1.1", "Host: a", *fields, "", ""]
    sock.sendall(preamble + "\r\n".join(lines).encode())
    with sock.makefile("rb") as reader:
        assert b" 200 " in reader.readline()
        length = 0
        while (line := reader.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        found: Environ = json.loads(reader.read(length))
    return found


@pytest.mark.parametrize(("trusted", "client"), [(["unix"], "192.0.2.1"), (["0.0.0.0/0"], "")])
def test_unix_sockets(tmp_path: Path, trusted: list[str], client: str) -> None:
    path = tmp_path / "here"
    with reached(Listener(f"unix:{path}"), trusted_proxies=trusted), socket.socket(1) as sock:
        sock.settimeout(30)
        sock.connect(str(path))
        environ = exchange(sock, "X-Forwarded-For: 192.0.2.9, 192.0.2.1")
        assert environ["REMOTE_ADDR"] == client
        assert environ.get("rocket.peer") == ("unix:" if client else None)


LINE = b"PROXY TCP4 192.0.2.5 198.51.100.7 56324 443\r\n"
BLOCK = bytes([192, 0, 2, 5, 198, 51, 100, 7]) + struct.pack("!HH", 56324, 443)
TLS_AT_PROXY = b"\x20" + struct.pack("!HBI", 5, 1, 1)
HEADER = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", 20) + BLOCK + TLS_AT_PROXY


@pytest.mark.parametrize(("preamble", "secure"), [(LINE, False), (HEADER, True)])
def test_the_proxy_protocol(preamble: bytes, secure: bool) -> None:
    listener = Listener("127.0.0.1:0", proxy_protocol=["127.0.0.1"])
    settings = {"trusted_proxies": ["127.0.0.1"], "proxy_fields": ALL}
    with reached(listener, **settings) as server, connect(server) as sock:
        for _ in range(2):
            environ = exchange(sock, *FORGED[1:], preamble=preamble)
            preamble = b""
            assert environ["REMOTE_ADDR"] == "192.0.2.5"
            assert environ["REMOTE_PORT"] == "56324"
            assert environ["SERVER_NAME"] == "198.51.100.7"
            assert environ["SERVER_PORT"] == "443"
            assert environ["wsgi.url_scheme"] == ("https" if secure else "http")
            assert environ.get("HTTPS") == ("on" if secure else None)
            host, port = sock.getsockname()
            assert environ["rocket.peer"] == f"{host}:{port}"
            assert forwarded_keys(environ) == []  # the client is not the proxy, and is not trusted


def test_fields_after_the_proxy_protocol() -> None:
    """An HTTP proxy in front of a proxy that forwards bytes."""
    listener = Listener("127.0.0.1:0", proxy_protocol=["127.0.0.1"])
    with reached(listener, trusted_proxies=["192.0.2.5"]) as server, connect(server) as sock:
        environ = exchange(sock, "X-Forwarded-For: 203.0.113.1", preamble=LINE)
        assert environ["REMOTE_ADDR"] == "203.0.113.1"
        host, port = sock.getsockname()
        assert environ["rocket.peer"] == f"{host}:{port}"


@contextmanager
def connect(server: Server) -> Iterator[socket.socket]:
    address = server.listeners[0].address
    assert isinstance(address, TCPAddress)
    with socket.create_connection((address.host, address.port), 30) as sock:
        yield sock


def test_the_access_log_has_the_client(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = AccessLog(logging.getLogger("access"))
    client = serve(show_environ, trusted_proxies=HERE, access_log=log, max_body=1)
    ask(client, "X-Forwarded-For: 192.0.2.9, 192.0.2.1")
    ask(client, "X-Forwarded-For: unknown")
    assert send(client, "X-Forwarded-For: x").status == 400
    client.stop()
    log.close()
    hosts = [each.getMessage().split()[0] for each in caplog.records if each.name == "access"]
    # Sorted, because two threads log their requests after the clients have got their answers.
    assert sorted(hosts) == ["-", "127.0.0.1", "192.0.2.1"]


def test_a_refusal_in_the_access_log_has_the_client(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    log = AccessLog(logging.getLogger("access"))
    client = serve(
        show_environ,
        trusted_proxies=HERE,
        access_log=log,
        timeouts=Timeouts(grace=0.01, stall=0.05),
    )
    stream = client.open()
    head = "POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\nContent-Length: 9\r\n\r\n"
    stream.send(head.encode())
    assert stream.answer().status == 408
    client.stop()
    log.close()
    lines = [each.getMessage() for each in caplog.records if each.name == "access"]
    assert len(lines) == 1
    assert re.match(r'192\.0\.2\.1 - - \[.*\] "POST / HTTP/1\.1" 408 ', lines[0])


@pytest.mark.parametrize(
    ("fields", "host"),
    [
        (["X-Forwarded-For: 198.51.100.7"], "198.51.100.7"),
        (["X-Forwarded-For: 198.51.100.7, 10.0.0.9"], "198.51.100.7"),
        ([], ""),
    ],
)
def test_the_connection_has_the_client_of_the_proxy(
    serve: Serve, fields: list[str], host: str
) -> None:
    """So the behaviour of one client is not attributed to all clients of the proxy."""
    client = serve(show_environ, trusted_proxies=["127.0.0.1", "10.0.0.0/8"])
    stream = client.open()
    stream.send("\r\n".join(["GET / HTTP/1.1", "Host: a", *fields, "", ""]).encode())
    assert stream.answer().status == 200
    (connection,) = client.server._registry.snapshot()
    assert connection.client == host


def test_the_connection_of_an_untrusted_peer_has_no_other_client(serve: Serve) -> None:
    client = serve(show_environ, trusted_proxies=["192.0.2.1"])
    stream = client.open()
    stream.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n")
    assert stream.answer().status == 200
    (connection,) = client.server._registry.snapshot()
    assert connection.client is None
