"""Requests are the same for the application, the server and its log, over HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import pytest
from either import HTTP1, HTTP2, Either, Result

from http2_client import HTTP2Client
from rocket_core.testing import PATIENCE, eventually
from rocket_wsgi import AccessLog, Executor, RequestIds, StaticFiles, Underscores

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Serve

Environ = dict[str, Any]
Start = Callable[..., Any]

ONLY_HTTP1 = {"rocket.deferred", "rocket.events"}
OF_THE_CONNECTION = {"REMOTE_PORT", "SERVER_PORT", "rocket.peer", "rocket.queue_time"}


@pytest.fixture(params=[HTTP1, HTTP2])
def either(request: pytest.FixtureRequest) -> Either:
    return Either(request.param)


def ask_both(
    serve: Serve, application: Any, settings: dict[str, Any], *request: Any
) -> tuple[Result, Result]:
    """Return the results over HTTP/1.1 and over HTTP/2, without the date."""
    results = []
    for protocol in (HTTP1, HTTP2):
        result = Either(protocol).ask(serve(application, h2c=True, **settings), *request)
        result.fields = [each for each in result.fields if each[0] != "date"]
        results.append(result)
    return results[0], results[1]


def told(environ: Environ, start: Start) -> list[bytes]:
    """Answer with the environ, as far as it is text, numbers or a tuple; otherwise with types."""
    found: dict[str, object] = {
        key: value if isinstance(value, str | int | float | tuple) else type(value).__name__
        for key, value in environ.items()
    }
    for key in ("wsgi.input", "wsgi.early_hints", "rocket.client_gone", "rocket.cancelled"):
        assert key in found
        found[key] = ""
    found["rocket.trailers"] = dict(environ["rocket.trailers"])
    found["body"] = environ["wsgi.input"].read().decode("latin-1")
    start("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(found).encode()]


# -- the environ -----------------------------------------------------------------------------------

FORWARDED = [
    ("X-Forwarded-For", "192.0.2.1, 198.51.100.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "example.org"),
    ("X-Forwarded-Port", "8443"),
    ("X-Forwarded-Prefix", "/app"),
]
FORWARDED_ALL = [name for name, _ in FORWARDED]
TRUSTED: dict[str, Any] = {"trusted_proxies": ["127.0.0.1"]}

REQUESTS: dict[str, tuple[int, dict[str, Any], tuple[Any, ...]]] = {
    "nothing special": (200, {}, ()),
    "a query": (200, {}, ("/a%20b/%C3%A9?c=%20d&e",)),
    "another method": (200, {}, ("/", "PROPFIND")),
    "fields": (
        200,
        {},
        ("/", "GET", [("X-A", "b"), ("x-a", "c"), ("Cookie", "d=e"), ("Cookie", "f=g")]),
    ),
    "a body": (200, {}, ("/", "POST", [("Content-Type", "text/x")], b"body")),
    "a body of no bytes": (200, {}, ("/", "POST", [], b"")),
    "a body of GET": (200, {}, ("/", "GET", [], b"body")),
    "a large body": (200, {}, ("/", "PUT", [], b"x" * 300_000)),
    "a body that is streamed": (200, {"stream_bodies": True}, ("/", "PUT", [], b"x" * 300_000)),
    "a body that is too large": (413, {"max_body": 3}, ("/", "POST", [], b"body")),
    "a streamed body that is too large": (
        413,
        {"max_body": 3, "stream_bodies": True},
        ("/", "POST", [], b"body"),
    ),
    "expect": (200, {}, ("/", "POST", [("Expect", "100-Continue")], b"body")),
    "expect something else": (417, {}, ("/", "POST", [("Expect", "tea")], b"body")),
    "flags": (200, {"multithread": False, "multiprocess": True}, ()),
    "an executor": (200, {"executor": Executor()}, ()),
    "Proxy is dropped": (200, {}, ("/", "GET", [("Proxy", "evil")])),
    "underscores are dropped": (200, {}, ("/", "GET", [("X_A", "b")])),
    "underscores are refused": (
        400,
        {"underscores": Underscores.REFUSE},
        ("/", "GET", [("X_A", "b")]),
    ),
    "underscores are allowed": (
        200,
        {"underscores": Underscores.ALLOW},
        ("/", "GET", [("X_A", "b"), ("X-A", "c")]),
    ),
    "proxies do not matter": (200, {}, ("/", "GET", FORWARDED)),
    "no proxy is trusted": (200, {"trusted_proxies": []}, ("/", "GET", FORWARDED)),
    "another proxy is trusted": (
        200,
        {"trusted_proxies": ["192.0.2.0/24"]},
        ("/", "GET", FORWARDED),
    ),
    "a proxy is trusted": (200, TRUSTED, ("/", "GET", FORWARDED)),
    "all fields of a proxy": (
        200,
        {**TRUSTED, "proxy_fields": FORWARDED_ALL},
        ("/a?b", "GET", FORWARDED),
    ),
    "Forwarded": (
        200,
        {**TRUSTED, "proxy_fields": ["Forwarded"]},
        ("/", "GET", [("Forwarded", "for=192.0.2.1;proto=https;host=example.org")]),
    ),
    "Forwarded by nobody who is known": (
        200,
        {**TRUSTED, "proxy_fields": ["Forwarded"]},
        ("/", "GET", [("Forwarded", "for=unknown")]),
    ),
    "Forwarded is malformed": (
        400,
        {**TRUSTED, "proxy_fields": ["Forwarded"]},
        ("/", "GET", [("Forwarded", "for=;")]),
    ),
    "X-Forwarded-Proto is malformed": (400, TRUSTED, ("/", "GET", [("X-Forwarded-Proto", "ftp")])),
    "X-Forwarded-Host is malformed": (
        400,
        {**TRUSTED, "proxy_fields": FORWARDED_ALL},
        ("/", "GET", [("X-Forwarded-Host", "a b")]),
    ),
    "a request ID of a stranger": (
        200,
        {"request_ids": RequestIds(trusted=lambda peer: False)},
        ("/", "GET", [("X-Request-ID", "abc")]),
    ),
    "a request ID": (
        200,
        {"request_ids": RequestIds(trusted=lambda peer: True, echo=True)},
        ("/", "GET", [("X-Request-ID", "abc")]),
    ),
    "health": (200, {"health": "/healthz"}, ("/healthz",)),
    "health by HEAD": (200, {"health": "/healthz"}, ("/healthz", "HEAD")),
    "health by POST": (405, {"health": "/healthz"}, ("/healthz", "POST", [], b"body")),
    "a redirect to https": (301, {"https_redirect": 8443}, ("/a%20b?c",)),
    "a redirect by HEAD": (301, {"https_redirect": 443}, ("/", "HEAD")),
    "a redirect of a body": (308, {"https_redirect": 443}, ("/", "POST", [], b"body")),
    "no redirect behind a proxy": (
        200,
        {**TRUSTED, "https_redirect": 443},
        ("/", "GET", [("X-Forwarded-Proto", "https")]),
    ),
    "hsts behind a proxy": (
        200,
        {**TRUSTED, "hsts": "max-age=9"},
        ("/", "GET", [("X-Forwarded-Proto", "https")]),
    ),
    "hsts of an own answer behind a proxy": (
        200,
        {**TRUSTED, "hsts": "max-age=9", "health": "/healthz"},
        ("/healthz", "GET", [("X-Forwarded-Proto", "https")]),
    ),
    "no hsts without TLS": (200, {"hsts": "max-age=9"}, ()),
    "a challenge": (
        200,
        {"challenges": lambda token: f"{token}.key"},
        ("/.well-known/acme-challenge/abc",),
    ),
}


@pytest.mark.parametrize(("status", "settings", "request_"), REQUESTS.values(), ids=REQUESTS)
def test_the_environ_and_the_answers_of_the_server_are_the_same(
    serve: Serve, status: int, settings: dict[str, Any], request_: tuple[Any, ...]
) -> None:
    one, other = ask_both(serve, told, settings, *request_)
    assert (one.status, other.status) == (status, status)
    if one["content-type"] == "application/json":
        first, second = json.loads(one.body), json.loads(other.body)
        assert first.pop("SERVER_PROTOCOL") == "HTTP/1.1"
        assert second.pop("SERVER_PROTOCOL") == "HTTP/2"
        assert set(first) - set(second) <= {*ONLY_HTTP1}
        for environ in (first, second):
            for key in ONLY_HTTP1 | OF_THE_CONNECTION:
                environ.pop(key, None)
            if environ.get("rocket.request_id") not in (None, "abc"):  # it is random
                for key in ("rocket.request_id", "HTTP_X_REQUEST_ID"):
                    environ[key] = len(environ[key])
        assert first == second
        for result in (one, other):
            result.body = b""
            result.fields = [each for each in result.fields if each[0] != "content-length"]
    assert one.fields == other.fields
    assert one.body == other.body


def test_the_host_is_that_of_the_request(serve: Serve) -> None:
    """Over HTTP/2 it comes as the authority, or as Host from a proxy that leaves it alone."""
    one, other = ask_both(serve, told, {})
    assert json.loads(one.body)["HTTP_HOST"] == json.loads(other.body)["HTTP_HOST"] == "a"


# -- the body --------------------------------------------------------------------------------------

LINES = b"one\ntwo three\nfour\n"


def methods(environ: Environ, start: Start) -> list[bytes]:
    start("200 OK", [])
    body = environ["wsgi.input"]
    found = [
        body.read(0),
        body.readline(),
        body.readline(2),
        body.read(3),
        *body.readlines(5),
        *body,
        body.read(),
        body.read(9),
        body.readline(),
    ]
    return [repr(found).encode()]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("size", [0, 20, 200_000])
def test_the_body_is_read_by_any_method(
    serve: Serve, either: Either, size: int, streams: bool
) -> None:
    rest = b"z" * size
    served = serve(methods, h2c=True, stream_bodies=streams)
    answer = either.ask(served, "/", "POST", [], LINES + rest)
    expected = [b"", b"one\n", b"tw", b"o t", b"hree\n", b"four\n", *([rest] if size else [])]
    assert answer.body == repr([*expected, b"", b"", b""]).encode()


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("body", [None, b""])
def test_an_empty_body_is_at_its_end(
    serve: Serve, either: Either, streams: bool, body: bytes | None
) -> None:
    served = serve(methods, h2c=True, stream_bodies=streams)
    assert either.ask(served, "/", "POST", [], body).body == repr([b""] * 7).encode()


@pytest.mark.parametrize("streams", [False, True])
def test_a_body_that_is_not_read_does_not_matter(
    serve: Serve, either: Either, streams: bool
) -> None:
    def application(environ: Environ, start: Start) -> list[bytes]:
        start("200 OK", [])
        return [b"unread"]

    served = serve(application, h2c=True, stream_bodies=streams)
    assert either.ask(served, "/", "POST", [], b"x" * 100_000).body == b"unread"


@pytest.mark.parametrize("streams", [False, True])
def test_validated_by_the_standard_library(
    serve: Serve, either: Either, streams: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def application(environ: Environ, start: Start) -> Iterator[bytes]:
        write = start("200 OK", [("Content-Type", "text/plain")])
        write(environ["REQUEST_METHOD"].encode())
        body = environ["wsgi.input"].read(5) + environ["wsgi.input"].readline()
        yield from (body, b"-", b"".join(environ["wsgi.input"]))

    served = serve(validator(application), h2c=True, stream_bodies=streams)
    fields = [("Content-Type", "text/x"), ("X-A", "b")]
    posted = either.ask(served, "/p?q", "POST", fields, b"0123456789\nline\nrest")
    assert posted.body == b"POST0123456789\n-line\nrest"
    assert either.ask(served, "/x", "HEAD").status == 200
    assert either.ask(served, "/x%20y", "DELETE").body == b"DELETE-"
    assert "Traceback" not in caplog.text


# -- files -----------------------------------------------------------------------------------------

CONTENT = bytes(range(256)) * 2000
OLD = "Thu, 01 Jan 1998 00:00:00 GMT"

FILES: dict[str, tuple[int, tuple[Any, ...]]] = {
    "a file": (200, ("/s/large",)),
    "a small file": (200, ("/s/small",)),
    "an empty file": (200, ("/s/empty",)),
    "a file by HEAD": (200, ("/s/large", "HEAD")),
    "a range": (206, ("/s/large", "GET", [("Range", "bytes=100-300000")])),
    "the last bytes": (206, ("/s/large", "GET", [("Range", "bytes=-7")])),
    "a range by HEAD": (200, ("/s/large", "HEAD", [("Range", "bytes=-7")])),
    "no such range": (416, ("/s/large", "GET", [("Range", "bytes=999999-")])),
    "an old range": (200, ("/s/large", "GET", [("Range", "bytes=0-1"), ("If-Range", OLD)])),
    "not modified": (304, ("/s/large", "GET", [("If-Modified-Since", "DATE")])),
    "not modified by its tag": (304, ("/s/large", "GET", [("If-None-Match", "*")])),
    "modified": (200, ("/s/small", "GET", [("If-Modified-Since", OLD)])),
    "a condition that fails": (412, ("/s/small", "GET", [("If-Unmodified-Since", OLD)])),
    "another coding": (200, ("/s/text", "GET", [("Accept-Encoding", "gzip, br")])),
    "another coding by HEAD": (200, ("/s/text", "HEAD", [("Accept-Encoding", "gzip")])),
    "no coding": (200, ("/s/text", "GET", [("Accept-Encoding", "identity")])),
    "a directory": (200, ("/s/folder/",)),
    "a directory without its slash": (301, ("/s/folder?q",)),
    "no file": (404, ("/s/none",)),
    "a way out": (404, ("/s/../test_same_requests.py",)),
    "an upload": (405, ("/s/small", "POST", [], b"body")),
    "a deletion": (405, ("/s/small", "DELETE")),
    "options": (204, ("/s/small", "OPTIONS")),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "index.html").write_bytes(b"<p>index")
    (tmp_path / "large").write_bytes(CONTENT)
    (tmp_path / "small").write_bytes(b"small")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_bytes(b"text")
    (tmp_path / "text.gz").write_bytes(b"gzip")
    (tmp_path / "text.br").write_bytes(b"brotli")
    for each in tmp_path.rglob("*"):
        os.utime(each, (1e9, 1e9))
    return tmp_path


@pytest.mark.parametrize(("status", "request_"), FILES.values(), ids=FILES)
def test_files_are_the_same(
    serve: Serve, root: Path, status: int, request_: tuple[Any, ...]
) -> None:
    path, *rest = request_
    if len(rest) > 1:
        rest[1] = [
            (name, "Sun, 09 Sep 2001 01:46:40 GMT" if value == "DATE" else value)
            for name, value in rest[1]
        ]
    files = StaticFiles(root, precompressed=True, cache_control="max-age=9")
    one, other = ask_both(serve, told, {"static": {"/s": files}}, path, *rest)
    assert (one.status, other.status) == (status, status)
    assert one.fields == other.fields
    assert one.body == other.body
    assert one.complete
    assert other.complete


def test_several_ranges_are_the_same(serve: Serve, root: Path) -> None:
    asked = ("/s/large", "GET", [("Range", "bytes=0-9,100000-400000,-5")])
    one, other = ask_both(serve, told, {"static": {"/s": StaticFiles(root)}}, *asked)
    assert one.status == other.status == 206
    first, second = (each["content-type"].partition("boundary=")[2] for each in (one, other))
    assert one.body.replace(first.encode(), second.encode()) == other.body
    assert CONTENT[100_000:400_001] in other.body


# -- the access log --------------------------------------------------------------------------------

LOGGED = (
    "json:client,user,method,target,path,query,status,size,scheme,host,agent,referer,request_id,"
    "requests,error,header.x-a"
)


def logged(serve: Serve, either: Either, path: Path, *request: Any, **settings: Any) -> Any:
    """Return the only line of the log as an object."""
    with AccessLog(path, LOGGED) as log:
        served = serve(application_for_log, h2c=True, access_log=log, **settings)
        either.ask(served, *request)
        served.stop()
    (line,) = path.read_text(encoding="ascii").splitlines()
    path.unlink()
    return json.loads(line)


def application_for_log(environ: Environ, start: Start) -> Any:
    path = environ["PATH_INFO"]
    environ["REMOTE_USER"] = "somebody"
    environ["REMOTE_ADDR"] = environ["PATH_INFO"] = "changed"
    if path == "/fail":
        raise LookupError
    start("200 OK", [("Content-Length", "9")] if path == "/short" else [])
    return iter([b"he", b"llo"]) if path == "/parts" else [b"hello"]


LOG: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "a request": (
        ("/a%20b?c=d", "GET", [("X-A", "b"), ("User-Agent", "me"), ("Referer", "r")]),
        {},
    ),
    "parts": (("/parts",), {}),
    "HEAD": (("/", "HEAD"), {}),
    "a failure": (("/fail",), {}),
    "a response that is too short": (("/short",), {}),
    "an upload": (("/", "POST", [], b"x" * 100_000), {}),
    "a refused upload": (("/", "POST", [], b"body"), {"max_body": 3}),
    "a refused field": (("/", "GET", [("X_A", "b")]), {"underscores": Underscores.REFUSE}),
    "a refused expectation": (("/", "GET", [("Expect", "tea")]), {}),
    "a redirect": (("/",), {"https_redirect": 443}),
    "a client behind a proxy": (
        ("/", "GET", [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https")]),
        TRUSTED,
    ),
    "a request ID": (
        ("/", "GET", [("X-Request-ID", "abc")]),
        {"request_ids": RequestIds(trusted=lambda peer: True)},
    ),
}


@pytest.mark.parametrize(("request_", "settings"), LOG.values(), ids=LOG)
def test_the_lines_of_the_access_log_are_the_same(
    serve: Serve, tmp_path: Path, request_: tuple[Any, ...], settings: dict[str, Any]
) -> None:
    one, other = (
        logged(serve, Either(protocol), tmp_path / "log", *request_, **settings)
        for protocol in (HTTP1, HTTP2)
    )
    for line in (one, other):
        line["host"] = "a"
    assert one == other
    assert one["requests"] == (1 if one["error"] in (None, "the application failed") else 0)


@pytest.mark.parametrize(
    "request_", [("/s/small",), ("/s/large",), ("/s/none",), ("/s/large", "HEAD")]
)
def test_files_are_logged_alike(serve: Serve, root: Path, request_: tuple[str, ...]) -> None:
    one, other = (
        logged(serve, Either(protocol), root / "log", *request_, static={"/s": StaticFiles(root)})
        for protocol in (HTTP1, HTTP2)
    )
    assert one == other


@pytest.mark.parametrize(
    ("fields", "target", "error"),
    [
        ([("connection", "x")], "/a?b", "a field is about the connection"),
        ([("x", "y\n")], "/", "a field value has a forbidden character"),
        ([("content-length", "7")], "/", "a body is shorter than its content-length"),
        ([], "a", "the path is missing, or does not begin with a slash"),
    ],
)
def test_a_malformed_request_is_logged(
    serve: Serve, tmp_path: Path, fields: list[tuple[str, str]], target: str, error: str
) -> None:
    """Over HTTP/1.1 it is answered 400, and here its stream is reset (RFC 9113, section 8.1.1)."""
    line = logged(serve, Either(HTTP2), tmp_path / "log", target, "GET", fields)
    assert line["error"] == error
    assert line["status"] is None
    assert line["client"] == "127.0.0.1"
    assert (line["method"], line["target"]) == ("GET", target)


def test_an_upload_that_is_not_as_announced_is_logged(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "log"
    with AccessLog(path, LOGGED) as log:
        served = serve(application_for_log, h2c=True, access_log=log)
        with HTTP2Client(served.address) as client:
            stream = client.begin("/a", "POST", [("content-length", "3")], end=False)
            client.send(stream, b"body")
            assert client.answer(stream).reset == 1
            stream = client.begin("/b", "POST", end=False)
            client.reset(stream)
            assert client.get("/c").status == 200
        served.stop()
    lines = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    assert [(line["target"], line["status"], line["error"]) for line in lines] == [
        ("/a", None, "a body differs from its content-length"),
        ("/b", None, "client closed"),
        ("/c", 200, None),
    ]


def test_a_request_to_which_the_client_wants_no_answer_is_logged_once(
    serve: Serve, tmp_path: Path
) -> None:
    begun, reset = threading.Event(), threading.Event()

    def application(environ: Environ, start: Start) -> list[bytes]:
        if environ["PATH_INFO"] != "/waits":
            start("200 OK", [])
            return [b"quick"]
        begun.set()
        assert reset.wait(PATIENCE)
        eventually(environ["rocket.client_gone"])
        start("200 OK", [])
        return [b"late"]

    path = tmp_path / "log"
    with AccessLog(path, LOGGED) as log:
        served = serve(application, h2c=True, access_log=log)
        with HTTP2Client(served.address) as client:
            stream = client.begin("/waits")
            assert begun.wait(PATIENCE)
            client.reset(stream)
            reset.set()
            assert client.get("/quick").status == 200
        served.stop()
    lines = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    (waits,) = [line for line in lines if line["target"] == "/waits"]
    assert waits["error"] == "the client is gone"
    assert len(lines) == 2


def test_a_refusal_that_cannot_be_sent_is_logged_without_its_status(
    serve: Serve, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    with AccessLog(path, LOGGED) as log:
        served = serve(application_for_log, h2c=True, access_log=log, max_body=3)
        with HTTP2Client(served.address) as client:
            fields = [("content-length", "4")]
            stream = client.begin("/", "POST", fields, end=False, flush=False)
            client.h2.reset_stream(stream)
            client.flush()  # both arrive at once
            assert client.get("/next").status == 200
        served.stop()
    lines = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    assert [(line["status"], line["size"], line["error"]) for line in lines] == [
        (None, 0, "the request body is too long"),
        (200, 5, None),
    ]


def test_the_response_to_a_refused_head_request_has_no_body(serve: Serve) -> None:
    served = serve(told, h2c=True)
    for fields in ([("x", "y" * 20_000)], [("x", "y")] * 200, [("expect", "tea")]):
        with HTTP2Client(served.address) as client:
            answer = client.get("/", "HEAD", fields=fields)
        assert answer.status in (417, 431)
        assert answer.body == b""
        assert answer.ended
