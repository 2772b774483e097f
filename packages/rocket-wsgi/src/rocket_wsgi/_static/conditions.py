"""Conditional requests (RFC 9110, section 13)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from rocket_wsgi._clock import MONTHS

if TYPE_CHECKING:
    from rocket_wsgi._types import Environ

# No two neighbouring parts match the same character, so a match takes linear time.
_ELEMENT: Final = re.compile(r'[ \t]*(?:(W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*)?(?:,|\Z)')

_TIME: Final = r"(?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})"
_MONTH: Final = r"(?P<month>[A-Z][a-z]{2})"
_DATES: Final = (
    re.compile(
        rf"[A-Z][a-z]{{2}}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT\Z"
    ),
    re.compile(
        rf"[A-Z][a-z]{{5,8}}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT\Z"
    ),
    re.compile(rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})\Z"),
)
"""The preferred format of dates and the two obsolete ones (section 5.6.7)."""


class Validators(NamedTuple):
    """The validators of a representation, which identify its version (section 8.8).

    Attributes:
        etag: an entity tag, with its quotes.
        modified: the time of the last modification, in seconds since the epoch.
        weak: whether the entity tag is a weak one.
    """

    etag: str
    modified: int
    weak: bool = False

    @property
    def field(self) -> str:
        """The value of ``ETag``."""
        return f"W/{self.etag}" if self.weak else self.etag


class Outcome(Enum):
    """The result of the conditions of a request."""

    PROCEED = 200
    NOT_MODIFIED = 304
    FAILED = 412


def evaluate(environ: Environ, validators: Validators) -> Outcome:
    """Evaluate the conditions of a GET or HEAD request in the order of section 13.2.2."""
    return Outcome.FAILED if _fails(environ, validators) else _compare(environ, validators)


def _fails(environ: Environ, validators: Validators) -> bool:
    """Return whether ``If-Match``, or else ``If-Unmodified-Since``, is false."""
    match = environ.get("HTTP_IF_MATCH")
    if match is not None:
        return not _matches_strongly(match, validators)
    since = _date(environ.get("HTTP_IF_UNMODIFIED_SINCE"))
    return since is not None and validators.modified > since


def _compare(environ: Environ, validators: Validators) -> Outcome:
    """Evaluate ``If-None-Match``, or else ``If-Modified-Since``."""
    match = environ.get("HTTP_IF_NONE_MATCH")
    if match is not None:
        same = match in (validators.etag, "*") or any(
            tag == validators.etag for _, tag in _tags(match)
        )
    else:
        since = _date(environ.get("HTTP_IF_MODIFIED_SINCE"))
        same = since is not None and validators.modified <= since
    return Outcome.NOT_MODIFIED if same else Outcome.PROCEED


def range_applies(environ: Environ, validators: Validators) -> bool:
    """Return whether ``If-Range``, if present, allows ``Range`` to apply (section 13.1.5)."""
    value: str | None = environ.get("HTTP_IF_RANGE")
    if value is None or value == validators.etag:
        return True
    # Another change may follow within the same second: the date is not yet a strong validator.
    strong = validators.modified < int(time.time()) - 1
    return strong and _date(value) == validators.modified


def _matches_strongly(value: str, validators: Validators) -> bool:
    """Compare by section 8.8.3.2: a weak entity tag equals none."""
    if value == "*" or validators.weak:
        return value == "*"
    return any(tag == validators.etag and not weak for weak, tag in _tags(value))


def _tags(value: str) -> Iterator[tuple[bool, str]]:
    """Yield whether a tag is weak, and the tag with its quotes, up to the first malformed one."""
    position = 0
    while position < len(value):
        element = _ELEMENT.match(value, position)
        if element is None:
            return
        if element[2] is not None:
            yield element[1] is not None, element[2]
        position = element.end()


def _date(value: str | None) -> int | None:
    """Return the seconds since the epoch of an HTTP-date (section 5.6.7), otherwise None."""
    if value is None:
        return None
    for form in _DATES:
        match = form.match(value)
        if match is not None:
            return _seconds(match)
    return None


def _seconds(match: re.Match[str]) -> int | None:
    at = MONTHS.find(match["month"])
    year = int(match["year"])
    if len(match["year"]) == 2:
        now = datetime.now(UTC).year
        year += now // 100 * 100
        if year > now + 50:
            year -= 100
    hour, minute, second = map(int, match["time"].split(":"))
    try:
        if at % 3:
            return None
        moment = datetime(year, at // 3 + 1, int(match["day"]), hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp())
