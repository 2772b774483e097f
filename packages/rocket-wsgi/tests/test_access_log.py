from __future__ import annotations

import re

from rocket_wsgi._access_log import format_line

ENVIRON = {
    "REQUEST_METHOD": "GET",
    "REQUEST_URI": "/a?b",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "127.0.0.1",
}


def test_line() -> None:
    line = format_line(ENVIRON, 200, 12, 0.0015)
    pattern = (
        r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a\?b HTTP/1\.1" '
        r'200 12 "-" "-" 1500'
    )
    assert re.fullmatch(pattern, line)


def test_what_clients_send_is_escaped() -> None:
    forged = {**ENVIRON, "HTTP_USER_AGENT": 'a" 200\\\x1b[31m\x9b\t', "HTTP_REFERER": "http://r/"}
    line = format_line(forged, 200, 0, 0)
    assert line.endswith('"http://r/" "a\\" 200\\\\\\x1b[31m\\x9b\\x09" 0')


def test_a_unix_peer_has_no_address() -> None:
    assert format_line({**ENVIRON, "REMOTE_ADDR": ""}, 200, 0, 0).startswith("- - - [")
