from __future__ import annotations

from typing import Any

import pytest

from rocket_wsgi._compression.head import (
    compressed_head,
    compresses,
    describe_head,
    forbids,
    revalidated_head,
    varying,
)

TEXT = ("Content-Type", "text/plain")


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("text/html; charset=utf-8", True),
        ("Text/Event-Stream", True),
        ("application/json", True),
        ("application/problem+json", True),
        ("image/svg+xml", True),
        ("application/wasm", True),
        ("font/ttf", True),
        ("image/png", False),
        ("font/woff2", False),
        ("application/octet-stream", False),
        ("application/zip", False),
        ("", False),
    ],
)
def test_media_types(media_type: str, expected: bool) -> None:
    assert compresses(media_type) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("no-transform", True), ("public, No-Transform , max-age=1", True), ("no-cache", False)],
)
def test_cache_control(value: str, expected: bool) -> None:
    assert forbids(value) is expected


@pytest.mark.parametrize(
    ("status", "fields", "expected"),
    [
        ("200 OK", [TEXT], True),
        ("404 Not Found", [TEXT], True),
        ("200 OK", [], False),
        ("200 OK", [("Content-Type", "image/png")], False),
        ("204 No Content", [TEXT], False),
        ("206 Partial Content", [TEXT], False),
        ("304 Not Modified", [TEXT], False),
        ("200 OK", [TEXT, ("Content-Encoding", "identity")], False),
        ("416 No", [TEXT, ("content-range", "bytes */5")], False),
        ("200 OK", [TEXT, ("Cache-Control", "max-age=5, no-transform")], False),
        ("200 OK", [TEXT, ("Repr-Digest", "sha-256=:x:")], False),
        ("200 OK", [TEXT, ("Content-Length", "x")], False),
        ("200 OK", [TEXT, ("Content-Length", "1"), ("Content-Length", "1")], False),
        ("200 OK", [TEXT, ("X", 1)], False),
        (200, [TEXT], False),
    ],
)
def test_what_is_compressed(status: Any, fields: Any, expected: bool) -> None:
    assert describe_head(status, fields).compressible is expected


def test_length() -> None:
    assert describe_head("200 OK", [TEXT, ("content-length", "12")]).length == 12
    assert describe_head("200 OK", [TEXT]).length is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [([TEXT], True), ([], True), ([("Content-Type", "image/png")], False)],
)
def test_what_is_revalidated(fields: Any, expected: bool) -> None:
    assert describe_head("304 Not Modified", fields).revalidated is expected


def test_compressed() -> None:
    fields = [TEXT, ("ETag", '"a"'), ("Accept-Ranges", "bytes"), ("content-length", "5000")]
    expected = [TEXT, ("ETag", 'W/"a"'), ("Content-Encoding", "br")]
    vary = ("Vary", "Accept-Encoding")
    assert compressed_head(fields, "br", None) == [*expected, vary]
    assert compressed_head(fields, "br", 70) == [*expected, ("Content-Length", "70"), vary]
    weak = ("etag", 'W/"a"')
    assert weak in compressed_head([weak], "br", None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], ["Accept-Encoding"]),
        (["Cookie"], ["Cookie, Accept-Encoding"]),
        (["Cookie", "Origin"], ["Cookie, Accept-Encoding", "Origin"]),
        (["Cookie", "Accept-Encoding"], ["Cookie", "Accept-Encoding"]),
        (["accept-encoding, Cookie"], ["accept-encoding, Cookie"]),
        (["*"], ["*"]),
        ([""], ["Accept-Encoding"]),
    ],
)
def test_vary(before: list[str], after: list[str]) -> None:
    fields = [TEXT, *(("vary", value) for value in before)]
    assert [value for name, value in varying(fields) if name.lower() == "vary"] == after


def test_entity_tag_of_a_304_is_what_the_client_has() -> None:
    tag = ("ETag", '"a"')
    assert tag in revalidated_head([tag], '"a"')
    assert tag in revalidated_head([tag], "*")
    assert ("ETag", 'W/"a"') in revalidated_head([tag], '"b", W/"a"')
