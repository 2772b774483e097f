"""Redirects to HTTPS, Strict-Transport-Security, ACME challenges and health checks."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from rocket_core import Connection, Lifecycle, State, Timeouts
from rocket_core._connection.budget import GRAIN
from rocket_core.testing import Answer, at_growing_scales, eventually, within
from rocket_wsgi import AccessLog, RequestIds, StaticFiles, WSGIWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Serve
    from served import Served

Environ = dict[str, Any]
HSTS = "Strict-Transport-Security"
ONE_YEAR = "max-age=31536000"
CHECK = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
TOKEN = "/.well-known/acme-challenge/t0-ken_"


def application(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
    match environ["PATH_INFO"]:
        case "/own":
            start_response("200 OK", [("strict-transport-security", "max-age=0")])
        case "/crash":
            raise RuntimeError
        case _:
            start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the application"]


def challenges(token: str) -> str | None:
    return "t0-ken_.thumbprint" if token == "t0-ken_" else None


def ask(client: Served, target: str, *lines: str, method: str = "GET", host: str = "a") -> Answer:
    head = "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, "", ""])
    stream = client.open()
    stream.send(head.encode("latin-1"))
    return stream.answer(method)


# -- redirects -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", 301), ("HEAD", 301), ("POST", 308), ("DELETE", 308), ("OPTIONS", 308)],
)
def test_plain_http_is_redirected(serve: Serve, method: str, status: int) -> None:
    answer = ask(serve(application, https_redirect=443), "/a?b=c", method=method)
    assert (answer.status, answer["Location"]) == (status, "https://a/a?b=c")
    assert answer.body == (b"" if method == "HEAD" else b"this site is served over https\n")


@pytest.mark.parametrize(
    ("host", "port", "origin"),
    [
        ("example.org", 443, "https://example.org"),
        ("example.org:8080", 443, "https://example.org"),
        ("example.org:80", 8443, "https://example.org:8443"),
        ("example.org:", 443, "https://example.org"),
        ("[::1]", 443, "https://[::1]"),
        ("[::1]:80", 8443, "https://[::1]:8443"),
    ],
)
def test_the_host_is_kept_and_the_port_is_that_of_https(
    serve: Serve, host: str, port: int, origin: str
) -> None:
    client = serve(application, https_redirect=port)
    assert ask(client, "/", host=host)["Location"] == f"{origin}/"


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/%2F..%2f?%00=%0d%0a", "https://a/%2F..%2f?%00=%0d%0a"),
        ("/?", "https://a/?"),
        ("//evil.example/", "https://a//evil.example/"),
        ("/\\evil.example", "https://a/\\evil.example"),
        ("/@evil.example", "https://a/@evil.example"),
        ("http://b.example", "https://b.example/"),
        ("http://b.example:8080?c", "https://b.example/?c"),
        ("HTTP://b.example/c?d=http://e", "https://b.example/c?d=http://e"),
    ],
)
def test_path_and_query_are_kept_and_lead_to_no_other_host(
    serve: Serve, target: str, location: str
) -> None:
    assert ask(serve(application, https_redirect=443), target)["Location"] == location


@pytest.mark.parametrize("host", ["evil example", "a@evil.example", "a/b", "a\\b", "a?b"])
def test_invalid_hosts_are_refused(serve: Serve, host: str) -> None:
    answer = ask(serve(application, https_redirect=443), "/", host=host)
    assert answer.status == 400
    assert "Location" not in answer


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_requests_that_name_no_url_are_refused(serve: Serve, head: bytes) -> None:
    answer = serve(application, https_redirect=443).exchange(head)
    assert (answer.status, answer.body) == (
        400,
        b"Bad Request: this site is served over https, and the request names no URL.\n",
    )


def test_a_trusted_proxy_determines_the_scheme(serve: Serve) -> None:
    client = serve(
        application,
        https_redirect=443,
        trusted_proxies=["127.0.0.1"],
        proxy_fields=["X-Forwarded-Proto", "X-Forwarded-Prefix"],
    )
    assert ask(client, "/a", "X-Forwarded-Proto: https").body == b"the application"
    plain = ask(client, "/a", "X-Forwarded-Proto: http", "X-Forwarded-Prefix: /pre%20fix")
    assert plain["Location"] == "https://a/pre%20fix/a"


def test_other_clients_do_not_determine_the_scheme(serve: Serve) -> None:
    client = serve(application, https_redirect=443)
    assert ask(client, "/", "X-Forwarded-Proto: https").status == 301
    client = serve(application, https_redirect=443, trusted_proxies=["10.0.0.0/8"])
    assert ask(client, "/", "X-Forwarded-Proto: https").status == 301


def test_a_redirect_needs_no_thread_and_keeps_the_connection(serve: Serve) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def busy(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        entered.set()
        go_on.wait(30)
        return application(environ, start_response)

    proxy = {"trusted_proxies": ["127.0.0.1"], "proxy_fields": ["X-Forwarded-Proto"]}
    client = serve(busy, https_redirect=443, threads=1, **proxy)
    first = client.open()
    try:
        first.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n")
        assert entered.wait(30)
        stream = client.open()
        for _ in range(2):
            stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert stream.answer().status == 301
    finally:
        go_on.set()
    assert first.answer().status == 200


LONGEST_HOST = ".".join(["h" * 63] * 4)


def test_the_longest_redirect_has_room_on_every_connection(serve: Serve) -> None:
    """More clients than threads request it and read nothing, and no memory is held for them."""
    proxy = {"trusted_proxies": ["127.0.0.1"], "proxy_fields": ["X-Forwarded-Prefix"]}
    client = serve(
        application,
        https_redirect=65535,
        health="/health",
        request_ids=RequestIds(echo=True),
        narrow=True,
        server={"max_output": 0},
        **proxy,
    )
    request = (
        f"GET /{'p' * 8170} HTTP/1.1\r\nHost: {LONGEST_HOST}\r\n"
        f"X-Forwarded-Prefix: /{'q' * 3800}\r\n\r\n"
    ).encode()
    answer = client.exchange(request)
    assert answer.status == 301
    size = sum(len(name) + len(value) + 4 for name, value in answer.fields) + 200
    assert 12_000 < size < GRAIN
    silent = [client.open(receive_buffer=4096) for _ in range(10)]
    for stream in silent:
        stream.send(request * 20)
    statistics = client.server.statistics
    eventually(lambda: statistics().connections.get("sending") == len(silent))
    assert statistics().stalled == 0
    assert client.get("/health").status == 200
    for stream in silent:
        assert [stream.answer()["Location"] for _ in range(20)] == [answer["Location"]] * 20


@pytest.mark.parametrize(("length", "status"), [(8000, 414), (10, 301)])
def test_no_redirect_to_a_url_that_is_too_long(serve: Serve, length: int, status: int) -> None:
    proxy = {"trusted_proxies": ["127.0.0.1"], "proxy_fields": ["X-Forwarded-Prefix"]}
    client = serve(application, https_redirect=443, **proxy)
    answer = ask(client, "/" + "p" * 8000, f"X-Forwarded-Prefix: /{'q' * length}")
    assert answer.status == status


def test_a_host_longer_than_any_name_is_refused(serve: Serve) -> None:
    client = serve(application, https_redirect=443)
    assert ask(client, "/", host="h" + LONGEST_HOST).status == 400
    assert ask(client, "/", host=LONGEST_HOST + ":80").status == 301


def test_a_body_is_not_taken_for_the_next_request(serve: Serve) -> None:
    stream = serve(application, https_redirect=443).open()
    stream.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /")
    answer = stream.answer()
    assert (answer.status, answer["Connection"]) == (308, "close")
    assert stream.read_all() == b""


def test_redirects_are_in_the_access_log(serve: Serve) -> None:
    output = io.StringIO()
    with AccessLog(output, "json") as log:
        client = serve(application, https_redirect=443, access_log=log)
        ask(client, "/a")
        client.stop()
    [line] = output.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["status"], entry["error"]) == (301, "redirected to https")


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_invalid_ports(port: int) -> None:
    with pytest.raises(ValueError, match="is not a port; use one from 1 to 65535"):
        WSGIWorker(application, https_redirect=port)


# -- challenges ----------------------------------------------------------------------------------


def test_challenges_are_answered_before_the_redirect(serve: Serve) -> None:
    client = serve(application, https_redirect=443, challenges=challenges)
    answer = ask(client, TOKEN)
    assert (answer.status, answer.body.rstrip()) == (200, b"t0-ken_.thumbprint")
    assert answer["Cache-Control"] == "no-store"
    assert ask(client, TOKEN, method="HEAD").status == 200


def test_unknown_tokens_are_like_any_other_path(serve: Serve) -> None:
    client = serve(application, https_redirect=443, challenges=challenges)
    assert ask(client, TOKEN + "more").status == 301
    assert ask(client, TOKEN, method="POST").status == 308
    client = serve(application, challenges=challenges)
    assert ask(client, TOKEN + "more").body == b"the application"
    assert ask(client, "/.well-known/acme-challenge").body == b"the application"


def test_health_checks_are_answered_before_the_redirect(serve: Serve) -> None:
    client = serve(application, https_redirect=443, health="/healthz")
    assert ask(client, "/healthz").body == b"ok\n"


# -- HSTS ----------------------------------------------------------------------------------------


@pytest.fixture
def strict(serve: Serve, tmp_path: Path) -> Served:
    (tmp_path / "file").write_text("a file")
    return serve(
        application,
        hsts=ONE_YEAR,
        health="/healthz",
        static={"/static": StaticFiles(tmp_path)},
        trusted_proxies=["127.0.0.1"],
        proxy_fields=["X-Forwarded-Proto"],
    )


@pytest.mark.parametrize("path", ["/", "/crash", "/static/file", "/static/missing", "/healthz"])
def test_browsers_are_told_to_stay_with_https(strict: Served, path: str) -> None:
    assert ask(strict, path, "X-Forwarded-Proto: https")[HSTS] == ONE_YEAR


@pytest.mark.parametrize("path", ["/", "/crash", "/static/file", "/static/missing", "/healthz"])
def test_hsts_is_not_sent_over_plain_http(strict: Served, path: str) -> None:
    assert HSTS not in ask(strict, path)


def test_the_application_may_send_hsts_itself(strict: Served) -> None:
    assert ask(strict, "/own", "X-Forwarded-Proto: https")[HSTS] == "max-age=0"


def test_hsts_is_sent_together_with_the_request_id(serve: Serve) -> None:
    proxy = {"trusted_proxies": ["127.0.0.1"], "proxy_fields": ["X-Forwarded-Proto"]}
    client = serve(application, hsts=ONE_YEAR, request_ids=RequestIds(echo=True), **proxy)
    answer = ask(client, "/", "X-Forwarded-Proto: https")
    assert answer[HSTS] == ONE_YEAR
    assert answer["X-Request-ID"]


def test_no_hsts_without_the_setting(serve: Serve) -> None:
    proxy = {"trusted_proxies": ["127.0.0.1"], "proxy_fields": ["X-Forwarded-Proto"]}
    assert HSTS not in ask(serve(application, **proxy), "/", "X-Forwarded-Proto: https")


@pytest.mark.parametrize(
    "value",
    ["max-age=0", "max-age=63072000; includeSubDomains", "max-age=1;includesubdomains; preload"],
)
def test_valid_values_of_hsts(value: str) -> None:
    WSGIWorker(application, hsts=value)


@pytest.mark.parametrize(
    "value",
    ["", "31536000", "max-age=", "max-age=1\r\nX: y", "max-age=1; preload", "includeSubDomains"],
)
def test_invalid_values_of_hsts(value: str) -> None:
    with pytest.raises(ValueError, match="use max-age=SECONDS"):
        WSGIWorker(application, hsts=value)


# -- health checks -------------------------------------------------------------------------------


def tell_path(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode("latin-1")]


class Gate:
    """An application that returns when `go_on` is set."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        self.entered.release()
        self.go_on.wait(30)
        return tell_path(environ, start_response)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.go_on.set()


def wait_for_drain(client: Served) -> None:
    eventually(lambda: client.server.lifecycle is Lifecycle.DRAINING)


def test_health_must_be_a_path() -> None:
    with pytest.raises(ValueError, match="health 'healthz' is not a path; it must begin with /"):
        WSGIWorker(tell_path, health="healthz")


def test_no_health_check_without_the_setting(serve: Serve) -> None:
    assert serve(tell_path).get("/healthz").body == b"/healthz"


def test_a_health_check_is_answered(serve: Serve) -> None:
    client = serve(tell_path, health="/healthz")
    answer = client.exchange(CHECK)
    assert (answer.status, answer.body, answer["Cache-Control"]) == (200, b"ok\n", "no-store")
    assert client.get("/healthz?verbose").status == 200
    assert client.get("/healthz/more").body == b"/healthz/more"


def test_a_health_check_by_head(serve: Serve) -> None:
    client = serve(tell_path, health="/healthz")
    stream = client.open()
    stream.send(CHECK.replace(b"GET", b"HEAD") + b"GET / HTTP/1.0\r\n\r\n")
    answer = stream.answer("HEAD")
    assert (answer.status, answer["Content-Length"]) == (200, "3")
    assert stream.answer().body == b"/"


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
def test_health_checks_by_other_methods_are_answered_405(serve: Serve, method: str) -> None:
    answer = serve(tell_path, health="/healthz").get("/healthz", method)
    assert (answer.status, answer["Allow"]) == (405, "GET, HEAD")


def test_a_body_of_a_health_check_is_not_taken_for_the_next_request(serve: Serve) -> None:
    client = serve(tell_path, health="/healthz")
    inner = b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"
    stream = client.open()
    stream.send(CHECK[:-2] + b"Content-Length: %d\r\n\r\n" % len(inner) + inner)
    assert stream.answer()["Connection"] == "close"
    assert stream.read_all() == b""


def test_malformed_health_checks_are_refused(serve: Serve) -> None:
    client = serve(tell_path, health="/healthz")
    assert client.exchange(b"GET /healthz HTTP/1.1\r\n\r\n").status == 400


def test_a_health_check_keeps_its_connection(serve: Serve) -> None:
    """The check arrives whole, in pieces, after another request, and before one."""
    client = serve(tell_path, health="/healthz")
    stream = client.open()
    stream.send(CHECK)
    assert stream.answer().body == b"ok\n"
    stream.send(CHECK[:10])
    eventually(lambda: client.server.statistics().connections.get("head"))
    stream.send(CHECK[10:])
    assert stream.answer().body == b"ok\n"
    other = CHECK.replace(b"healthz", b"other")
    stream.send(other + CHECK + CHECK + other + CHECK)
    assert [stream.answer().body for _ in range(5)] == [
        b"/other",
        b"ok\n",
        b"ok\n",
        b"/other",
        b"ok\n",
    ]
    assert client.server.statistics().requests == 2


def test_a_health_check_over_http_1_0(serve: Serve) -> None:
    stream = serve(tell_path, health="/healthz").open()
    stream.send(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert stream.answer()["Connection"] == "close"
    assert stream.read_all() == b""


@pytest.mark.parametrize("narrow", [False, True])
def test_thousands_of_health_checks_at_once(serve: Serve, narrow: bool) -> None:
    """The client reads no answer before it has sent all checks."""
    client = serve(tell_path, health="/healthz", narrow=narrow)
    stream = client.open(receive_buffer=4096)
    count = 5000
    sender = threading.Thread(target=stream.send, args=(CHECK * count,))
    sender.start()
    assert all(stream.answer().body == b"ok\n" for _ in range(count))
    sender.join(30)
    assert client.server.statistics().threads == 2


def test_after_a_health_check_the_time_for_another_request_begins_anew() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(ours, timeouts=Timeouts(keep_alive=50))
        connection.deadline = 0.0
        theirs.sendall(CHECK)
        before = time.monotonic()
        assert WSGIWorker(tell_path, health="/healthz").receive(connection) is State.IDLE
        assert before + 50 <= connection.deadline <= time.monotonic() + 50


def test_health_checks_while_all_workers_are_busy(serve: Serve, gate: Gate) -> None:
    client = serve(gate, health="/healthz", threads=2)
    busy = [client.open() for _ in range(4)]
    for stream in busy:
        stream.send(b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(2):
        assert gate.entered.acquire(timeout=30)
    kept = client.open()
    for _ in range(3):
        kept.send(CHECK)
        assert kept.answer().body == b"ok\n"
        assert client.get("/healthz", "HEAD").status == 200
    gate.go_on.set()
    assert all(stream.answer().body == b"/busy" for stream in busy)


def test_health_checks_do_not_wait_in_the_queue(serve: Serve) -> None:
    """Workers that always find a request in the queue do not poll."""
    at_growing_scales(partial(check_a_busy_server, serve))


def check_a_busy_server(serve: Serve, scale: float) -> None:
    served = 0

    def compute(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        nonlocal served
        until = time.thread_time() + 0.02 * scale
        while time.thread_time() < until:
            pass
        served += 1
        return tell_path(environ, start_response)

    client = serve(compute, health="/healthz", threads=1)
    check = client.open()
    check.send(CHECK)
    assert check.answer().body == b"ok\n"
    busy = [client.open() for _ in range(100)]
    for stream in busy:
        stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    busy[0].answer()
    with within(0.5 * scale):
        check.send(CHECK)
        assert check.answer().body == b"ok\n"
        assert served < 50
    for stream in busy[1:]:
        assert stream.answer().body == b"/"


def test_a_health_check_during_a_drain(serve: Serve, gate: Gate) -> None:
    """A check whose head has arrived in part when the drain begins."""
    client = serve(gate, health="/healthz")
    busy, late = client.open(), client.open()
    busy.send(b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n")
    assert gate.entered.acquire(timeout=30)
    late.send(CHECK[:20])
    eventually(lambda: client.server.statistics().connections.get("head"))
    client.server.drain(30)
    wait_for_drain(client)
    late.send(CHECK[20:])
    answer = late.answer()
    assert (answer.status, answer["Connection"], answer["Cache-Control"]) == (
        503,
        "close",
        "no-store",
    )
    gate.go_on.set()
    assert busy.answer().body == b"/busy"


def test_health_checks_are_not_logged(serve: Serve, tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "access.log", "{target}")
    client = serve(tell_path, health="/healthz", access_log=log)
    client.get("/healthz")
    client.get("/other")
    client.stop()
    log.close()
    assert (tmp_path / "access.log").read_text() == "/other\n"
