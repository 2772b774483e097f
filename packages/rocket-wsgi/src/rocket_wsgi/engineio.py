# ruff: noqa: SLF001 - what engineio keeps to itself is checked by `install`
"""Engine.IO without a thread for each client: for Flask-SocketIO and python-socketio.

::

    import rocket_wsgi.engineio

    rocket_wsgi.engineio.install()
    socketio = SocketIO(app, async_mode="threading")

To be used where python-engineio is installed: ``rocket-wsgi[engineio]``.

Theory of operation
===================

In its mode "threading", engineio gives each client up to four threads: one that waits in a long
poll or for messages of a websocket, one that waits for packets to send, one that sleeps until the
next ping, and one for each handler that runs. `install` replaces the class of which its server
makes a socket for each client. A `ParkedSocket` keeps the rules of engineio, such as the queue of
packets and the states, and waits without a thread:

- *A long poll* is answered at once if packets wait. Otherwise it is a deferred answer.
- *A websocket* is one of Rocket's. Its handler is a `_Carrier`, which decodes packets.
- *Pings* are sent by one thread for all clients (`_Pings`).
- *Handlers* are called by the thread of the pool that has received the packet. So those of one
  client run in order.

Packets pass through the queue in any case, from which only `ParkedSocket._deliver` and a poll take
them. Both hold ``_lock`` of the socket while they take packets and pass them on, which never waits:
otherwise two threads could exchange the order of packets.

A request from a server without these offers is served in engineio's own way, with its threads.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from enum import Enum
from queue import Empty
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qs

import engineio.packet
import engineio.server
import engineio.socket
from engineio.exceptions import EngineIOError, SocketIsClosedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from wsgiref.types import StartResponse

    from rocket_wsgi._push.deferred_answer import DeferredAnswer
    from rocket_wsgi._push.websocket import WebSocket
    from rocket_wsgi._types import Environ

_log = logging.getLogger("rocket_wsgi")

_Packet: Final = engineio.packet.Packet

_NEEDED: Final = {
    engineio.server.Server: (
        *("_bad_request", "_cors_headers", "_handle_connect", "_ok", "create_event"),
        *("handle_request", "reason", "start_background_task"),
    ),
    engineio.socket.Socket: (
        *("_send_ping", "_upgrade_websocket", "check_ping_timeout", "close", "handle_get_request"),
        *("handle_post_request", "receive", "schedule_ping", "send"),
    ),
}
"""What this module uses of engineio, beside what is documented."""

_HANDLERS: Final = frozenset({"run_handler", "_handle_event_internal"})
"""The functions by which engineio and socketio call a handler in a thread of its own."""

_GOING_AWAY: Final = 1001
_PROTOCOL_ERROR: Final = 1002


def install() -> None:
    """Have engineio hold no thread while nothing happens. To be called before the server is made.

    It changes the servers of this process whose ``async_mode`` is ``"threading"``. Another call
    changes nothing.

    Raises `RuntimeError` if the installed version of python-engineio lacks what is needed.
    """
    lacking = [
        f"{owner.__name__}.{name}"
        for owner, names in _NEEDED.items()
        for name in names
        if not hasattr(owner, name)
    ]
    if lacking or engineio.server.socket is not engineio.socket:
        raise RuntimeError(
            f"the installed python-engineio lacks {', '.join(lacking) or 'engineio.server.socket'}:"
            " install a version that rocket-wsgi[engineio] names"
        )
    engineio.socket.Socket = ParkedSocket
    engineio.server.Server.start_background_task = _start_background_task
    engineio.server.Server.create_event = _create_event


class _Here(threading.local):
    """What the present thread does."""

    socket: ParkedSocket | None = None
    """The socket of the client whose packet this thread of the pool handles."""
    asked = False
    """Whether the handler has sent something to its own client since it has made an event."""


_here: Final = _Here()

_start_thread: Final = engineio.server.Server.start_background_task
_make_event: Final = engineio.server.Server.create_event


def _start_background_task(
    server: Any, target: Callable[..., object], *arguments: Any, **keywords: Any
) -> Any:
    """Call a handler at once if a thread of the pool receives; start a thread for all else."""
    if _here.socket is not None and getattr(target, "__name__", "") in _HANDLERS:
        package = (getattr(target, "__module__", None) or "").partition(".")[0]
        if package in {"engineio", "socketio"}:
            return target(*arguments, **keywords)
    return _start_thread(server, target, *arguments, **keywords)


def _create_event(server: Any, *arguments: Any, **keywords: Any) -> Any:
    """Make an event, as ``call()`` does, which waits for it when it has asked the client."""
    if _here.socket is None:
        return _make_event(server, *arguments, **keywords)
    _here.asked = False
    return _Answered()


class _Answered(threading.Event):
    """An event for which a handler may want to wait."""

    def wait(self, timeout: float | None = None) -> bool:
        """Raise `RuntimeError` instead of waiting for what cannot happen."""
        if _here.socket is not None and _here.asked:
            raise RuntimeError(
                "a handler cannot wait for the answer of its own client, which is handled after it:"
                " use emit() with a callback"
            )
        return super().wait(timeout)


@contextmanager
def _receiving(socket: ParkedSocket) -> Iterator[None]:
    """Have the handlers of a client called by the present thread."""
    _here.socket = socket
    try:
        yield
    finally:
        _here.socket = None


class _Pings:
    """Sends pings when they are due, on a thread that the first of them starts.

    ``_changed`` guards all attributes.
    """

    def __init__(self) -> None:
        self._changed: Final = threading.Condition()
        self._due: list[tuple[float, int, weakref.ref[ParkedSocket]]] = []
        """A heap: the time, a number that no other entry has, and the client's socket."""
        self._numbers: Final = itertools.count()
        self._thread: threading.Thread | None = None

    def schedule(self, seconds: float, socket: ParkedSocket) -> None:
        """Have a ping sent in so many seconds, unless ``socket`` is forgotten by then."""
        with self._changed:
            entry = time.monotonic() + seconds, next(self._numbers), weakref.ref(socket)
            heapq.heappush(self._due, entry)
            if self._thread is None or not self._thread.is_alive():  # as in a forked process
                self._thread = threading.Thread(
                    target=self._run, name="rocket-engineio-pings", daemon=True
                )
                self._thread.start()
            elif self._due[0] is entry:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            self._ping(self._next())

    def _next(self) -> weakref.ref[ParkedSocket]:
        """Wait until a ping is due."""
        with self._changed:
            while not self._due or (wait := self._due[0][0] - time.monotonic()) > 0:
                self._changed.wait(wait if self._due else None)
            return heapq.heappop(self._due)[2]

    @staticmethod
    def _ping(reference: weakref.ref[ParkedSocket]) -> None:
        socket = reference()
        if socket is not None:
            try:
                socket.ping()
            except Exception:  # noqa: BLE001 - the pings of other clients must go on
                _log.exception("a ping of Engine.IO failed")


_pings: Final = _Pings()


class _Poll(NamedTuple):
    """A long poll that waits for packets.

    Attributes:
        later: the answer that is deferred.
        jsonp: the index of JSONP, or None.
        encodings: the content codings that the client takes.
    """

    later: DeferredAnswer
    jsonp: int | None
    encodings: list[str]

    def answer(self, server: Any, packets: list[Any]) -> bool:
        """Answer as ``server`` does; return False if it is too late."""
        answer = server._ok(packets, jsonp_index=self.jsonp)
        fields, body = answer["headers"], answer["response"]
        if server.http_compression and len(body) >= server.compression_threshold:
            coding = next((each for each in self.encodings if each in _compressions(server)), None)
            if coding is not None:
                body = getattr(server, f"_{coding}")(body)
                fields = [*fields, ("Content-Encoding", coding)]
        return self.later.answer(answer["status"], fields, body)


def _compressions(server: Any) -> list[str]:
    methods: list[str] = server.compression_methods
    return methods


class _Stage(Enum):
    """What is expected of the client on a websocket."""

    PROBE = "the probe of an upgrade"
    UPGRADE = "the packet that completes an upgrade"
    OPEN = "any packet"

    __hash__ = object.__hash__


class _Carrier:
    """The handler of a client's websocket. Its methods are called one at a time."""

    def __init__(self, socket: ParkedSocket, stage: _Stage) -> None:
        self.socket: Final = socket
        self.stage = stage
        self.websocket: WebSocket | None = None

    def on_open(self, ws: WebSocket) -> None:
        """Send what waits, unless an upgrade is to be completed first."""
        self.websocket = ws
        if self.stage is _Stage.OPEN:
            self.socket.upgrade_done()

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        """Handle a packet."""
        try:
            packet = _Packet(encoded_packet=data)
        except ValueError:
            ws.close(_PROTOCOL_ERROR, "not a packet of Engine.IO")
            return
        if self.stage is _Stage.OPEN:
            self._receive(ws, packet)
        elif self.stage is _Stage.PROBE and _is_probe(packet):
            self.stage = _Stage.UPGRADE
            ws.send(_encoded(_Packet(engineio.packet.PONG, data="probe")))
            self.socket.upgrade_begins()
        elif self.stage is _Stage.UPGRADE and packet.packet_type == engineio.packet.UPGRADE:
            self.stage = _Stage.OPEN
            self.socket.upgrade_done()
        else:
            ws.close(_PROTOCOL_ERROR, f"expected {self.stage.value}")

    def on_close(self, ws: WebSocket, code: int, reason: str) -> None:
        """End the client's session, or the upgrade that has failed."""
        del ws, code, reason
        self.socket.lost(self)

    def _receive(self, ws: WebSocket, packet: Any) -> None:
        try:
            with _receiving(self.socket):
                self.socket.receive(packet)
        except SocketIsClosedError:
            ws.close()
        except EngineIOError:
            pass  # a packet of an unknown type is ignored


def _is_probe(packet: Any) -> bool:
    return bool(packet.packet_type == engineio.packet.PING and packet.data == "probe")


def _encoded(packet: Any) -> str | bytes:
    """Return a packet as a message of a websocket.

    A packet keeps the encoding that it got first. One that many clients get may have been encoded
    for a poll, or be for one next, and binary data are not the same in both.
    """
    encoded: str | bytes = bytes(packet.data) if packet.binary else packet.encode()
    return encoded


class ParkedSocket(engineio.socket.Socket):  # type: ignore[misc] # engineio has no types
    """A client's session, which holds no thread while nothing happens.

    ``_lock`` guards ``_poll``, ``_kept``, ``_carrier``, ``_over`` and ``_awaits_ping``, the taking
    of packets from the queue, and the changes of ``upgrading`` and ``upgraded``.
    """

    def __init__(self, server: Any, sid: str) -> None:
        super().__init__(server, sid)
        self.last_ping: float | None
        self._lock = threading.Lock()
        self._parks: bool = server.async_mode == "threading"
        """Whether the mode of the server is one that this class is for."""
        self._poll: _Poll | None = None
        """The poll that waits."""
        self._kept: list[Any] = []
        """Packets that were taken from the queue for a poll that it was too late to answer."""
        self._carrier: _Carrier | None = None
        """The handler of the websocket, if there is one."""
        self._over = False
        """Whether `close` was called."""
        self._awaits_ping = False
        """Whether a ping is to be sent later."""
        self._reason: str | None = None
        """Why the websocket is being closed, if it is the server's doing."""

    # -- what engineio calls ---------------------------------------------------------------------

    def handle_get_request(self, environ: Environ, start_response: StartResponse) -> Any:
        """Answer a poll, or have it wait for packets; or begin a websocket."""
        if not self._parks or "rocket.deferred" not in environ:
            return super().handle_get_request(environ, start_response)
        if "rocket.websocket" in environ:
            return self._upgrade_websocket(environ, start_response)
        server = self.server
        with self._lock:
            # 1. This thread finds that no upgrade has begun. 2. An upgrade begins, and ends the
            # polls that wait. 3. This poll waits, and the client waits for its end before it
            # completes the upgrade. Both happen with the lock, so that 2 is before 1 or after 3.
            if self.upgrading or self.upgraded:
                return [_Packet(engineio.packet.NOOP)]
            packets = self._take()
            if packets or self.closed:
                return packets
            self._end_poll()  # of the two that a confused client sends, the second one counts
            refusal = server._bad_request()
            later = environ["rocket.deferred"].hold(
                timeout=server.ping_interval + server.ping_timeout,
                otherwise=(refusal["status"], refusal["headers"], refusal["response"]),
                on_close=self._poll_closed,
            )
            self._poll = _Poll(later, _jsonp_index(environ), _accepted_encodings(environ))
        start_response("200 OK", server._cors_headers(environ))
        return ()  # no list, to which the server would add packets

    def handle_post_request(self, environ: Environ) -> None:
        """Receive packets, and call their handlers."""
        if not self._parks or "rocket.deferred" not in environ:
            super().handle_post_request(environ)
            return
        with _receiving(self):
            super().handle_post_request(environ)

    def send(self, pkt: Any) -> None:
        """Send a packet as soon as the client can take it. Any thread may call this."""
        if _here.socket is self:
            _here.asked = True
        super().send(pkt)
        self._deliver()

    def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """End the session. The handler for that is called by this thread, with one exception.

        If the client does not answer pings, that is found out by the thread of a sender, or by the
        one that looks after all clients. A websocket has the handler called in order then, by a
        thread of the pool.
        """
        if not self._parks:
            super().close(wait, abort, reason)
            return
        carrier = self._carrier
        websocket = None if carrier is None else carrier.websocket
        if reason == self.server.reason.PING_TIMEOUT and self.upgraded and websocket is not None:
            self._reason = reason
            websocket.send(_encoded(_Packet(engineio.packet.CLOSE)))
            websocket.close(_GOING_AWAY, str(reason))
            return
        with self._lock:
            if self._over:
                return
            self._over = True
        super().close(False, abort, reason)  # nothing waits until the client has taken all
        self._deliver()

    def schedule_ping(self) -> None:
        """Have a ping sent after the interval, unless another one is to be sent."""
        if not self._parks:
            super().schedule_ping()
            return
        with self._lock:
            if self._awaits_ping:
                return
            self._awaits_ping = True
            self.last_ping = None
        _pings.schedule(self.server.ping_interval, self)

    def _upgrade_websocket(self, environ: Environ, start_response: StartResponse) -> Any:
        """Begin a websocket: the client's only transport, or one that is to replace polling."""
        offer = environ.get("rocket.websocket") if self._parks else None
        if offer is None:
            return super()._upgrade_websocket(environ, start_response)
        server = self.server
        carrier = _Carrier(self, _Stage.PROBE if self.connected else _Stage.OPEN)
        with self._lock:
            if self.upgraded or self._carrier is not None:
                return server._bad_request("The session has a websocket already")
            offer.accept(
                carrier,
                origins="*",  # the server has looked at the origin
                max_message=int(server.max_http_buffer_size),
                ping=server.ping_interval + server.ping_timeout,  # for an upgrade that never begins
            )
            self._carrier = carrier
        start_response("200 OK", [])
        return ()

    # -- what the thread for pings and carriers call ---------------------------------------------

    def ping(self) -> None:
        """Send a ping, whose answer is awaited from now on."""
        if not self.closing and not self.closed:
            with self._lock:
                self._awaits_ping = False
                self.last_ping = time.time()
            with suppress(SocketIsClosedError):  # by another thread in the meantime
                self.send(_Packet(engineio.packet.PING))

    def upgrade_begins(self) -> None:
        """Let no poll wait any more: the client completes the upgrade when its poll has ended."""
        with self._lock:
            self.upgrading = True
            self._end_poll()

    def upgrade_done(self) -> None:
        """Use the websocket from now on, for what is in the queue first."""
        with self._lock:
            self.connected = self.upgraded = True
            self.upgrading = False
            self._end_poll()
        self._deliver()

    def lost(self, carrier: _Carrier) -> None:
        """End the session with its websocket, or go on polling after an upgrade that has failed."""
        with self._lock:
            self._carrier = None
            self.upgrading = False
        if carrier.stage is _Stage.OPEN:
            self._end(self._reason or self.server.reason.TRANSPORT_CLOSE)

    # -- the rest --------------------------------------------------------------------------------

    def _poll_closed(self, later: DeferredAnswer) -> None:
        """Look after the session when a poll is over."""
        with self._lock:
            unanswered = self._poll is not None and self._poll.later is later
            if unanswered:
                self._poll = None
        reasons = self.server.reason
        if later.gone:
            self._end(reasons.TRANSPORT_CLOSE)  # to the client, the session is over then, too
        elif unanswered or self.closed:
            self._end(reasons.TRANSPORT_ERROR)

    def _end(self, reason: str) -> None:
        """Close, unless that has been done, and have the server forget the session."""
        self.close(wait=False, abort=True, reason=reason)
        self.server.sockets.pop(self.sid, None)

    def _deliver(self) -> None:
        """Pass on what is in the queue, if the client can take it."""
        with self._lock:
            if self.upgraded:
                self._deliver_by_websocket()
            elif self._poll is not None:
                packets = self._take()
                if (packets or self.closed) and not self._answer(packets):
                    self._kept = packets

    def _deliver_by_websocket(self) -> None:
        """With the lock: send what is in the queue."""
        websocket = None if self._carrier is None else self._carrier.websocket
        if websocket is not None:
            for packet in self._take():
                websocket.send(_encoded(packet))
            if self.closed:
                websocket.close()

    def _end_poll(self) -> None:
        """With the lock: answer the poll that waits, if there is one."""
        if self._poll is not None:
            self._answer([_Packet(engineio.packet.NOOP)])

    def _answer(self, packets: list[Any]) -> bool:
        """With the lock: answer the poll that waits; return False if it is too late."""
        poll = self._poll
        if poll is None or not poll.answer(self.server, packets):
            return False  # `_poll_closed` follows
        self._poll = None
        return True

    def _take(self) -> list[Any]:
        """With the lock: take all packets, without what tells threads that the session is over."""
        packets, self._kept = self._kept, []
        try:
            while True:
                packet = self.queue.get(block=False)
                self.queue.task_done()
                if packet is not None:
                    packets.append(packet)
        except Empty:
            return packets


def _jsonp_index(environ: Environ) -> int | None:
    """Return the index of a request by JSONP, which the server has checked."""
    indices = parse_qs(environ.get("QUERY_STRING", "")).get("j")
    return None if indices is None else int(indices[0])


def _accepted_encodings(environ: Environ) -> list[str]:
    encodings = environ.get("HTTP_ACCEPT_ENCODING", "").split(",")
    return [each.partition(";")[0].strip() for each in encodings]
