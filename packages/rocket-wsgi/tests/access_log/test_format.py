from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_core.http1 import RequestLine
from rocket_wsgi._access_log.format import FIELDS, Format
from rocket_wsgi._environ.request_record import Messages, MessagesRecord, RequestRecord

WICKED = [
    '"',
    "\\",
    "\n",
    "\r\n",
    "\x1b[31m",
    "\x85",
    "\u2028",
    "\ud800",
    "\U0001f680",
    "é",
    "\x7f",
]


def record(form: Format, text: str = "text", **changes: Any) -> RequestRecord:
    made = RequestRecord()
    made.line = RequestLine("GET", text, "HTTP/1.1")
    made.raw = ""
    made.values = [text] * len(form.keys)
    made.user = made.error = text
    made.thread = "worker"
    made.requests = 3
    made.when = made.began = 0.0
    made.queued = 0.25
    made.seconds = 1.5
    made.status = 200
    made.size = 12
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Set the local time zone to Berlin."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0/3"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def test_the_offset_is_valid_at_the_logged_time(zone: None) -> None:
    """Just before and just after the change to summer time."""
    iso, clf = Format("{time}"), Format("{clock}")
    change = datetime.fromisoformat("2026-03-29T01:00:00+00:00").timestamp()
    assert iso.line(record(iso, when=change - 0.5)) == "2026-03-29T01:59:59.500+01:00"
    assert iso.line(record(iso, when=change + 0.25)) == "2026-03-29T03:00:00.250+02:00"
    assert clf.line(record(clf, when=change - 1)) == "29/Mar/2026:01:59:59 +0100"
    assert clf.line(record(clf, when=change)) == "29/Mar/2026:03:00:00 +0200"


def test_zone_west_of_greenwich(zone: None) -> None:
    os.environ["TZ"] = "NST3:30"
    time.tzset()
    iso = Format("{time}")
    assert iso.line(record(iso)) == "1969-12-31T20:30:00.000-03:30"


def of_messages(form: Format, messages: Messages) -> MessagesRecord:
    plain = record(form)
    made = MessagesRecord(plain, messages)
    made.error, made.seconds, made.status, made.size = plain.error, 60.0, 101, 12
    return made


def test_fields_of_messages() -> None:
    form = Format("{messages_received} {messages_sent} {close_code} {method} {seconds} {thread}")
    assert form.line(of_messages(form, Messages(5, 6, 1000))) == "5 6 1000 GET 60.000000 worker"
    assert form.line(of_messages(form, Messages(0, 6))) == "0 6 - GET 60.000000 worker"
    assert form.line(record(form)) == "- - - GET 1.500000 worker"


def test_json_has_messages_of_what_has_some() -> None:
    form = Format("json")
    usual = json.loads(form.line(record(form)))
    assert not usual.keys() & {"messages_received", "messages_sent", "close_code"}
    more = json.loads(form.line(of_messages(form, Messages(5, 6, 1000))))
    assert (more["messages_received"], more["messages_sent"], more["close_code"]) == (5, 6, 1000)
    assert more.keys() > usual.keys()
    chosen = Format("json:messages_sent,status")
    assert json.loads(chosen.line(record(chosen))) == {"messages_sent": None, "status": 200}


def test_fields() -> None:
    form = Format("{method} {target} {protocol} {status} {size} {seconds} {microseconds} {queued}")
    assert form.line(record(form)) == "GET text HTTP/1.1 200 12 1.500000 1500000 0.250000"
    form = Format("{thread}|{requests}|{header.X-Tenant}|{header.content-type}|100%")
    assert form.line(record(form)) == "worker|3|text|text|100%"
    assert form.keys == ["HTTP_X_TENANT", "CONTENT_TYPE"]
    assert form.threads
    assert not Format("combined").threads


def test_missing_values() -> None:
    text, objects = (
        Format("{user} {line} {method} {status} {host}"),
        Format("json:user,line,status"),
    )
    missing: dict[str, Any] = {"line": None, "user": None, "status": 0, "values": [None]}
    assert text.line(record(text, **missing)) == "- - - - -"
    assert json.loads(objects.line(record(objects, **missing))) == {
        "user": None,
        "line": None,
        "status": None,
    }
    assert text.line(record(text, **missing | {"raw": "a b"})) == "- a\\x20b - - -"


def test_braces() -> None:
    form = Format("{{{status}}}")
    assert form.line(record(form)) == "{200}"


@pytest.mark.parametrize("text", ["{nobody}", "json:nobody", "{header.}", "{header.a b}", "{}"])
def test_unknown_field(text: str) -> None:
    with pytest.raises(ValueError, match=r"no field .*use one of time, .*method.*header\.NAME"):
        Format(text)


@pytest.mark.parametrize(
    "text", ["{status", "plain", "", "{status!r}", "{status:5}", "{status}\n", "{status} é"]
)
def test_malformed_format(text: str) -> None:
    with pytest.raises(ValueError, match="access log format"):
        Format(text)


ANY_TEXT = st.text(max_size=20) | st.lists(st.sampled_from(WICKED)).map("".join)


LINE = re.compile(r'([^ ]+) ([^|]+)\|([^ ]+) "((?:\\.|[^"\\])*)" "((?:\\.|[^"\\])*)" ([^ ]+) 200')


def unescape(text: str) -> str:
    return re.sub(
        r"\\(?:x(..)|u(....)|U(........)|(.))",
        lambda match: match[4] or chr(int(match[1] or match[2] or match[3], 16)),
        text,
    )


@given(ANY_TEXT)
def test_text_cannot_be_forged(text: str) -> None:
    """Any text gives one line of printable ASCII with as many fields as the format has."""
    form = Format('{client} {path}|{user} "{agent}" "{line}" {error} {status}')
    line = form.line(record(form, text))
    assert line.isascii()
    assert line.isprintable()
    match = LINE.fullmatch(line)
    assert match is not None
    assert [unescape(each) for each in match.groups()] == [text or "-"] * 3 + [
        text or "-",
        f"GET {text} HTTP/1.1",
        text or "-",
    ]


@given(ANY_TEXT)
def test_json_contains_the_text_unchanged(text: str) -> None:
    form = Format("json")
    line = form.line(record(form, text))
    assert line.isascii()
    assert line.isprintable()
    found = json.loads(line)
    assert found["agent"] == found["target"] == found["user"] == text
    assert found["status"] == 200


@given(ANY_TEXT, ANY_TEXT)
def test_different_texts_give_different_lines(one: str, other: str) -> None:
    form = Format('"{agent}"')
    if one != other and {one, other} != {"", "-"}:
        assert form.line(record(form, one)) != form.line(record(form, other))


@pytest.mark.parametrize(
    "text", [" ".join(f"{{{name}}}" for name in FIELDS), f"json:{','.join(FIELDS)}"]
)
def test_every_field_can_be_used(text: str) -> None:
    form = Format(text)
    assert form.line(record(form)).isprintable()
