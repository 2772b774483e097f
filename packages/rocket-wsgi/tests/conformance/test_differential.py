"""Rocket beside h11 and httptools: what Rocket accepts, they take for the same request.

They may refuse or misread it only for the reasons named here. They accept more than Rocket does,
which is no concern of these tests.
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
"""The absolute form replaces the first; the others do not reach an environ as header fields."""


@dataclass(frozen=True)
class Accepted:
    """A request that Rocket accepted: its bytes, those before it, and what it was taken for."""

    raw: bytes
    before: bytes
    seen: Seen
    target: str

    def contains(self, pattern: bytes) -> bool:
        return re.search(pattern, self.raw) is not None


Difference = Callable[[Accepted], bool]

_BAD_SPACE = rb"\r\n[0-9A-Fa-f]+(?:[ \t]+;|;[^\r]*?[ \t])"


def bad_white_space_in_a_chunk_extension(accepted: Accepted) -> bool:
    """RFC 9110, 5.6.3: a recipient must parse it and remove it. Both refuse it."""
    return accepted.contains(_BAD_SPACE)


def an_empty_line_before_the_request(accepted: Accepted) -> bool:
    """RFC 9112, 2.2: a server should ignore at least one. h11 ignores none."""
    return accepted.raw.startswith(b"\r\n")


def a_kept_connection_of_http_1_0(accepted: Accepted) -> bool:
    """RFC 9112, 9.3: persists if the client asks for it. h11 closes it always."""
    return b" HTTP/1.0\r\n" in accepted.before


def a_method_not_in_its_list(accepted: Accepted) -> bool:
    """RFC 9110, 9.1: methods are tokens. httptools has a list of those it knows."""
    return accepted.seen.method not in _METHODS


def a_later_minor_version(accepted: Accepted) -> bool:
    """RFC 9110, 2.5: to be read as the highest known. httptools refuses it."""
    return accepted.contains(rb" HTTP/1\.[2-9]\r\n")


def white_space_behind_the_coding(accepted: Accepted) -> bool:
    """RFC 9110, 5.5: no part of the value. httptools takes it for one."""
    return accepted.contains(rb"(?i)chunked[ \t]+\r\n")


_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH"}
)


@dataclass(frozen=True)
class Other:
    """A parser and the differences that are known."""

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
            white_space_behind_the_coding,
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
    """Compare each request that Rocket accepts; the differences that explain what was found."""
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
        break  # they have lost their place
    return used


@pytest.mark.parametrize("name", OTHERS)
def test_the_table(name: str) -> None:
    used: set[Difference] = set()
    for case in CASES.values():
        used |= compare(case.sent, OTHERS[name])
    assert used == set(OTHERS[name].differences)  # no difference is listed that is none


@pytest.mark.parametrize("name", OTHERS)
def test_generated_requests(name: str) -> None:
    @given(requests())
    def run(data: bytes) -> None:
        compare(data + data, OTHERS[name])

    run()


@pytest.mark.parametrize("name", OTHERS)
def test_damaged_requests(name: str) -> None:
    @settings(derandomize=True)  # a rare difference of theirs is no failure of a change of ours
    @given(mutated())
    def run(data: bytes) -> None:
        compare(data, OTHERS[name])

    run()
