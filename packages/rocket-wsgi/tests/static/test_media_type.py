from __future__ import annotations

import pytest

from rocket_wsgi._repeat_cache import MEMORY
from rocket_wsgi._static.media_type import _types, media_type


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("INDEX.HTML", "text/html; charset=utf-8"),
        ("app.min.js", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.woff2", "font/woff2"),
        ("a.tar.gz", "application/gzip"),
        ("app.js.gz", "application/gzip"),
        ("app.js.br", "application/octet-stream"),
        ("README", "application/octet-stream"),
        ("a.no-such-type", "application/octet-stream"),
    ],
)
def test_types(name: str, expected: str) -> None:
    assert media_type(name) == expected


def test_suffixes_that_do_not_come_again_do_not_displace_others() -> None:
    for number in range(3 * MEMORY):
        for _ in range(2):
            media_type(f"a.x{number}")
    assert len(_types) <= MEMORY
    for _ in range(2):
        media_type("a.usual")
    assert ".usual" in _types
