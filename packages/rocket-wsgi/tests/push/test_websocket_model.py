"""Both sides of a websocket over a real connection, beside a plain model of what is promised."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from rocket_core import Timeouts
from rocket_core.testing import NARROW, PATIENCE, eventually
from rocket_wsgi import Group
from rocket_wsgi._websocket.session import SLOW
from rocket_wsgi._websocket.state import State
from websocket_peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    DEFLATE,
    FIN,
    PING,
    PONG,
    RSV1,
    TEXT,
    Notes,
    Peer,
    WebSocketServer,
    inflated,
    link,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rocket_wsgi import WebSocket
    from rocket_wsgi._push.websocket_protocol import WebSocketProtocol

READ_AHEAD = 8
PIECE = 20_000


class Scripted(Notes):
    """Does what the messages say: ``raise``, ``hold``, ``close``.

    Attributes:
        drains: the number of calls of `on_drained`, which come whenever the client has taken all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.drains = 0

    def on_drained(self, ws: WebSocket) -> None:
        self.drains += 1

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        super().on_message(ws, data)
        if data == "raise":
            raise LookupError("as the message says")
        if data == "close":
            ws.close(4002, "as the message says")


@cache
def server() -> WebSocketServer:
    """Start the server, which waits until a client has taken all after an end.

    After the usual time for that it closes, and if the client sends something then, what the client
    has not taken is lost. On a busy machine a few steps of the model take longer.
    """
    timeouts = Timeouts(linger=PATIENCE)
    running = WebSocketServer(None, read_ahead=READ_AHEAD, ping=None, threads=3, timeouts=timeouts)
    return running.__enter__()


@pytest.fixture(scope="module", autouse=True)
def _ends() -> Iterator[None]:
    yield
    server().__exit__(None, None, None)


class WebSocketModel(RuleBasedStateMachine):
    """One websocket.

    Attributes:
        sent: the messages that the client has sent completely, while none of its ends had begun.
        taken: the messages that `WebSocket.send` has taken.
        code: the code of the end that came first; None: the websocket is open.
        complete: whether the client gets all that was taken, and its messages are all handled.
        held: whether a callback waits.
        drains: the calls of ``on_drained`` before the first send that a call has yet to follow;
            None: there is none.
    """

    @initialize(compressed=st.booleans())
    def begin(self, compressed: bool) -> None:
        self.notes = Scripted()
        server().handler = self.notes
        fields = [DEFLATE] if compressed else []
        self.peer = Peer(server().address, *fields, receive_buffer=NARROW)
        assert self.peer.head.status == 101
        self.ws = self.notes.opened()
        self.protocol: WebSocketProtocol = link(self.ws)
        self.group = Group()
        self.group.add(self.ws)
        self.compressed = compressed
        self.sent: list[str | bytes] = []
        self.taken: list[str | bytes] = []
        self.got: list[str | bytes] = []
        self.pings: list[bytes] = []
        self.begun: bytes | None = None
        self.code: int | None = None
        self.complete = True
        self.held = False
        self.sends = True
        self.frames: list[int] = []
        self.waiting = 0
        self.drains: int | None = None

    # -- what the session says -----------------------------------------------------------------

    def state(self) -> State:
        with self.protocol._lock:
            return self.protocol._session.state

    def leaves_open(self) -> None:
        eventually(lambda: self.state() is not State.OPEN)

    # -- the client ----------------------------------------------------------------------------

    # Preconditions have names, because old versions of hypothesis parse the module for each look at
    # one that has none, which takes minutes on a busy machine.

    def is_held(self) -> bool:
        return self.held

    def client_is_there(self) -> bool:
        return self.sends

    def client_sends(self) -> bool:
        return self.sends and self.waiting < READ_AHEAD - 1

    def client_begins(self) -> bool:
        return self.client_sends() and self.begun is None

    def client_is_handled(self) -> bool:
        return self.client_begins() and not self.held

    def complete_message(self, message: str | bytes) -> None:
        """Wait until the websocket has the message that the client has just sent."""
        if self.code is not None:
            return
        self.sent.append(message)
        if self.held:
            self.waiting += 1
        else:
            assert self.notes.next() == ("message", message)

    @precondition(client_begins)
    @rule(data=st.one_of(st.text(max_size=300), st.binary(max_size=300)))
    def message(self, data: str | bytes) -> None:
        if data in {"raise", "hold", "close"}:
            return
        self.try_to_send(lambda: self.peer.send(data))
        self.complete_message(data)

    @precondition(client_sends)
    @rule(data=st.binary(max_size=200), last=st.booleans())
    def fragment(self, data: bytes, last: bool) -> None:
        first = BINARY if self.begun is None else CONTINUATION
        self.try_to_send(lambda: self.peer.send_frame(first | (FIN if last else 0), data))
        self.begun = (self.begun or b"") + data
        if last:
            message, self.begun = self.begun, None
            self.complete_message(message)

    @precondition(client_sends)
    @rule(data=st.binary(max_size=125))
    def ping(self, data: bytes) -> None:
        self.try_to_send(lambda: self.peer.send_frame(FIN | PING, data))
        self.pings.append(data)

    @precondition(client_sends)
    @rule()
    def pong(self) -> None:
        self.try_to_send(lambda: self.peer.send_frame(FIN | PONG, b"not asked for"))

    @precondition(client_is_handled)
    @rule()
    def hold(self) -> None:
        self.try_to_send(lambda: self.peer.send("hold"))
        if self.code is None:
            self.notes.wait_held()
            self.complete_message("hold")
            self.held = True

    @precondition(is_held)
    @rule()
    def go_on(self) -> None:
        self.held = False
        self.notes.go_on.release()
        for message in self.sent[len(self.sent) - self.waiting :]:
            if self.complete:
                assert self.notes.next() == ("message", message)
        self.waiting = 0

    @precondition(client_is_handled)
    @rule(how=st.sampled_from(["raise", "close"]))
    def end_by_the_handler(self, how: str) -> None:
        self.try_to_send(lambda: self.peer.send(how))
        if self.code is None:
            self.complete_message(how)
            self.ends(1011 if how == "raise" else 4002, complete=how == "close")
            self.leaves_open()

    @precondition(client_sends)
    @rule(code=st.sampled_from([None, 1000, 3999]))
    def client_closes(self, code: int | None) -> None:
        self.try_to_send(lambda: self.peer.send_close(code))
        self.sends = False
        self.ends(code or 1005)
        self.leaves_open()

    @precondition(client_sends)
    @rule(frame=st.sampled_from([b"\x81\x00", b"\xff\x80", b"\x89\xfe\x00\x7e"]))
    def client_errs(self, frame: bytes) -> None:
        self.try_to_send(lambda: self.peer.client.send(frame))
        self.sends = False
        self.ends(1002, complete=False)
        self.leaves_open()

    @precondition(client_is_there)
    @rule(how=st.sampled_from(["half_close", "reset"]))
    def client_goes(self, how: str) -> None:
        self.sends = False
        with suppress(OSError):
            getattr(self.peer.client, how)()
        self.ends(1006, complete=False)
        eventually(lambda: self.ws.closed)

    def try_to_send(self, send: Callable[[], object]) -> None:
        """Send what the server may not take any more, once an end has begun."""
        try:
            send()
        except OSError:
            assert self.code is not None

    def ends(self, code: int, *, complete: bool = True) -> None:
        if self.code is None:
            self.code = code
        self.complete = self.complete and complete

    # -- the application -----------------------------------------------------------------------

    @rule(data=st.one_of(st.text(max_size=300), st.binary(max_size=300)), group=st.booleans())
    def send(self, data: str | bytes, group: bool) -> None:
        if self.ws.pending >= SLOW:
            return
        drains = self.notes.drains
        taken = bool(self.group.send(data)) if group else self.ws.send(data)
        if taken:
            self.taken.append(data)
            self.waits_for_the_client(drains)
        if self.code is None:
            assert taken

    @rule()
    def send_much(self) -> None:
        for number in range(30):
            data = bytes([number]) * PIECE
            drains = self.notes.drains
            if self.ws.pending >= SLOW or not self.ws.send(data):
                return
            self.taken.append(data)
            self.waits_for_the_client(drains)

    def waits_for_the_client(self, drains: int) -> None:
        """Note that ``on_drained`` has to be called, if something waits after a send."""
        if self.drains is None and self.ws.pending:
            self.drains = drains

    @rule()
    def send_too_much(self) -> None:
        while not self.ws.closed:
            data = bytes(PIECE)
            if not self.ws.send(data):
                self.ends(1013, complete=False)
                return
            self.taken.append(data)

    @rule(code=st.sampled_from([1000, 4001]))
    def close(self, code: int) -> None:
        if not self.ws.closed:
            self.ends(code)
            if self.held:
                self.complete = False
        self.ws.close(code)

    @rule()
    def read(self) -> None:
        """Let the client take all that waits for it, while there is no end."""
        while self.code is None and len(self.got) < len(self.taken):
            assert self.read_frame()
        before = self.drains
        if before is not None and self.code is None and not self.held:
            eventually(lambda: self.notes.drains > before)
            self.drains = None

    # -- the end -------------------------------------------------------------------------------

    def read_frame(self) -> bool:
        try:
            frame = self.peer.read_frame()
        except OSError:
            return False
        if frame is None:
            return False
        first, payload = frame
        assert CLOSE not in self.frames, "nothing follows a close frame"
        opcode = first & 15
        if first & RSV1:
            assert self.compressed
            payload = inflated(payload)
        if opcode in {TEXT, BINARY}:
            self.got.append(payload.decode() if opcode == TEXT else payload)
        elif opcode == PONG:
            assert payload in self.pings
            del self.pings[: self.pings.index(payload) + 1]
        else:
            assert opcode == CLOSE
        self.frames.append(opcode)
        return True

    def teardown(self) -> None:
        if not hasattr(self, "protocol"):
            return
        if self.held:
            self.notes.go_on.release()
        if self.sends and self.code is None and self.begun is None:
            self.peer.send_close(1000)
            self.ends(1000)
        elif self.sends and self.code is None:
            self.peer.client.half_close()
            self.ends(1006, complete=False)
        elif self.sends:
            with suppress(OSError):
                self.peer.send_close(1000)
        with suppress(OSError):
            while self.read_frame():
                pass
        self.peer.close_socket()
        calls: list[tuple[Any, ...]] = []
        while not calls or calls[-1][0] != "close":
            calls.append(self.notes.next())
        assert calls[-1][1] == self.code
        handled = [call[1] for call in calls if call[0] == "message"]
        rest = self.sent[len(self.sent) - len(handled) :] if self.complete else handled
        assert handled == rest
        assert self.got == self.taken[: len(self.got)]
        if self.complete:
            assert self.got == self.taken
        eventually(lambda: not len(self.group))
        assert not self.ws.send("late")
        assert self.notes.rest() == []


TestWebSocketModel = WebSocketModel.TestCase
TestWebSocketModel.settings = settings(max_examples=30, stateful_step_count=25)
