"""One table of applications, whose responses are the same over HTTP/1.1 and HTTP/2 (PEP 3333)."""

from __future__ import annotations

import io
import logging
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from either import HTTP1, HTTP2, Either

from rocket_wsgi import ApplicationError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Serve
    from served import Served

Environ = dict[str, Any]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Any]
Prepare = Callable[..., "Served"]

PLAIN = [("Content-Type", "text/plain")]
FILE = b"0123456789" * 10_000
FAILED = b"The application failed to answer this request.\n"
CRASHED = {"content-length": str(len(FAILED)), "content-type": "text/plain; charset=latin-1"}


@dataclass(frozen=True)
class Response:
    """An application and its response to GET.

    Attributes:
        fields: the fields without ``Date`` and ``Server``; an empty value: there is no such field.
        hints: the number of the interim responses.
        logged: what is logged, and nothing if it is empty.
    """

    application: Application = field(repr=False)
    status: int = 200
    body: bytes = b""
    complete: bool = True
    fields: dict[str, str] = field(default_factory=dict)
    hints: int = 0
    logged: str = ""


def returning(
    result: Any, status: str = "200 OK", headers: list[tuple[Any, Any]] = PLAIN
) -> Application:
    def application(environ: Environ, start: Start) -> Any:
        start(status, headers)
        return result() if callable(result) else result

    return application


def parts(*items: Any) -> Callable[[], Iterator[Any]]:
    return lambda: iter(items)


def fails(application: Application, reason: str = "ApplicationError") -> Response:
    """Return a case of an application whose failure is answered with 500."""
    return Response(application, 500, FAILED, fields=CRASHED, logged=reason)


def with_field(name: Any, value: Any) -> Application:
    return returning([b"a"], headers=[(name, value)])


def sized(result: Any, length: int) -> Application:
    return returning(result, headers=[("Content-Length", str(length))])


def writing(environ: Environ, start: Start) -> list[bytes]:
    write = start("200 OK", PLAIN)
    write(b"one ")
    write(b"")
    write(b"two ")
    return [b"three"]


def writing_too_much(environ: Environ, start: Start) -> list[bytes]:
    write = start("200 OK", [("Content-Length", "3")])
    write(b"ab")
    with pytest.raises(ApplicationError, match="more than Content-Length"):
        write(b"cd")
    return []


def writing_too_little(environ: Environ, start: Start) -> list[bytes]:
    start("200 OK", [("Content-Length", "5")])(b"ab")
    return []


def replaced(environ: Environ, start: Start) -> list[bytes]:
    start("200 OK", [("X-A", "1")])
    try:
        raise LookupError
    except LookupError:
        start("500 Oops", [("X-B", "2")], sys.exc_info())
    return [b"page"]


def replaced_too_late(environ: Environ, start: Start) -> Iterator[bytes]:
    start("200 OK", [])
    yield b"sent"
    try:
        raise LookupError("too late")
    except LookupError:
        start("500 Oops", [], sys.exc_info())
    yield b"never"


def failing_midway() -> Iterator[bytes]:
    yield b"one"
    yield b"two"
    raise LookupError("midway")


def failing_first() -> Iterator[bytes]:
    parts: dict[str, bytes] = {}
    yield parts["at first"]


def failing(environ: Environ, start: Start) -> Any:
    raise LookupError("at once")


def leaving(environ: Environ, start: Start) -> Any:
    sys.exit(3)


def starting_twice(environ: Environ, start: Start) -> list[bytes]:
    start("200 OK", PLAIN)
    start("200 OK", PLAIN)
    return [b"never"]


def hinting(headers: list[tuple[Any, Any]]) -> Application:
    def application(environ: Environ, start: Start) -> list[bytes]:
        environ["wsgi.early_hints"](headers)
        start("200 OK", PLAIN)
        return [b"a"]

    return application


def hinting_late(environ: Environ, start: Start) -> list[bytes]:
    start("200 OK", PLAIN)(b"sent")
    environ["wsgi.early_hints"]([("Link", "</a>")])
    return []


def file(*headers: tuple[str, str], skip: int = 0) -> Application:
    def application(environ: Environ, start: Start) -> Any:
        start("200 OK", list(headers))
        opened = environ["test.file"].open("rb")
        opened.seek(skip)
        return environ["wsgi.file_wrapper"](opened)

    return application


def only_like_a_file(environ: Environ, start: Start) -> Any:
    start("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"abc" * 100), 7)


NO_LENGTH = {"content-length": ""}

RESPONSES = {
    "one part": Response(returning([b"hello"]), body=b"hello", fields={"content-length": "5"}),
    "no part": Response(returning([]), fields={"content-length": "0"}),
    "an empty tuple": Response(returning(()), fields={"content-length": "0"}),
    "empty parts": Response(returning(parts(b"", b"")), fields={"content-length": "0"}),
    "a generator": Response(returning(parts(b"a", b"b")), body=b"ab", fields=NO_LENGTH),
    "a list": Response(
        returning([b"a" * 10, b"", b"b" * 100_000]),
        body=b"a" * 10 + b"b" * 100_000,
        fields=NO_LENGTH,
    ),
    "a large part": Response(
        returning([b"a" * 300_000]), body=b"a" * 300_000, fields={"content-length": "300000"}
    ),
    "write": Response(writing, body=b"one two three", fields=NO_LENGTH),
    "write too much": Response(writing_too_much, body=b"abc", fields={"content-length": "3"}),
    "write too little": Response(
        writing_too_little,
        body=b"ab",
        complete=False,
        fields={"content-length": "5"},
        logged="shorter than its Content-Length",
    ),
    "exc_info in time": Response(
        replaced, 500, b"page", fields={"x-a": "", "x-b": "2", "content-length": "4"}
    ),
    "exc_info too late": Response(
        replaced_too_late,
        body=b"sent",
        complete=False,
        fields=NO_LENGTH,
        logged="LookupError: too late",
    ),
    "204": Response(returning([b"ignored"], "204 No Content", []), 204, fields=NO_LENGTH),
    "204 with a length": Response(
        returning([], "204 No Content", [("Content-Length", "0")]), 204, fields=NO_LENGTH
    ),
    "204 of a generator": Response(
        returning(parts(b"a"), "204 No Content", []), 204, fields=NO_LENGTH
    ),
    "304": Response(returning([b"ignored"], "304 Not Modified", []), 304, fields=NO_LENGTH),
    "304 with a length": Response(
        returning([], "304 Not Modified", [("Content-Length", "5")]),
        304,
        fields={"content-length": "5"},
    ),
    "205": Response(returning([], "205 Reset Content", []), 205, fields={"content-length": "0"}),
    "a status of its own": Response(
        returning([b"a"], "599 Own", []), 599, b"a", fields={"content-length": "1"}
    ),
    "longer than announced": Response(
        sized([b"hello"], 3),
        body=b"hel",
        fields={"content-length": "3"},
        logged="longer than its Content-Length",
    ),
    "longer than announced, in parts": Response(
        sized(parts(b"he", b"llo"), 3),
        body=b"hel",
        fields={"content-length": "3"},
        logged="longer than its Content-Length",
    ),
    "as announced, in parts": Response(
        sized(parts(b"he", b"llo"), 5), body=b"hello", fields={"content-length": "5"}
    ),
    "announced as empty": Response(sized([], 0), fields={"content-length": "0"}),
    "announced as empty, but not": Response(
        sized([b"x"], 0), fields={"content-length": "0"}, logged="longer than its Content-Length"
    ),
    "announced with a zero before": Response(
        returning([b"hello"], headers=[("Content-Length", "05")]),
        body=b"hello",
        fields={"content-length": "5"},
    ),
    **{
        f"shorter than announced: {name}": Response(
            sized(result, 9),
            body=body,
            complete=False,
            fields={"content-length": "9"},
            logged="shorter than its Content-Length",
        )
        for name, result, body in (
            ("a list", [b"hello"], b"hello"),
            ("two parts", [b"he", b"llo"], b"hello"),
            ("a generator", parts(b"he", b"llo"), b"hello"),
            ("an empty list", [], b""),
            ("an empty generator", parts(), b""),
        )
    },
    "a file": Response(file(), body=FILE, fields={"content-length": str(len(FILE))}),
    "a part of a file": Response(
        file(("Content-Length", "1000"), skip=7),
        body=FILE[7:1007],
        fields={"content-length": "1000"},
    ),
    "a file shorter than announced": Response(
        file(("Content-Length", "200000")),
        body=FILE,
        complete=False,
        fields={"content-length": "200000"},
        logged="shorter than its Content-Length",
    ),
    "the end of a file, announced as longer": Response(
        file(("Content-Length", "1"), skip=len(FILE)),
        complete=False,
        fields={"content-length": "1"},
        logged="shorter than its Content-Length",
    ),
    "what only looks like a file": Response(only_like_a_file, body=b"abc" * 100, fields=NO_LENGTH),
    "fields": Response(
        returning(
            [b"a"],
            headers=[("X-UPPER", "A"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("X-E", "")],
        ),
        body=b"a",
        fields={"x-upper": "A", "set-cookie": "a=1, b=2", "content-length": "1"},
    ),
    "a field with latin-1": Response(
        with_field("X-A", "caf\xe9\tb"), body=b"a", fields={"x-a": "caf\xe9\tb"}
    ),
    "a date and a server of its own": Response(
        returning([b"a"], headers=[("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Server", "mine")]),
        body=b"a",
        fields={"date": "Thu, 01 Jan 1970 00:00:00 GMT", "server": "mine"},
    ),
    "no start_response": fails(lambda environ, start: [b"a"]),
    "nothing": fails(lambda environ, start: None, ""),
    "a text as a part": fails(returning(["text"]), ""),
    "a text of a generator": fails(returning(parts("text"))),
    "a number as a part": fails(returning([1]), ""),
    "a text": fails(returning("text"), ""),
    "a status without a reason": fails(returning([b"a"], "200")),
    "a status that is a number": fails(returning([b"a"], 200)),  # type: ignore[arg-type]
    "a status that ends no request": fails(returning([], "103 Early Hints", [])),
    "a field with a line end": fails(with_field("A", "b\r\nC: d")),
    "a field with NUL": fails(with_field("A", "b\0")),
    "a field beyond latin-1": fails(with_field("A", "\u20ac")),
    "a field whose value is a number": fails(with_field("A", 1)),
    "a field whose name is bytes": fails(with_field(b"A", "1")),
    "a field with a space in its name": fails(with_field("A B", "1")),
    "a field without a name": fails(with_field("", "1")),
    "a pseudo-header field": fails(with_field(":status", "201")),
    **{
        f"the field {name}": fails(with_field(name, "x"), "hop-by-hop")
        for name in ("Connection", "Transfer-Encoding", "Upgrade", "Keep-Alive", "Trailer", "TE")
    },
    "a length twice": fails(
        returning([b"a"], headers=[("Content-Length", "1"), ("content-length", "1")])
    ),
    "a length that is no number": fails(with_field("Content-Length", "x")),
    "an exception": fails(failing, "LookupError: at once"),
    "an exception of the first part": fails(returning(failing_first), "KeyError: 'at first'"),
    "SystemExit": fails(leaving, "SystemExit: 3"),
    "start_response twice": fails(starting_twice, "called twice"),
    "an exception of a later part": Response(
        returning(failing_midway),
        body=b"onetwo",
        complete=False,
        fields=NO_LENGTH,
        logged="LookupError: midway",
    ),
    "hints with a field of the connection": fails(hinting([("Connection", "x")])),
    "hints with a length": fails(hinting([("Content-Length", "1")])),
    "hints with a line end": fails(hinting([("A", "b\r\n")])),
    "hints": Response(hinting([("Link", "</a>")]), body=b"a", fields={"link": ""}, hints=1),
    "no hints": Response(hinting([]), body=b"a"),
    "late hints": Response(
        hinting_late, body=b"sent", complete=False, logged="Error: early hints must be"
    ),
}


@pytest.fixture(params=[HTTP1, HTTP2])
def either(request: pytest.FixtureRequest) -> Either:
    return Either(request.param)


@pytest.fixture
def prepared(serve: Serve, tmp_path: Path) -> Prepare:
    """Serves an application, which finds a file in its environ."""
    path = tmp_path / "file"

    def prepare(application: Application, **options: Any) -> Served:
        path.write_bytes(FILE)

        def with_file(environ: Environ, start: Start) -> Any:
            environ["test.file"] = path
            return application(environ, start)

        return serve(with_file, h2c=True, **options)

    return prepare


@pytest.mark.parametrize("case", RESPONSES.values(), ids=RESPONSES)
def test_the_response_is_the_same(
    prepared: Prepare, either: Either, case: Response, caplog: pytest.LogCaptureFixture
) -> None:
    served = prepared(case.application)
    answer = either.ask(served)
    assert answer.status == case.status
    assert answer.body == case.body
    assert answer.complete is case.complete
    assert answer.hints == [[("link", "</a>")]] * case.hints
    assert {key: answer[key] for key in case.fields} == case.fields
    assert answer["date"].endswith(" GMT")
    assert answer["server"]
    served.stop()
    failed = case.status == 500 and case.body == FAILED
    records = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert bool(records) is (bool(case.logged) or failed)
    assert case.logged in caplog.text
    assert ("Traceback" in caplog.text) is ("Error" in case.logged or failed)


@pytest.mark.parametrize("case", RESPONSES.values(), ids=RESPONSES)
def test_the_response_to_head_is_the_same_without_its_body(
    prepared: Prepare, case: Response
) -> None:
    served = prepared(case.application)
    one, other = (Either(protocol).ask(served, method="HEAD") for protocol in (HTTP1, HTTP2))
    for answer in (one, other):
        answer.fields = [each for each in answer.fields if each[0] != "date"]
    assert one == other
    assert other.body == b""


# -- with compression ------------------------------------------------------------------------------


@pytest.mark.parametrize("accepted", ["", "gzip"])
@pytest.mark.parametrize("case", RESPONSES.values(), ids=RESPONSES)
def test_compression_changes_no_response_but_its_body(
    prepared: Prepare,
    either: Either,
    case: Response,
    accepted: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error stays one, and a body that is not complete does not look complete."""
    monkeypatch.setattr("rocket_wsgi._compression.compressing_application.MIN_SIZE", 1)
    served = prepared(case.application, compress=True)
    answer = either.ask(served, fields=[("Accept-Encoding", accepted)] if accepted else [])
    body = answer.body
    if answer["content-encoding"]:
        assert accepted
        decoder = zlib.decompressobj(31)
        body = decoder.decompress(body)
        assert decoder.eof is case.complete
    assert (answer.status, body, answer.complete) == (case.status, case.body, case.complete)
    same = {key: value for key, value in case.fields.items() if key != "content-length"}
    assert {key: answer[key] for key in same} == same


# -- what is otherwise -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["  b  ", "\tb\t", " ", ""])
def test_a_value_has_no_white_space_around_it(serve: Serve, value: str) -> None:
    """RFC 9113, section 8.2.1. Over HTTP/1.1 it is no part of the value (RFC 9110, section 5.5)."""
    served = serve(with_field("X-A", value), h2c=True)
    assert Either(HTTP1).ask(served)["x-a"] == value
    assert Either(HTTP2).ask(served)["x-a"] == value.strip(" \t")


def test_a_field_of_an_old_proxy_is_not_sent(serve: Serve) -> None:
    """RFC 9113, section 8.2.2. PEP 3333 does not name the field."""
    served = serve(with_field("Proxy-Connection", "x"), h2c=True)
    assert Either(HTTP1).ask(served)["proxy-connection"] == "x"
    assert "proxy-connection" not in Either(HTTP2).ask(served)
