from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_core.http1 import HeadError
from rocket_wsgi._environ.field_names import EnvironNames, Underscores
from rocket_wsgi._http1.fields import Framing
from rocket_wsgi._http1.head_cache import HeadCache
from rocket_wsgi._http1.http1_request import HTTP1Request


def read(*lines: str, first: str = "GET / HTTP/1.1", host: str | None = "Host: a") -> HTTP1Request:
    head = [first, *([host] if host is not None else []), *lines]
    return HTTP1Request("\r\n".join(head).encode("latin-1"), {"wsgi.version": (1, 0)})


def refused(*lines: str, **settings: Any) -> int:
    with pytest.raises(HeadError) as caught:
        read(*lines, **settings)
    return caught.value.status


def test_environ() -> None:
    request = read(
        "X-One: 1",
        "x-one: 2",
        "Cookie: a=b",
        "Cookie: c=d",
        "Content-Type: text/x",
        "Content-Length: 3",
        first="POST /p%20q?r=s HTTP/1.1",
    )
    environ = request.environ
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["PATH_INFO"] == "/p q"
    assert environ["QUERY_STRING"] == "r=s"
    assert environ["REQUEST_URI"] == "/p%20q?r=s"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["HTTP_HOST"] == "a"
    assert environ["HTTP_X_ONE"] == "1, 2"
    assert environ["HTTP_COOKIE"] == "a=b; c=d"
    assert environ["CONTENT_TYPE"] == "text/x"
    assert environ["CONTENT_LENGTH"] == "3"
    assert "HTTP_CONTENT_TYPE" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ


def test_template_is_not_changed() -> None:
    template = {"wsgi.version": (1, 0)}
    HTTP1Request(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b", template)
    assert template == {"wsgi.version": (1, 0)}


def test_fields_that_could_be_mistaken_for_others_are_dropped() -> None:
    environ = read("X_Forwarded_For: evil", "Proxy: evil", "X-Ok: 1").environ
    assert "evil" not in environ.values()
    assert environ["HTTP_X_OK"] == "1"


def test_absolute_form_replaces_host() -> None:
    assert read(first="GET http://b:1/ HTTP/1.1").environ["HTTP_HOST"] == "b:1"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Content-Length: 1", "Content-Length: 1"], 400),
        (["Content-Length: 1, 1"], 400),
        (["Content-Length: +1"], 400),
        (["Content-Length: -1"], 400),
        (["Content-Length: 1_0"], 400),
        (["Content-Length: 0x1"], 400),
        (["Content-Length: \xb2"], 400),
        (["Content-Length:"], 400),
        (["Content-Length: " + "9" * 30], 413),
        (["Transfer-Encoding: chunked", "Content-Length: 1"], 400),
        (["Transfer-Encoding: chunked", "Content-Length:"], 400),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 400),
        (["Transfer-Encoding: chunked, chunked"], 400),
        (["Transfer-Encoding: chunked, gzip"], 400),
        (["Transfer-Encoding: gzip, chunked"], 501),
        (["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], 501),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: gzip"], 400),
        (["Transfer-Encoding:", "Transfer-Encoding: chunked"], 400),
        (["Transfer-Encoding: gzip", "Transfer-Encoding: chunked", "Content-Length: 1"], 400),
        (["Transfer-Encoding: identity"], 400),
        (["Transfer-Encoding:"], 400),
        (["Transfer-Encoding: \x0bchunked"], 400),
        (["Expect: 200-ok"], 417),
        (["Host: a"], 400),
        (["Host: b"], 400),
        ([" folded: x"], 400),
        (["X: a", "\tfolded"], 400),
        (["X : a"], 400),
        ([": a"], 400),
        (["X(y): a"], 400),
        (["no colon"], 400),
        (["X: a\x00b"], 400),
        (["X: a\nb"], 400),
        (["X: a\rb"], 400),
        ([f"X-{n}: y" for n in range(101)], 431),
        (["X: " + "y" * (17 * 1024)], 431),
    ],
)
def test_malformed_fields(lines: list[str], status: int) -> None:
    assert refused(*lines) == status


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ("GET / HTTP/2.0", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET / HTTP/0.9", 505),
        ("GET / HTTP/1.10", 400),
        ("GET / http/1.1", 400),
        ("GET /", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        (" GET / HTTP/1.1", 400),
        ("G\x7fT / HTTP/1.1", 400),
        ("G@T / HTTP/1.1", 400),
        ("GET /\xe9 HTTP/1.1", 400),
        ("GET /" + "a" * 9000 + " HTTP/1.1", 414),
        ("A" * 9000 + " / HTTP/1.1", 501),
        ("CONNECT a:1 HTTP/1.1", 501),
    ],
)
def test_malformed_request_lines(first: str, status: int) -> None:
    assert refused(first=first) == status


def test_host_is_required_since_http_1_1() -> None:
    assert refused(host=None) == 400
    assert not read(host=None, first="GET / HTTP/1.0").modern


def test_later_minor_versions_are_like_http_1_1() -> None:
    assert read(first="GET / HTTP/1.2").modern


def test_transfer_encoding_is_refused_with_http_1_0() -> None:
    assert refused("Transfer-Encoding: chunked", first="POST / HTTP/1.0") == 400


@pytest.mark.parametrize(
    ("lines", "framing", "length"),
    [
        ([], Framing.NONE, 0),
        (["Content-Length: 0"], Framing.NONE, 0),
        (["Content-Length: 012"], Framing.LENGTH, 12),
        (["Transfer-Encoding: Chunked"], Framing.CHUNKED, 0),
    ],
)
def test_framing(lines: list[str], framing: Framing, length: int) -> None:
    request = read(*lines, first="POST / HTTP/1.1")
    assert (request.framing, request.length) == (framing, length)
    assert "HTTP_TRANSFER_ENCODING" not in request.environ
    assert ("wsgi.input" in request.environ) == (framing is Framing.NONE)


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.1", None, True),
        ("1.1", "keep-alive", True),
        ("1.1", "Close", False),
        ("1.1", "TE, close", False),
        ("1.1", "Upgrade", True),
        ("1.0", None, False),
        ("1.0", "Keep-Alive", True),
        ("1.0", "TE , keep-alive", True),
        ("1.0", "keep-alive, close", False),
    ],
)
def test_keep_alive(version: str, connection: str | None, kept: bool) -> None:
    lines = [] if connection is None else [f"Connection: {connection}"]
    assert read(*lines, first=f"GET / HTTP/{version}").keep_alive is kept


def test_expectation() -> None:
    assert read("Expect: 100-Continue", "Content-Length: 1").expects
    assert not read("Expect: 100-continue").expects
    assert not read("Expect: 100-continue", "Content-Length: 1", first="PUT / HTTP/1.0").expects


@given(st.binary(max_size=300))
def test_no_head_raises_another_error(head: bytes) -> None:
    try:
        HTTP1Request(head, {})
    except HeadError as error:
        assert 400 <= error.status < 600


@given(
    st.lists(
        st.sampled_from(
            [
                "Host: a",
                "Content-Length: 5",
                "Content-Length: 0",
                "Transfer-Encoding: chunked",
                "Transfer-Encoding: gzip",
                "X: y",
                "Connection: close",
            ]
        ),
        max_size=4,
    )
)
def test_two_framings_are_never_accepted(lines: list[str]) -> None:
    framings = [line for line in lines if line.startswith(("Content-L", "Transfer"))]
    try:
        read(*lines, host=None)
    except HeadError:
        return
    assert len(framings) <= 1
    assert "Transfer-Encoding: gzip" not in framings
    assert lines.count("Host: a") == 1


# -- fields that come again ------------------------------------------------------------------------

NAMES = EnvironNames()
TEMPLATE: dict[str, Any] = {"wsgi.version": (1, 0)}
FIELDS = "Host: a", "Accept: */*", "Cookie: b=c"


def encoded(*lines: str, first: str = "GET / HTTP/1.1") -> bytes:
    return "\r\n".join([first, *lines]).encode("latin-1")


def outcome(head: bytes, memory: HeadCache | None) -> Any:
    """All attributes of the request, except for the empty file, which has no value to compare."""
    try:
        request = HTTP1Request(head, TEMPLATE, NAMES, memory)
    except HeadError as error:
        return error.status, error.reason
    environ = {key: value for key, value in request.environ.items() if key != "wsgi.input"}
    rest = request.line, request.modern, request.keep_alive, request.framing, request.length
    return environ, "wsgi.input" in request.environ, rest, request.expects


def knowing(*lines: str, first: str = "GET / HTTP/1.1") -> HeadCache:
    """Return a cache that has remembered these fields."""
    memory = HeadCache()
    HTTP1Request(encoded(*lines, first=first), TEMPLATE, NAMES, memory)
    assert memory._heads
    return memory


@pytest.mark.parametrize(
    "first",
    [
        "GET / HTTP/1.1",
        "POST /p%20q?r=s HTTP/1.1",
        "GET http://b:1/c HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET / HTTP/1.0",
        "POST / HTTP/1.0",
        "GET / HTTP/1.2",
        "GET / HTTP/2.1",
        "GET / xHTTP/1.1",
        "GET  HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET /\x00 HTTP/1.1",
        "GET /\n HTTP/1.1",
        "GET /\r HTTP/1.1",
        "GET /\xe9 HTTP/1.1",
        "G(T / HTTP/1.1",
        "G\xe9T / HTTP/1.1",
        "\nGET / HTTP/1.1",
        "GET / / HTTP/1.1",
        "GET /#a HTTP/1.1",
        "CONNECT a:1 HTTP/1.1",
        "HTTP/1.1",
        "",
        f"GET /{'x' * 8178} HTTP/1.1",
        f"GET /{'x' * 8179} HTTP/1.1",
    ],
)
@pytest.mark.parametrize(
    "lines", [FIELDS, (*FIELDS, "Content-Length: 3"), (*FIELDS, "Connection: close"), ("Host: a",)]
)
def test_remembered_fields_make_no_difference(first: str, lines: tuple[str, ...]) -> None:
    head = encoded(*lines, first=first)
    memory = knowing(*lines)
    for _ in range(3):  # the last time with a known request line
        assert outcome(head, memory) == outcome(head, None)


@given(
    st.lists(
        st.builds(
            encoded,
            st.sampled_from(["Host: a", "Host: b", "Host: a/b", "X: \n"]),
            st.sampled_from(["A: b", "Connection: close", "Transfer-Encoding: chunked", "A b"]),
            st.sampled_from(["C: d", "Content-Length: 1", "Expect: 100-continue", "Expect: 1"]),
            first=st.sampled_from(
                ["GET / HTTP/1.1", "POST /a HTTP/1.0", "POST ? HTTP/1.1", "GET /\n HTTP/1.1"]
            ),
        ),
        max_size=30,
    )
)
def test_earlier_heads_make_no_difference(heads: list[bytes]) -> None:
    memory = HeadCache()
    for head in heads:
        assert outcome(head, memory) == outcome(head, None)


def test_refused_heads_are_not_remembered() -> None:
    memory = HeadCache()
    for first in ("GET / HTTP/1.1", "GET ? HTTP/1.1"):
        for fields in (("Host: a/b",), ("Connection: keep-alive",), ("Host: a", "A b")):
            for _ in range(3):
                with pytest.raises(HeadError):
                    HTTP1Request(encoded(*fields, first=first), TEMPLATE, NAMES, memory)
    assert not memory._heads


def test_requests_with_the_same_fields_share_no_environ() -> None:
    memory = knowing(*FIELDS)
    first = HTTP1Request(encoded(*FIELDS), TEMPLATE, NAMES, memory)
    first.environ["HTTP_HOST"] = "changed"
    first.environ["mine"] = 1
    second = HTTP1Request(encoded(*FIELDS), TEMPLATE, NAMES, memory)
    assert second.environ["HTTP_HOST"] == "a"
    assert "mine" not in second.environ
    assert second.environ["wsgi.input"] is not first.environ["wsgi.input"]


def test_fields_are_remembered_for_one_address_and_one_policy() -> None:
    memory = knowing(*FIELDS, "X_Y: z")
    head = encoded(*FIELDS, "X_Y: z")
    other = {"wsgi.version": (1, 0), "HTTPS": "on"}
    assert HTTP1Request(head, other, NAMES, memory).environ["HTTPS"] == "on"
    allowing = EnvironNames(Underscores.ALLOW)
    assert HTTP1Request(head, TEMPLATE, allowing, memory).environ["HTTP_X_Y"] == "z"
    assert "HTTP_X_Y" not in HTTP1Request(head, TEMPLATE, NAMES, memory).environ


@pytest.mark.parametrize(
    "lines",
    [
        ("Host: a", "Cookie: " + "x" * 4096),
        ("Host: a", *(f"X-{number}: y" for number in range(40))),
        ("Host: a", "Accept: b", "Accept: c"),
        ("Host: a", "Transfer-Encoding: chunked"),
    ],
    ids=["long", "many", "repeated", "chunked"],
)
def test_some_fields_are_not_remembered(lines: tuple[str, ...]) -> None:
    memory = HeadCache()
    for _ in range(3):
        HTTP1Request(encoded(*lines), TEMPLATE, NAMES, memory)
    assert not memory._heads


def test_the_authority_of_a_target_is_not_remembered() -> None:
    memory = knowing(*FIELDS)
    for first, host in (
        ("GET http://b/ HTTP/1.1", "b"),
        ("GET / HTTP/1.1", "a"),
        ("GET http://b/ HTTP/1.1", "b"),
    ):
        head = encoded(*FIELDS, first=first)
        assert HTTP1Request(head, TEMPLATE, NAMES, memory).environ["HTTP_HOST"] == host


def test_heads_of_a_few_kinds_are_remembered() -> None:
    memory = HeadCache()
    kinds = [[*FIELDS, f"X-{number}: a"] for number in range(5)]
    for _ in range(2):
        for lines in kinds:
            head = encoded(*lines)
            assert outcome(head, memory) == outcome(head, None)
    lasts = [known.head.split(b"\r\n")[-1] for known in memory._heads[5]]
    assert lasts == [b"X-4: a", b"X-3: a", b"X-2: a", b"X-1: a"]


def test_a_refused_head_changes_nothing_that_is_remembered() -> None:
    memory = knowing(*FIELDS, "Content-Length: 3")
    for wrong in (
        encoded("Host: b", "Accept: c", "Cookie: d", "Content-Length: x"),
        encoded("Host: b", "Accept: c", "Cookie: d\0", "Content-Length: 4"),
        encoded("Host: a/b", "Accept: c", "Cookie: d", "Content-Length: 4"),
        encoded("Host: b", "Accept: c", "Cookie: d", "Content-Length: 4", first="GET ? HTTP/1.1"),
    ):
        with pytest.raises(HeadError):
            HTTP1Request(wrong, TEMPLATE, NAMES, memory)
        for first in ("GET / HTTP/1.1", "GET /c HTTP/1.1"):
            head = encoded(*FIELDS, "Content-Length: 3", first=first)
            assert outcome(head, memory) == outcome(head, None)


def test_a_head_is_divided_where_others_have_differed() -> None:
    memory = knowing(*FIELDS, "X-Last: d")
    (known,) = memory._heads[5]
    assert not known.keys
    heads = [
        encoded("Host: a", "Accept: */*", f"Cookie: {number}", f"X-Last: {last}", first=first)
        for number, last in ((0, "d"), (1, "d"), (1, "e"), (2, ""))
        for first in ("GET /a HTTP/1.1", "GET /b?c HTTP/1.1")
    ]
    for head in heads:
        assert outcome(head, memory) == outcome(head, None)
    assert known.keys == ["HTTP_COOKIE", "HTTP_X_LAST"]
    blocks = known.blocks
    assert blocks == [" HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nCookie: ", "\r\nX-Last: ", ""]
    for head in heads:
        assert outcome(head, memory) == outcome(head, None)
    assert memory._heads == {5: [known]}
    assert known.blocks is blocks


@pytest.mark.parametrize(
    "lines",
    [
        ("Host: a", "Accept: */*", "Cookie: d\r\nX: y"),
        ("Host: a", "Accept: */*", "Cookie: d\r\nAccept: */*\r\nCookie: d"),
        ("Host: a\r\nAccept: */*\r\nCookie: d", "Accept: */*", "Cookie: d"),
        ("Host: a", "Accept: */*, Cookie: d", "Cookie: e"),
        ("Host: a", "Accept: */*", "Cookie:d"),
        ("Host: a", "Accept: */*", "Cookie : d"),
        ("Host: a", "Accept: */*"),
        ("Host: a",),
    ],
)
def test_a_head_with_other_lines_is_not_one_that_is_divided(lines: tuple[str, ...]) -> None:
    memory = knowing(*FIELDS)
    for head in (encoded(*FIELDS[:2], "Cookie: e"), encoded(*lines), encoded(*lines)):
        assert outcome(head, memory) == outcome(head, None)


VALUES = st.one_of(
    st.sampled_from(["", " ", "a", " a", " a ", "\ta", " a\t", " a:b", " \xe9", " a\x85"]),
    st.sampled_from([" 0", " 5", " 007", " close", " keep-alive", " 100-continue", " chunked"]),
    st.sampled_from([" a\rb", " a\n", "\x00", " a\x7f", "\r", " \xad", " [::1]:80", " a/b"]),
)
NAMES_OF_FIELDS = st.sampled_from(
    ["Host", "Host", "X", "x", "Cookie", "Content-Length", "Connection", "Expect", "Proxy", "X_Y"]
)
REQUEST_LINES = st.sampled_from(
    [
        *["GET / HTTP/1.1", "GET /a?b HTTP/1.1", "POST /%41 HTTP/1.1"] * 2,
        *["GET / HTTP/1.0", "POST / HTTP/1.0", "GET / HTTP/1.2", "GET http://b/ HTTP/1.1"],
        *["GET /\xe9 HTTP/1.1", "GET /#a HTTP/1.1", "OPTIONS * HTTP/1.1", "GET /", ""],
    ]
)


@given(
    st.lists(NAMES_OF_FIELDS, max_size=4),
    st.lists(st.tuples(REQUEST_LINES, st.lists(VALUES, min_size=5, max_size=5)), max_size=12),
)
def test_earlier_values_of_the_same_fields_make_no_difference(
    names: list[str], requests: list[tuple[str, list[str]]]
) -> None:
    memory = HeadCache()
    for first, values in requests:
        lines = [f"{name}:{value}" for name, value in zip(["Host", *names], values, strict=False)]
        head = encoded(*lines, first=first)
        assert outcome(head, memory) == outcome(head, None)
