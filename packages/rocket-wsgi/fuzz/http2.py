"""Fuzz HTTP/2 sessions with atheris: `nox -s fuzz`, or `nox -s fuzz -- SECONDS`.

Any bytes are sent to a session whole, and again in pieces whose lengths depend on the bytes. The
session must neither raise an exception nor exceed what it may hold, must send whole frames, and
must come to the same end both times. Most inputs are sent behind a preface that is in order, so
that the fuzzer finds its way to the frames. An input that breaks a rule is written to the working
directory as crash-*.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rocket_wsgi._http2"]):
    import rocket_wsgi._http2.session  # noqa: F401 - imported here first, so that it is instrumented

TESTS = Path(__file__).parents[1] / "tests"
sys.path += [str(TESTS), str(TESTS / "http2")]

from peer import Peer
from raw import connection, heads, streams
from raw.case import HELLO
from rules import check_session, outcome

from conformance.cuts import between, places

_LONGEST = 4096


def one(data: bytes) -> None:
    """Check the rules for one input, whose first byte says whether the preface precedes it."""
    start = HELLO if data[:1] != b"P" else b""
    results = []
    for pieces in ([start + data], [start, *between(data, places(data))]):
        peer = Peer()
        peer.receive(pieces)
        check_session(peer)
        results.append(outcome(peer))
        peer.answer()
        peer.flush()
        check_session(peer)
    if results[0] != results[1]:
        raise AssertionError(f"cuts change the result: {results}")


def seed(directory: Path) -> None:
    """Write the cases of the tables as the initial inputs of the fuzzer."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate([*connection.CASES, *streams.CASES, *heads.CASES]):
        sent = b"".join(case.sent)
        if len(sent) <= _LONGEST:
            (directory / f"http2-{number}").write_bytes(sent)


if __name__ == "__main__":
    seed(Path(sys.argv[1]))
    atheris.Setup([*sys.argv, f"-max_len={_LONGEST}"], one)
    atheris.Fuzz()
