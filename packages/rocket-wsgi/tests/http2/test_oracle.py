"""Any interleaving of a client (h2) and an application: both sides agree on what has happened."""

from __future__ import annotations

from collections import defaultdict

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    InformationalResponseReceived,
    ResponseReceived,
    SettingsAcknowledged,
    StreamEnded,
    TrailersReceived,
)
from h2.events import StreamReset as ClientReset
from h2.exceptions import FlowControlError
from h2.settings import SettingCodes
from h2.windows import WindowManager
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from peer import TIMEOUTS

from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.events import BodyArrived, RequestArrived, StreamReset, TrailersArrived
from rocket_wsgi._http2.hpack_encoder import encode_fields, encode_response
from rocket_wsgi._http2.session import Session
from rocket_wsgi._http2.session_state import SessionState

SIZES = st.sampled_from([0, 1, 10, 1000, 16_384, 16_385, 40_000, 70_000])
PICK = st.integers(0, 1000)
PATHS = st.sampled_from(["/", "/a", "/b?c=d", "/index.html", "/" + "x" * 150])
FIELDS = st.lists(
    st.tuples(
        st.sampled_from(["accept", "x-a", "cookie", "user-agent"]),
        st.sampled_from(["1", "a=b", "text/html", "v" * 50]),
    ),
    max_size=4,
)


class Requested:
    """A request as the client has sent it."""

    def __init__(self, path: str, fields: list[tuple[str, str]]) -> None:
        self.path = path
        self.fields = fields
        self.body = b""
        self.ended = False
        self.trailers: list[tuple[str, str]] = []
        self.reset = False


class Responded:
    """A response as the application has sent it, or as the client has got it."""

    def __init__(self) -> None:
        self.status = ""
        self.body = b""
        self.ended = False
        self.trailers: list[tuple[str, str]] = []
        self.informed = 0


class ClientWindow(WindowManager):
    """A window that takes an empty frame while it is below zero, as RFC 9113, 6.9.1 allows.

    The library's own takes that for a fault of the server.
    """

    def window_consumed(self, size: int) -> None:
        if size > 0:
            super().window_consumed(size)


class Exchanges(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.client = H2Connection(H2Configuration(client_side=True))
        self.now = 0.0
        self.session = Session(self.now, TIMEOUTS)
        self.up = b""
        self.down = b""
        self.requested: dict[int, Requested] = {}
        self.got: dict[int, Requested] = {}
        self.responded: dict[int, Responded] = defaultdict(Responded)
        self.answers: dict[int, Responded] = defaultdict(Responded)
        self.window, self.table = 65_535, 4096
        self.greeted = False
        self.released: set[int] = set()
        self.reset: set[int] = set()
        self.uncredited: dict[int, int] = defaultdict(int)
        self.unread: dict[int, int] = defaultdict(int)

    @initialize()
    def begin(self) -> None:
        self.client.initiate_connection()

    # Helpers.

    def live(self) -> list[int]:
        """Return the streams on which the client may send."""
        return [
            stream
            for stream, request in self.requested.items()
            if not request.ended and not request.reset and stream not in self.reset
        ]

    # Preconditions have names, because old versions of hypothesis parse the module for each look at
    # one that has none, which takes minutes on a busy machine.

    def client_may_send(self) -> bool:
        return bool(self.live())

    def application_may_send(self) -> bool:
        return bool(self.at_work())

    def at_work(self) -> list[int]:
        """Return the streams whose application is at work."""
        return [stream for stream in self.got if stream not in self.released]

    def change_settings(self, window: int, table: int) -> None:
        """Send both settings: with each ACK, the library takes a change of every one as made.

        It does so with the ACK of the first frame, too, so that there is no change before that.
        """
        if not self.greeted:
            return
        self.window, self.table = window, table
        self.client.update_settings(
            {SettingCodes.INITIAL_WINDOW_SIZE: window, SettingCodes.HEADER_TABLE_SIZE: table}
        )
        self.write(self.client.data_to_send())

    def write(self, data: bytes) -> None:
        self.up += data

    def upload(self, count: int) -> None:
        """Let the server have so many bytes."""
        data, self.up = self.up[:count], self.up[count:]
        for event in self.session.receive(data, self.now):
            stream = event.stream
            if isinstance(event, RequestArrived):
                assert event.head.status == 0
                got = self.got[stream] = Requested(event.head.path, [])
                got.fields = [(field.name, field.value) for field in event.head.fields]
                got.ended = event.ended
                self.responded[stream] = Responded()
            elif isinstance(event, BodyArrived):
                self.got[stream].body += event.data
                self.got[stream].ended = event.ended
                self.uncredited[stream] += len(event.data)
            elif isinstance(event, TrailersArrived):
                self.got[stream].trailers = [(each.name, each.value) for each in event.fields]
                self.got[stream].ended = True
            else:
                assert isinstance(event, StreamReset)
                assert self.requested[stream].reset
                self.got[stream].reset = True

    def download(self, count: int) -> None:
        """Let the client have so many bytes."""
        data, self.down = self.down[:count], self.down[count:]
        for event in self.client.receive_data(data):  # raises if it is not what it may be
            if isinstance(event, InformationalResponseReceived):
                self.answers[event.stream_id].informed += 1
            elif isinstance(event, ResponseReceived):
                status = dict(event.headers)[b":status"]
                self.answers[event.stream_id].status = status.decode()
            elif isinstance(event, DataReceived):
                self.answers[event.stream_id].body += event.data
                self.unread[event.stream_id] += event.flow_controlled_length
            elif isinstance(event, TrailersReceived):
                trailers = [(name.decode(), value.decode()) for name, value in event.headers]
                self.answers[event.stream_id].trailers = trailers
            elif isinstance(event, StreamEnded):
                self.answers[event.stream_id].ended = True
            elif isinstance(event, SettingsAcknowledged):
                self.greeted = True
            elif isinstance(event, ClientReset):
                self.reset.add(event.stream_id)
        self.write(self.client.data_to_send())

    def settle(self) -> None:
        """Carry everything that is on its way."""
        while True:
            self.write(self.client.data_to_send())
            self.upload(len(self.up))
            self.down += self.session.take(1 << 30, self.now)
            if not self.down and not self.up:
                return
            self.download(len(self.down))

    # The client.

    @rule(path=PATHS, fields=FIELDS, end=st.booleans())
    def request(self, path: str, fields: list[tuple[str, str]], end: bool) -> None:
        if self.client.open_outbound_streams >= 50 or self.session.streams >= 90:
            return
        stream = self.client.get_next_available_stream_id()
        head = [(":method", "POST"), (":scheme", "https"), (":authority", "h"), (":path", path)]
        self.client.send_headers(stream, [*head, *fields], end_stream=end)
        window = self.client.local_settings.initial_window_size
        self.client.streams[stream]._inbound_window_manager = ClientWindow(window)
        self.requested[stream] = Requested(path, fields)
        self.requested[stream].ended = end
        self.write(self.client.data_to_send())

    @precondition(client_may_send)
    @rule(pick=PICK, size=SIZES, end=st.booleans(), padding=st.sampled_from([None, 0, 100]))
    def send_body(self, pick: int, size: int, end: bool, padding: int | None) -> None:
        live = self.live()
        stream = live[pick % len(live)]
        data = bytes(pick % 251 for _ in range(min(size, 16_000)))
        try:
            self.client.send_data(stream, data, end_stream=end, pad_length=padding)
        except FlowControlError:
            return
        self.requested[stream].body += data
        self.requested[stream].ended = end
        self.write(self.client.data_to_send())

    @precondition(client_may_send)
    @rule(pick=PICK)
    def send_trailers(self, pick: int) -> None:
        live = self.live()
        stream = live[pick % len(live)]
        self.client.send_headers(stream, [("x-end", "yes")], end_stream=True)
        self.requested[stream].ended = True
        self.requested[stream].trailers = [("x-end", "yes")]
        self.write(self.client.data_to_send())

    @rule(pick=PICK)
    def reset_stream(self, pick: int) -> None:
        """Reset a stream. The library takes no interim response after that, though one may come."""
        streams = [
            stream
            for stream, request in self.requested.items()
            if not request.reset
            and stream not in self.reset
            and not (request.ended and self.answers[stream].ended)
            and self.answers[stream].informed == self.responded[stream].informed
        ]
        if streams:
            stream = streams[pick % len(streams)]
            self.client.reset_stream(stream, ErrorCodes.CANCEL)
            self.requested[stream].reset = True
            self.write(self.client.data_to_send())

    @rule()
    def ping(self) -> None:
        self.client.ping(b"12345678")
        self.write(self.client.data_to_send())

    @rule(window=st.sampled_from([0, 1, 100, 65_535, 200_000]))
    def set_window(self, window: int) -> None:
        self.change_settings(window, self.table)

    @rule(size=st.sampled_from([0, 100, 4096, 10_000]))
    def set_table(self, size: int) -> None:
        self.change_settings(self.window, size)

    @rule(pick=PICK)
    def read(self, pick: int) -> None:
        """Give credit for what the client has got, as far as its streams are open."""
        streams = [stream for stream, count in self.unread.items() if count]
        if streams:
            stream = streams[pick % len(streams)]
            count, self.unread[stream] = self.unread[stream], 0
            self.client.acknowledge_received_data(count, stream)
            self.write(self.client.data_to_send())

    # The application.

    @precondition(application_may_send)
    @rule(pick=PICK, size=SIZES, end=st.booleans(), inform=st.booleans())
    def respond(self, pick: int, size: int, end: bool, inform: bool) -> None:
        work = self.at_work()
        stream = work[pick % len(work)]
        response = self.responded[stream]
        body = bytes(pick % 249 for _ in range(size))
        if response.status:
            if not response.ended and self.session.send(stream, body, self.now):
                response.body += body
            return
        inform = inform and not self.requested[stream].reset
        if inform and self.session.inform(stream, encode_response(103, [("link", "</a>")])):
            response.informed += 1
        block = encode_response(200, [("Content-Type", "text/plain")])
        if self.session.respond(stream, block, body, self.now, end=end):
            response.status = "200"
            response.body = body
            response.ended = end

    @precondition(application_may_send)
    @rule(pick=PICK, trailers=st.booleans())
    def finish(self, pick: int, trailers: bool) -> None:
        work = self.at_work()
        stream = work[pick % len(work)]
        response = self.responded[stream]
        block = encode_fields([("X-Sum", "1")]) if trailers else b""
        if not response.ended and self.session.finish(stream, block):
            response.ended = True
            response.trailers = [("x-sum", "1")] if trailers else []

    @precondition(application_may_send)
    @rule(pick=PICK)
    def release(self, pick: int) -> None:
        work = self.at_work()
        stream = work[pick % len(work)]
        self.session.release(stream, self.now)
        self.released.add(stream)

    @rule(pick=PICK)
    def credit(self, pick: int) -> None:
        streams = [stream for stream, count in self.uncredited.items() if count]
        if streams:
            stream = streams[pick % len(streams)]
            self.session.credit(stream, self.uncredited.pop(stream), self.now)

    # The network.

    @rule(count=st.integers(1, 70_000))
    def carry_up(self, count: int) -> None:
        self.upload(count)

    @rule(count=st.integers(1, 70_000), limit=st.sampled_from([1, 1000, 16_384, 100_000]))
    def carry_down(self, count: int, limit: int) -> None:
        self.down += self.session.take(limit, self.now)
        self.download(count)

    @rule()
    def carry_all(self) -> None:
        self.settle()
        self.compare()

    # What must be.

    @invariant()
    def no_side_fails(self) -> None:
        assert self.session.state is not SessionState.CLOSED, self.session.reason
        assert self.session.failure is None
        assert self.session.pending >= 0
        assert self.session.held >= 0

    def compare(self) -> None:
        """Compare both sides, when nothing is on its way."""
        assert self.got.keys() == self.requested.keys()
        for stream, got in self.got.items():
            sent = self.requested[stream]
            assert got.path == sent.path
            crumbs = [value for name, value in sent.fields if name == "cookie"]
            expected = [each for each in sent.fields if each[0] != "cookie"]
            if crumbs:
                expected.append(("cookie", "; ".join(crumbs)))
            assert got.fields == expected
            answer = self.answers[stream]
            response = self.responded[stream]
            if sent.reset or stream in self.reset or stream in self.released:
                # What follows a release is not for the application, which may have left a response
                # that is reset once the client has taken what there is of it.
                assert response.body.startswith(answer.body)
                continue
            assert got.body == sent.body
            assert got.ended == sent.ended
            assert got.trailers == sent.trailers
            assert (answer.status, answer.informed) == (response.status, response.informed)
            if response.ended and self.session.stream_pending(stream) == 0:
                assert answer.ended
                assert answer.body == response.body
                assert answer.trailers == response.trailers
            else:
                assert response.body.startswith(answer.body)
                assert not answer.ended
            self.compare_windows(stream)

    def compare_windows(self, stream: int) -> None:
        ours = self.session._streams.get(stream)
        if ours is None or self.requested[stream].ended or self.answers[stream].ended:
            return
        assert self.client.streams[stream].outbound_flow_control_window == ours.window_in
        inbound = self.client.streams[stream]._inbound_window_manager
        assert inbound.current_window_size == ours.window_out

    def teardown(self) -> None:
        """All that was sent arrives, when both sides have done what they can."""
        self.settle()
        self.change_settings(1 << 20, self.table)
        self.client.increment_flow_control_window(1 << 24)
        for stream in self.live():
            self.client.end_stream(stream)
            self.requested[stream].ended = True
        self.settle()
        for stream in self.at_work():
            response = self.responded[stream]
            if not response.status:
                block = encode_response(204, [])
                if self.session.respond(stream, block, b"", self.now, end=True):
                    response.status = "204"
                    response.ended = True
            elif not response.ended and self.session.finish(stream):
                response.ended = True
        self.settle()
        self.compare()
        for stream in self.at_work():
            self.session.release(stream, self.now)
        self.settle()
        assert self.session.streams == 0
        assert self.session.held == 0
        assert self.session.pending == 0
        assert not self.session.waits
        self.session.fail(ErrorCode.NO_ERROR, "")
        assert self.session.take(100, self.now)


Exchanges.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=60)
TestExchanges = Exchanges.TestCase
