"""What holds for a session whatever a client sends."""

from __future__ import annotations

from peer import Peer

from rocket_wsgi._http2.frames import HEAD_SIZE, MAX_FRAME
from rocket_wsgi._http2.limits import MAX_BLOCK, MAX_CONTROL, MAX_STREAMS, MAX_TABLE, STREAM_WINDOW
from rocket_wsgi._http2.session_state import SessionState


def check_session(peer: Peer) -> None:
    """Check what a session holds, and what it has sent: the peer reads whole frames only."""
    session = peer.session
    assert (session.failure is None) <= (session.state is not SessionState.CLOSED)
    assert session.streams <= MAX_STREAMS
    assert 0 <= session.held <= MAX_STREAMS * STREAM_WINDOW
    assert session.held == sum(stream.held for stream in session._streams.values())
    assert session.pending == sum(stream.pending for stream in session._streams.values())
    assert len(session._rest) < HEAD_SIZE + MAX_FRAME
    assert sum(map(len, session._block._parts)) <= MAX_BLOCK
    decoder = session._decoder
    assert decoder._size == sum(field.size for field in decoder._table) <= MAX_TABLE
    assert session._sender._control <= MAX_CONTROL + MAX_FRAME
    for number, stream in session._streams.items():
        assert number & 1
        assert stream.number == number
        assert 0 <= stream.window_in <= STREAM_WINDOW
        assert stream.window_out <= 0x7FFFFFFF
    assert session.deadline > 0


def outcome(peer: Peer) -> tuple[SessionState, object, list[str]]:
    """Return how a session has ended, and the events."""
    return peer.session.state, peer.session.failure, peer.lines
