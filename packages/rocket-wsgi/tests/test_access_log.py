from __future__ import annotations

import re

from rocket_core import RequestLine
from rocket_wsgi._access_log import Entry

LINE = RequestLine("GET", "/a?b", "HTTP/1.1")


def test_line() -> None:
    pattern = (
        r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a\?b HTTP/1\.1" '
        r'200 12 "-" "-" \d+'
    )
    assert re.fullmatch(pattern, Entry("127.0.0.1", LINE, {}).format(200, 12))


def test_what_clients_send_is_escaped() -> None:
    forged = {"HTTP_USER_AGENT": 'a" 200\\\x1b[31m\x9b\t', "HTTP_REFERER": "http://r/"}
    line = Entry("", LINE, forged).format(200, 0)
    assert '"http://r/" "a\\" 200\\\\\\x1b[31m\\x9b\\x09" ' in line


def test_a_unix_peer_has_no_address() -> None:
    assert Entry("", LINE, {}).format(200, 0).startswith("- - - [")


def test_the_application_cannot_change_the_line() -> None:
    environ = {"HTTP_REFERER": "before"}
    entry = Entry("", LINE, environ)
    environ.clear()
    assert '"before"' in entry.format(200, 0)
