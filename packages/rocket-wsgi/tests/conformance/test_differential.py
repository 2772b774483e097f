"""A request that Rocket accepts means the same to h11 and httptools.

They may refuse or misread it only for the reasons named here. They accept more requests than Rocket
does, which these tests do not compare.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings

from conformance.case import Seen
from conformance.generated import mutated, requests
from conformance.others import Parsed, with_h11, with_httptools
from conformance.table import CASES
from conformance.wire import exchange

NOT_COMPARED = frozenset({"host", "content-length", "transfer-encoding", "proxy"})
"""Fields that the absolute form replaces (Host), or that are no header fields in an environ."""


@dataclass(frozen=True)
class Accepted:
    """A request that Rocket accepted: its bytes, the bytes before it, and its meaning to Rocket."""

    raw: bytes
    before: bytes
    seen: Seen
    target: str

    def contains(self, pattern: bytes) -> bool:
        return re.search(pattern, self.raw) is not None


Difference = Callable[[Accepted], bool]

_BAD_SPACE = rb"\r\n[0-9A-Fa-f]+(?:[ \t]+;|;[^\r]*?[ \t])"


def bad_white_space_in_a_chunk_extension(accepted: Accepted) -> bool:
    """RFC 9110, 5.6.3: a recipient must parse and remove it. Both parsers refuse it."""
    return accepted.contains(_BAD_SPACE)


def an_empty_line_before_the_request(accepted: Accepted) -> bool:
    """RFC 9112, 2.2: a server should ignore at least one. h11 refuses it."""
    return accepted.raw.startswith(b"\r\n")


def a_kept_connection_of_http_1_0(accepted: Accepted) -> bool:
    """RFC 9112, 9.3: the connection persists on request. h11 always closes it."""
    return b" HTTP/1.0\r\n" in accepted.before


def a_method_not_in_its_list(accepted: Accepted) -> bool:
    """RFC 9110, 9.1: methods are tokens. httptools refuses methods that are not in its list."""
    return accepted.seen.method not in _METHODS


def a_later_minor_version(accepted: Accepted) -> bool:
    """RFC 9110, 2.5: it is processed like the highest known version. httptools refuses it."""
    return accepted.contains(rb" HTTP/1\.[2-9]\r\n")


def white_space_after_the_coding(accepted: Accepted) -> bool:
    """RFC 9110, 5.5: it is not part of the value. httptools includes it."""
    return accepted.contains(rb"(?i)chunked[ \t]+\r\n")


_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH"}
)


@dataclass(frozen=True)
class Other:
    """A parser, and its known differences from Rocket."""

    parse: Callable[[bytes], list[Parsed]]
    differences: tuple[Difference, ...]


OTHERS = {
    "h11": Other(
        with_h11,
        (
            bad_white_space_in_a_chunk_extension,
            an_empty_line_before_the_request,
            a_kept_connection_of_http_1_0,
        ),
    ),
    "httptools": Other(
        with_httptools,
        (
            bad_white_space_in_a_chunk_extension,
            a_method_not_in_its_list,
            a_later_minor_version,
            white_space_after_the_coding,
        ),
    ),
}


def ours(accepted: Accepted) -> tuple[str, str, dict[str, str], bytes]:
    seen = accepted.seen
    fields = {key: value for key, value in seen.fields.items() if key != "HTTP_HOST"}
    return seen.method, accepted.target, fields, seen.body


def theirs(parsed: Parsed) -> tuple[str, str, dict[str, str], bytes]:
    fields: dict[str, str] = {}
    for name, value in parsed.fields:
        if "_" in name or name in NOT_COMPARED:
            continue
        key = name.upper().replace("-", "_")
        if key != "CONTENT_TYPE":
            key = "HTTP_" + key
        joint = "; " if name == "cookie" else ", "
        fields[key] = fields[key] + joint + value if key in fields else value
    return parsed.method, parsed.target, fields, parsed.body


def compare(data: bytes, other: Other) -> set[Difference]:
    """Compare each request that Rocket accepts. Return the differences that explain the results."""
    outcome = exchange([data])
    found = other.parse(data)
    used: set[Difference] = set()
    start = 0
    for index, seen in enumerate(outcome.seen):
        end = outcome.ends[index]
        accepted = Accepted(data[start:end], data[:start], seen, outcome.targets[index])
        start = end
        if index < len(found) and theirs(found[index]) == ours(accepted):
            continue
        reasons = {each for each in other.differences if each(accepted)}
        assert reasons, (data, ours(accepted), found[index:])
        used |= reasons
        break  # the other parser reads the rest from another position
    return used


@pytest.mark.parametrize("name", OTHERS)
def test_the_table(name: str) -> None:
    used: set[Difference] = set()
    for case in CASES.values():
        used |= compare(case.sent, OTHERS[name])
    assert used == set(OTHERS[name].differences)  # each listed difference occurs


@pytest.mark.parametrize("name", OTHERS)
def test_generated_requests(name: str) -> None:
    @given(requests())
    def run(data: bytes) -> None:
        compare(data + data, OTHERS[name])

    run()


@pytest.mark.parametrize("name", OTHERS)
def test_damaged_requests(name: str) -> None:
    @settings(derandomize=True)  # a rare, unlisted difference must not fail an unrelated change
    @given(mutated())
    def run(data: bytes) -> None:
        compare(data, OTHERS[name])

    run()
