"""Fuzz the values of header fields with atheris: `nox -s fuzz`.

The first byte chooses who reads the rest: ranges of a file, `Forwarded`, X-Forwarded-For, Host or
the target of a request. What comes out must be as the reader promises, and a value that is refused
must be refused by the error that the reader documents.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rocket_wsgi._environ", "rocket_wsgi._static"]):
    from rocket_wsgi._environ.authority import split_host, valid_host
    from rocket_wsgi._environ.forwarded import parse_forwarded
    from rocket_wsgi._environ.nodes import parse_loose_node, parse_node
    from rocket_wsgi._environ.target import parse_target
    from rocket_wsgi._static.ranges import MAX_RANGES, parse_ranges

from rocket_core.http1 import HeadError

_SIZE = 1000

_SEEDS = {
    "R": ["bytes=0-499", "bytes=-500", "bytes=500-", "bytes=0-0,2-3, 7-9", "lines=1-2"],
    "F": ['for=192.0.2.1;proto=https, for="[2001:db8::1]:4711";by=_hidden', "for=unknown"],
    "N": ["192.0.2.1", "[2001:db8::1]:80", "_hidden", "unknown:4711"],
    "H": ["example.org:8000", "[::1]", "b%20c", ""],
    "T": ["/a/b%2Fc?d=e", "http://user@example.org:80/a?b", "*", "/\u00e4"],
}


def ranges(text: str) -> None:
    """Check the ranges of a file."""
    found = parse_ranges(text, _SIZE)
    if found is None:
        return
    covered = 0
    for each in found:
        if each.offset < 0 or each.length < 1 or each.offset + each.length > _SIZE:
            raise AssertionError(f"{each} of {_SIZE} bytes")
        covered += each.length
    if covered > _SIZE or len(found) > MAX_RANGES:
        raise AssertionError(f"{len(found)} ranges have {covered} of {_SIZE} bytes")


def forwarded(text: str) -> None:
    """Check the elements of a `Forwarded` field, and the nodes in them."""
    for element in parse_forwarded(text):
        if not element or any(name != name.lower() for name in element):
            raise AssertionError(f"{element}")
        for name in ("for", "by"):
            if name in element:
                parse_node(element[name])


def node(text: str) -> None:
    """Check a node of X-Forwarded-For: whatever it is, there is a text for it."""
    found = parse_loose_node(text)
    if parse_loose_node(text) != found:
        raise AssertionError(f"{text!r} is {found} once")


def host(text: str) -> None:
    """Check that a valid Host has no white space, and is split into its parts."""
    if not valid_host(text):
        return
    name, port = split_host(text)
    if any(each.isspace() for each in text) or not (port or "0").isdigit():
        raise AssertionError(f"{text!r} is {name!r} and {port!r}")


def target(text: str) -> None:
    """Check that a target has a path, and that no part of it could end a line.

    An empty one, and one with spaces, is no part of a request line, nor a value of ``:path``.
    """
    if not text or any(each <= " " or each == "\x7f" for each in text):
        return
    path, query, authority = parse_target("GET", text)
    if not path.startswith("/") or any(end in query + (authority or "") for end in "\r\n"):
        raise AssertionError(f"{path!r}, {query!r}, {authority!r}")


READERS = {"R": ranges, "F": forwarded, "N": node, "H": host, "T": target}


def one(data: bytes) -> None:
    """Check one input. `HeadError` is how the readers refuse, and `ValueError` for nodes."""
    text = data.decode("latin-1")
    read = READERS.get(text[:1], forwarded)
    try:
        read(text[1:])
    except HeadError as error:
        if not 400 <= error.status < 600:
            raise AssertionError(f"{error} has status {error.status}") from error


def seed(directory: Path) -> None:
    """Write values that are in order as the initial inputs of the fuzzer."""
    directory.mkdir(parents=True, exist_ok=True)
    for reader, values in _SEEDS.items():
        for number, value in enumerate(values):
            (directory / f"{reader}-{number}").write_bytes((reader + value).encode("latin-1"))


if __name__ == "__main__":
    seed(Path(sys.argv[1]))
    atheris.Setup([*sys.argv, "-max_len=512"], one)
    atheris.Fuzz()
