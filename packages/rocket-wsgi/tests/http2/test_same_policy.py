"""HTTP/2 has the same policy as HTTP/1.1: one table of cases, and the differences with their rules.

Each case that says something over HTTP/2 is sent over a connection of HTTP/2 as well, as a proxy
would pass it on that checks nothing. It has the result of HTTP/1.1, unless `DIFFERENCES` has
another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import pytest

from conformance.case import Case
from conformance.echo import MAX_BODY, echo, read_echo
from conformance.over_http2 import NoMeaningError, Translated, translate
from conformance.table import CASES
from http2_client import HTTP2Client, StreamAnswer
from rocket_core import Listener, Server
from rocket_wsgi import WSGIWorker
from rocket_wsgi._http2.error_codes import ErrorCode
from served import Served

MALFORMED = ErrorCode.PROTOCOL_ERROR
"""A stream that is reset, since its request is malformed (RFC 9113, section 8.1.1)."""

AUTHORITY = "authority"
HOST = "host"
NO_MEANING = "no meaning"


@dataclass(frozen=True)
class Difference:
    """What is otherwise over HTTP/2.

    Attributes:
        result: a status, or the code with which the stream is reset, or `NO_MEANING`.
        source: the section of the RFC, and what it says.
        patterns: the names of the cases, as patterns of `fnmatch`.
        statuses: the results over HTTP/1.1 that are otherwise.
        form: the field that has the host, if it is so for one of them only.
    """

    result: int | ErrorCode | str
    source: str
    patterns: tuple[str, ...]
    statuses: tuple[int, ...] = (400,)
    form: str = ""


DIFFERENCES = [
    Difference(
        MALFORMED,
        "RFC 9113, 8.1.1: a field name or value with a forbidden character is malformed",
        (
            "fields: control character*",
            "fields: * in a name",
            "fields: name with *",
            "fields: empty name",
            "fields: space before the colon",
            "fields: tab before the colon",
            "fields: field ended by *",
            "fields: * hidden after *",
            "fields: NUL cuts *",
            "chunks: trailer with *",
            "chunks: trailer without a name",
            "framing: length with a vertical tab",
        ),
    ),
    Difference(
        MALFORMED,
        "RFC 9113, 8.3.1: the method is a token",
        (
            "request lines: method with *",
            "request lines: no method",
            "request lines: * in the method",
            "request lines: * before the method",
            "request lines: * before the request",
            "request lines: a byte order mark",
            "limits: request line too long, after a stray byte",
        ),
    ),
    Difference(
        MALFORMED,
        "RFC 9113, 8.3.1: the path begins with a slash, or is an asterisk for OPTIONS",
        (
            "request lines: empty target",
            "request lines: * before the target",
            "request lines: method PRI of HTTP/1.1",
            "targets: relative path",
            "targets: query only",
            "targets: backslash first",
            "targets: dot",
            "targets: absolute form with one slash",
            "targets: absolute form, javascript",
            "targets: authority form of GET",
            "targets: asterisk *",
        ),
    ),
    Difference(
        MALFORMED,
        "RFC 9113, 8.1.1: the value of a pseudo-header field with a forbidden character",
        (
            "request lines: two spaces before the version",
            "request lines: [CLN]* in the target",
            "targets: DEL in the path",
            "targets: escape character in the path",
        ),
    ),
    Difference(
        MALFORMED,
        "RFC 9113, 8.3.1: the authority is neither empty nor has user information",
        (
            "targets: absolute form without an authority",
            "targets: absolute form with user information",
            "targets: absolute form with a password",
            "targets: absolute form, file",
            "targets: CONNECT with user information",
            "targets: Host *@b",
            "targets: Host empty",
        ),
        (200, 400),
    ),
    Difference(
        MALFORMED,
        "RFC 9113, 8.3.1: the authority and Host differ",
        (
            "targets: Host twice",
            "targets: Host twice, once in capitals",
            "targets: Host twice, the first empty",
        ),
    ),
    Difference(
        200,
        "RFC 9113, 8.3.1: a request may have the authority and Host, if they agree",
        ("targets: Host twice, the same",),
        form=AUTHORITY,
    ),
    Difference(
        MALFORMED,
        "RFC 9113, 8.3.1: a request has one host",
        ("targets: Host twice, the same",),
        form=HOST,
    ),
    Difference(
        MALFORMED,
        "RFC 9110, 5.3: a field that must occur once",
        ("fields: Content-Type twice", "framing: length twice*"),
    ),
    Difference(
        MALFORMED,
        "RFC 9113, 8.1.1: Content-Length is a number, to which the parts of the body add up",
        (
            "framing: length [\"']*",
            "framing: length empty*",
            "framing: length with Arabic digits",
        ),
    ),
    Difference(
        MALFORMED,
        "RFC 9113, 8.2.2: no field is about the connection or the transfer coding",
        (
            "framing: coding *",
            "framing: * coding *",
            "framing: * and coding",
            "framing: identity and length",
            "chunks: trailer Transfer-Encoding",
            "connections: close*",
            "connections: keep-alive",
            "connections: Upgrade",
        ),
        (200, 400, 501),
    ),
    Difference(
        MALFORMED,
        "RFC 9110, 6.5.1: a trailer that tells the framing or the host",
        ("chunks: trailer Content-Length", "chunks: trailer Host"),
    ),
    Difference(
        ErrorCode.ENHANCE_YOUR_CALM,
        "RFC 9113, 10.5.1: when trailers come, a response may have begun",
        ("limits: one trailer too many", "limits: trailer too long by a byte"),
        (431,),
    ),
    Difference(
        431,
        "RFC 9113, 6.5.2: each field counts for 32 bytes more than it has",
        ("limits: longest head",),
        (200,),
    ),
    Difference(
        NO_MEANING,
        "RFC 9113, 5.4.2: an error of a stream is none of the connection",
        ("connections: nothing after *",),
        (200, 400, 413, 417, 431, 501),
    ),
    Difference(
        NO_MEANING,
        "RFC 9113, 8.1: there are no chunks",
        ("chunks: size *", "chunks: extension *", "chunks: sizes *"),
        (400, 413),
    ),
    Difference(
        NO_MEANING,
        "RFC 9112, 3.2.2: a proxy replaces Host by the authority of the target",
        ("targets: absolute form without Host", "targets: absolute form with a malformed Host"),
    ),
]


def find_difference(name: str, form: str) -> Difference | None:
    """Return the first difference that is about a case."""
    status = CASES[name].status
    for each in DIFFERENCES:
        if status in each.statuses and each.form in ("", form):
            for pattern in each.patterns:
                if fnmatchcase(name, pattern):
                    return each
    return None


def requests(case: Case) -> list[Translated]:
    try:
        return translate(case.data)
    except NoMeaningError:
        return []


SENT = {
    f"{name}, {form}": (name, form)
    for name, case in CASES.items()
    for form in ((AUTHORITY, HOST) if name.startswith(("targets", "limits")) else (AUTHORITY,))
    if requests(case)
    and ((difference := find_difference(name, form)) is None or difference.result != NO_MEANING)
}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    def make_worker() -> WSGIWorker:
        return WSGIWorker(echo, max_body=MAX_BODY, h2c=True)

    listener = Listener("127.0.0.1:0")
    with Server(make_worker, [listener], min_threads=2, max_threads=2) as server:
        yield Served(server)


def ask(client: HTTP2Client, request: Translated) -> StreamAnswer:
    number = client.h2.get_next_available_stream_id()
    answer = client.answers[number] = StreamAnswer()
    end = request.ended and not request.trailers
    client.h2.send_headers(
        number, request.pseudo + request.fields, end_stream=end and not request.body
    )
    client.flush()
    if request.body:
        client.send(number, request.body, end=end)
    if request.trailers:
        client.h2.send_headers(number, request.trailers, end_stream=True)
        client.flush()
    client.answer(number)
    return answer


@pytest.mark.parametrize(("name", "form"), SENT.values(), ids=SENT)
def test_over_a_connection(served: Served, name: str, form: str) -> None:
    case = CASES[name]
    difference = find_difference(name, form)
    last: Any = case.status if difference is None else difference.result
    seen = list(case.seen)
    if difference is not None and last != 200:
        seen.clear()
    with HTTP2Client(served.address, checks=False) as client:
        for request in requests(case):
            answer = ask(client, request if form == AUTHORITY else request.with_host())
            if answer.status == 200 and seen:
                assert read_echo(answer.body) == seen.pop(0)
            elif isinstance(last, ErrorCode):
                assert (answer.status, answer.reset) == (0, last)
            else:
                assert answer.status == last
                assert answer.reset in (None, ErrorCode.NO_ERROR)
                if last != 200:
                    assert answer["content-type"].startswith("text/plain")
                    assert 0 < len(answer.body) < 150
        assert not seen
        sentinel = client.get("/sentinel")
        assert read_echo(sentinel.body).path == "/sentinel"
        assert not client.goaways


def test_each_difference_names_its_rule_and_its_cases() -> None:
    for each in DIFFERENCES:
        assert each.source.startswith("RFC ")
        for pattern in each.patterns:
            found = [name for name in CASES if fnmatchcase(name, pattern)]
            assert any(
                find_difference(name, form) is each for name in found for form in (AUTHORITY, HOST)
            ), (pattern, each.source)


def test_most_cases_say_something_over_http2() -> None:
    """A translation that gives up easily would pass."""
    assert len({name for name, _ in SENT.values()}) > 420
    for case in CASES.values():
        if not requests(case):
            with pytest.raises(NoMeaningError, match=r"^RFC 9113, "):
                translate(case.data)
