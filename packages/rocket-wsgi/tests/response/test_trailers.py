"""Trailers of requests and of responses, over HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from http2_client import HTTP2Client
from rocket_wsgi import ApplicationError
from rocket_wsgi._environ.trailers import UNFIT
from views import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse

    from conftest import Serve
    from served import Served

Fields = list[tuple[str, str]]

BOTH = pytest.mark.parametrize("http2", [False, True], ids=["http/1.1", "h2"])


class Exchanged:
    """One request and its response, over either version.

    Attributes:
        fields: the header fields of the response.
    """

    def __init__(self, served: Served, *, http2: bool) -> None:
        self.served = served
        self._http2 = http2
        self.status = 0
        self.fields: dict[str, str] = {}
        self.body = b""
        self.trailers: Fields = []

    def ask(
        self, method: str = "GET", body: bytes | None = None, trailers: Fields | None = None
    ) -> Exchanged:
        """Send a request, with a body of no announced length if there is one."""
        if self._http2:
            self._ask_http2(method, body, trailers or [])
        else:
            self._ask_http1(method, body, trailers or [])
        return self

    def _ask_http2(self, method: str, body: bytes | None, trailers: Fields) -> None:
        with HTTP2Client(self.served.address, checks=False) as client:
            number = client.begin("/", method, end=body is None)
            if body is not None:
                client.send(number, body, end=not trailers)
                if trailers:
                    client.h2.send_headers(number, trailers, end_stream=True)
                    client.flush()
            answer = client.answer(number)
        assert answer.reset is None
        self.status = answer.status
        self.fields = dict(answer.fields)
        self.body, self.trailers = answer.body, answer.trailers

    def _ask_http1(self, method: str, body: bytes | None, trailers: Fields) -> None:
        head = f"{method} / HTTP/1.1\r\nHost: a\r\n"
        wire = b""
        if body is not None:
            head += "Transfer-Encoding: chunked\r\n"
            wire = b"%x\r\n%b\r\n0\r\n" % (len(body), body) if body else b"0\r\n"
            wire += "".join([f"{name}: {value}\r\n" for name, value in trailers]).encode() + b"\r\n"
        client = self.served.open()
        client.send(f"{head}\r\n".encode() + wire)
        answer = client.head()
        self.status, self.fields = answer.status, dict(answer.fields)
        if "content-length" in self.fields:
            if method != "HEAD":
                self.body = client.read(int(self.fields["content-length"]))
            return
        while size := int(client.read_line(), 16):
            self.body += client.read(size)
            assert client.read(2) == b"\r\n"
        while (line := client.read_line().decode("latin-1")) != "\r\n":
            name, _, value = line.removesuffix("\r\n").partition(": ")
            self.trailers.append((name.lower(), value))


@pytest.fixture
def exchange(serve: Serve) -> Callable[..., Exchanged]:
    def make(application: Any, *, http2: bool, **options: Any) -> Exchanged:
        return Exchanged(serve(application, h2c=True, **options), http2=http2)

    return make


class Seen:
    """Answers with the body, and keeps the trailers of the request.

    Attributes:
        before: the trailers before the body was read, and ``after`` afterwards.
    """

    def __init__(self) -> None:
        self.before: dict[str, str] = {}
        self.after: dict[str, str] = {}

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        trailers = environ["rocket.trailers"]
        self.before = dict(trailers)
        body = environ["wsgi.input"].read()
        assert environ["rocket.trailers"] is trailers
        self.after = dict(trailers)
        start_response("200 OK", [])
        return [body]


# -- those of requests -----------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("body", [b"", b"hello"])
def test_application_finds_the_trailers_of_a_request(
    exchange: Callable[..., Exchanged], http2: bool, streamed: bool, body: bytes
) -> None:
    seen = Seen()
    made = exchange(seen, http2=http2, stream_bodies=streamed)
    sent = [("x-sum", "1"), ("x-other", "a b"), ("x-sum", "2"), ("x-empty", "")]
    assert made.ask("POST", body, sent).body == body
    assert seen.after == {"x-sum": "1, 2", "x-other": "a b", "x-empty": ""}


@BOTH
def test_trailers_are_there_once_a_streamed_body_was_read(
    exchange: Callable[..., Exchanged], serve: Serve, http2: bool
) -> None:
    entered = threading.Event()
    seen: list[dict[str, str]] = []

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        seen.append(dict(environ["rocket.trailers"]))
        entered.set()
        environ["wsgi.input"].read()
        seen.append(dict(environ["rocket.trailers"]))
        start_response("204 No Content", [])
        return []

    served = serve(view, h2c=True, stream_bodies=True)
    with ExitStack() as stack:
        if http2:
            client = stack.enter_context(HTTP2Client(served.address))
            number = client.begin("/", "POST", end=False)
            wait_for(entered)
            client.h2.send_headers(number, [("x-late", "yes")], end_stream=True)
            client.flush()
            assert client.answer(number).status == 204
        else:
            plain = served.open()
            plain.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            wait_for(entered)
            plain.send(b"0\r\nX-Late: yes\r\n\r\n")
            assert plain.answer().status == 204
    assert seen == [{}, {"x-late": "yes"}]


@BOTH
def test_request_without_trailers_has_none(exchange: Callable[..., Exchanged], http2: bool) -> None:
    seen = Seen()
    made = exchange(seen, http2=http2)
    assert made.ask().status == 200
    assert seen.after == {}
    assert made.ask("POST", b"body").status == 200
    assert seen.after == {}


def test_none_of_two_requests_gets_the_trailers_of_the_other(serve: Serve) -> None:
    seen = Seen()
    client = serve(seen).open()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    client.send(head + b"X-A: 1\r\n\r\n")
    client.answer()
    assert seen.after == {"x-a": "1"}
    client.send(head + b"\r\n")
    client.answer()
    assert seen.after == {}


@BOTH
@pytest.mark.parametrize("name", ["authorization", "cookie", "content-type", "range", "forwarded"])
def test_trailers_that_have_to_be_known_before_the_body_are_dropped(
    exchange: Callable[..., Exchanged], http2: bool, name: str
) -> None:
    seen = Seen()
    made = exchange(seen, http2=http2)
    assert made.ask("POST", b"body", [(name, "evil"), ("x-kept", "yes")]).status == 200
    assert seen.after == {"x-kept": "yes"}


# -- those of responses ----------------------------------------------------------------------------


def answering(
    trailers: Fields, parts: Iterable[bytes] | None = None, status: str = "200 OK"
) -> Any:
    """Return a view that gives ``trailers`` before its response."""

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ["rocket.send_trailers"](trailers)
        start_response(status, [("Content-Type", "text/plain")])
        return [b"one part"] if parts is None else parts

    return view


@BOTH
@pytest.mark.parametrize("parts", [[], [b""], [b"a"], [b"a", b"b"], [bytes(300_000)]])
def test_trailers_follow_a_body_of_any_number_of_parts(
    exchange: Callable[..., Exchanged], http2: bool, parts: list[bytes]
) -> None:
    sent = [("X-Sum", "1"), ("Server-Timing", "db;dur=5"), ("X-Sum", "2")]
    got = exchange(answering(sent, parts), http2=http2).ask()
    assert (got.status, got.body) == (200, b"".join(parts))
    assert got.trailers == [("x-sum", "1"), ("server-timing", "db;dur=5"), ("x-sum", "2")]


@BOTH
def test_generator_gives_its_trailers_at_its_end(
    exchange: Callable[..., Exchanged], http2: bool
) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        environ["rocket.send_trailers"]([("X-One", "1")])
        yield b"two"
        environ["rocket.send_trailers"]([("X-Two", "2")])

    got = exchange(view, http2=http2).ask()
    assert got.body == b"onetwo"
    assert got.trailers == [("x-one", "1"), ("x-two", "2")]


@BOTH
def test_list_that_gives_its_trailers_while_it_is_joined(
    exchange: Callable[..., Exchanged], http2: bool
) -> None:
    class Lazy:
        def __init__(self, environ: dict[str, Any]) -> None:
            self._environ = environ

        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Iterator[bytes]:
            self._environ["rocket.send_trailers"]([("X-Lazy", "yes")])
            return iter([b"lazy"])

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Lazy(environ)

    got = exchange(view, http2=http2).ask()
    assert (got.body, got.trailers) == (b"lazy", [("x-lazy", "yes")])


@BOTH
def test_write_of_the_response_goes_with_trailers(
    exchange: Callable[..., Exchanged], http2: bool
) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])(b"written")
        environ["rocket.send_trailers"]([("X-Sum", "1")])
        return []

    got = exchange(view, http2=http2).ask()
    assert (got.body, got.trailers) == (b"written", [("x-sum", "1")])


@BOTH
def test_wrapped_file_goes_with_trailers(
    exchange: Callable[..., Exchanged], http2: bool, tmp_path: Any
) -> None:
    (tmp_path / "file").write_bytes(b"content")

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ["rocket.send_trailers"]([("X-Sum", "1")])
        start_response("200 OK", [])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))
        return wrapped

    got = exchange(view, http2=http2).ask()
    assert (got.body, got.trailers) == (b"content", [("x-sum", "1")])


@BOTH
def test_connection_is_kept_behind_trailers(serve: Serve, http2: bool) -> None:
    served = serve(answering([("X-Sum", "1")]), h2c=True)
    if http2:
        with HTTP2Client(served.address) as client:
            assert [client.get().trailers for _ in range(2)] == [[("x-sum", "1")]] * 2
        return
    plain = served.open()
    for _ in range(2):
        plain.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert plain.head().status == 200
        assert plain.read(len(b"8\r\none part\r\n0\r\nX-Sum: 1\r\n\r\n")).endswith(
            b"X-Sum: 1\r\n\r\n"
        )


def test_content_length_and_trailers_go_together_over_http2(
    exchange: Callable[..., Exchanged],
) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ["rocket.send_trailers"]([("X-Sum", "1")])
        start_response("200 OK", [("Content-Length", "4")])
        return [b"ab", b"cd"]

    got = exchange(view, http2=True).ask()
    assert (got.fields["content-length"], got.body) == ("4", b"abcd")
    assert got.trailers == [("x-sum", "1")]


def refused(environ: dict[str, Any], match: str, trailers: Any = (("X-Sum", "1"),)) -> None:
    with pytest.raises(ApplicationError, match=match):
        environ["rocket.send_trailers"](trailers)


@BOTH
@pytest.mark.parametrize(
    ("field", "match"),
    [
        (("bad name", "x"), "is not a token"),
        ((":status", "200"), "is not a token"),
        (("X", "a\r\nb"), "control character"),
        (("X", b"bytes"), "is not a str"),
        (("X", "€"), "is not latin-1"),
        (("Transfer-Encoding", "chunked"), "hop-by-hop"),
        *[((name, "x"), "before the body|hop-by-hop") for name in sorted(UNFIT)],
    ],
)
def test_fields_that_are_no_trailers_are_errors(
    exchange: Callable[..., Exchanged], http2: bool, field: Any, match: str
) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        refused(environ, match, [field])
        start_response("200 OK", [])
        return [b"plain"]

    got = exchange(view, http2=http2).ask()
    assert (got.body, got.trailers) == (b"plain", [])


@BOTH
def test_response_to_head_has_no_trailers(exchange: Callable[..., Exchanged], http2: bool) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        refused(environ, "in the response to HEAD, which has no body")
        start_response("200 OK", [("Content-Length", "3")])
        return [b"abc"]

    assert exchange(view, http2=http2).ask("HEAD").status == 200


def test_http_1_0_has_no_trailers(serve: Serve) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        refused(environ, r"over HTTP/1\.0")
        start_response("200 OK", [])
        return [b"abc"]

    client = serve(view).open()
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.answer().body == b"abc"


def test_http_1_1_has_no_trailers_with_content_length(serve: Serve) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        yield b"ab"
        refused(environ, r"with Content-Length over HTTP/1\.1; leave it out")
        yield b"cd"

    assert serve(view).get().body == b"abcd"


def test_content_length_after_the_trailers_is_an_error_of_the_response(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ["rocket.send_trailers"]([("X-Sum", "1")])
        start_response("200 OK", [("Content-Length", "4")])
        return [b"abcd"]

    assert serve(view).get().status == 500
    assert "trailers cannot be sent with Content-Length over HTTP/1.1" in caplog.text


@BOTH
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_status_without_a_body_has_no_trailers(
    exchange: Callable[..., Exchanged], http2: bool, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    got = exchange(answering([("X-Sum", "1")], [], status), http2=http2).ask()
    assert got.status == 500
    assert f"trailers cannot be sent with status {status[:3]}" in caplog.text


@BOTH
def test_trailers_after_the_response_are_errors(
    exchange: Callable[..., Exchanged], http2: bool
) -> None:
    tried = threading.Event()
    kept: list[dict[str, Any]] = []

    class Result(list[bytes]):
        def close(self) -> None:
            refused(kept[0], "before the body is complete")
            tried.set()

    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if kept:
            refused(kept[0], "before the response is complete")
        kept.append(environ)
        start_response("200 OK", [])
        return Result([b"abc"])

    made = exchange(view, http2=http2)
    assert made.ask().body == b"abc"
    wait_for(tried)
    assert made.ask().status == 200


@BOTH
def test_nothing_that_goes_on_has_trailers(
    exchange: Callable[..., Exchanged], http2: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ["rocket.send_trailers"]([("X-Sum", "1")])
        environ["rocket.events"].open()
        refused(environ, "behind what goes on after the view")
        start_response("200 OK", [])
        return []

    assert exchange(view, http2=http2).ask().status == 500
    assert "trailers cannot be sent behind what goes on after the view" in caplog.text


@BOTH
def test_response_of_the_server_after_an_error_has_no_trailers(
    exchange: Callable[..., Exchanged], http2: bool
) -> None:
    def view(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ["rocket.send_trailers"]([("X-Sum", "1")])
        raise LookupError("a fault of the view")

    got = exchange(view, http2=http2).ask()
    assert (got.status, got.trailers) == (500, [])
