"""The rules that hold for any bytes from a client."""

from __future__ import annotations

from conformance.wire import Outcome
from rocket_core import State

REFUSALS = frozenset({400, 411, 413, 414, 417, 431, 501, 505})
"""The status codes of refusals. None of them stands for a failure of the server."""


def check(outcome: Outcome) -> None:
    """Raise `AssertionError` if an outcome breaks a rule."""
    statuses = outcome.statuses
    assert all(status == 200 for status in statuses[:-1]), "an answer follows an error"
    last = statuses[-1] if statuses else None
    assert last in {None, 200, *REFUSALS}, "an unexpected status"
    refused = last in REFUSALS
    assert len(statuses) - refused == len(outcome.seen), "answers and requests differ in number"
    if refused:
        assert outcome.state is State.CLOSED, "a connection is kept after an error"
        assert outcome.answers.count(b"Connection: close\r\n") >= 1
    for request in outcome.seen:
        assert request.path.startswith("/") or request.path == "*"
        assert request.query.isascii()
        assert "HTTP_TRANSFER_ENCODING" not in request.fields
        assert "HTTP_CONTENT_LENGTH" not in request.fields
        for key, value in request.fields.items():
            assert key.isascii()
            assert not set(value) & {"\r", "\n", "\0"}, "a line end in a field"
