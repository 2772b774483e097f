"""A bus over Redis, for groups on several machines. It needs the extra ``rocket-wsgi[redis]``.

::

    from rocket_wsgi import Group
    from rocket_wsgi.redis_bus import RedisBus

    bus = RedisBus("redis://localhost:6379/0")
    prices = Group(name="prices", bus=bus, history=100)

Theory of operation. All messages of a bus are entries of one stream of Redis (``XADD``), whose
length is bounded, and each process reads the stream (``XREAD``). That is why this is no
PUBLISH/SUBSCRIBE: the IDs of the entries are one order for all processes; a process that was
disconnected goes on behind the last entry that it has read; and groups that are made later begin
with what the stream still has.

*Reading* is done by a thread, from the first group or subscriber until `RedisBus.close`. It reads
from the last entry on, that one included. If the last entry is not there any more, because too much
was published meanwhile, or because Redis has lost it, messages may be missing: this is logged, the
groups are told, and ``on_missed`` is called. While Redis cannot be reached, the thread tries again
and again, after longer and longer pauses.

*A group with history* reads the stream backwards, for what came before, while messages arrive:

1. The place from which the reading thread goes on is determined, if it is not yet. From then on the
   thread keeps messages for the group, with their IDs, instead of handing them over.
2. The thread that makes the group reads the entries that there are.
3. Under the lock it gives the group those, and of the kept ones those with a later ID. From then on
   the reading thread hands messages over.

If Redis cannot be reached in step 2, the reading thread does 2 and 3 when it can.

*Publishing* is done by the calling thread, which waits for Redis to connect, and to answer, for
`PATIENCE` seconds each at most, and not at all within `PATIENCE` of a failure. Then `BusError` is
raised. Nothing is sent twice: whether Redis has got a message whose answer was lost is not known.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self
from weakref import WeakSet

from rocket_core.extending import RareLog
from rocket_wsgi._errors import BusError
from rocket_wsgi._group.bus import Follower, Subscriber

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as error:
    raise ImportError(
        'rocket_wsgi.redis_bus needs the client of Redis: pip install "rocket-wsgi[redis]"'
    ) from error

_log = logging.getLogger("rocket_wsgi")

LENGTH: Final = 10_000
"""The default number of messages that Redis keeps for a bus, or a few more."""

PATIENCE: Final = 1.0
"""Seconds for which publishing waits for Redis to connect, and again for it to answer."""

_BATCH: Final = 100
"""The number of entries that are read at once."""

_PAGE: Final = 1000
"""The number of entries that are read at once for the history of a group."""

_BLOCK: Final = 1000
"""Milliseconds for which Redis keeps a reader waiting."""

_FIRST_PAUSE: Final = 0.1
_LAST_PAUSE: Final = 5.0
"""Seconds before the first, and at most between two, attempts to connect."""

_NAME: Final = b"n"
_MESSAGE: Final = b"m"

_EMPTY: Final = b"0-0"
"""The ID before all others."""

_Entry = tuple[bytes, dict[bytes, bytes]]


class _Place:
    """A group on the bus.

    Attributes:
        follower: the group.
        last: the ID of the last entry in its history; the group receives later ones only.
        kept: what it is to receive, with the IDs, once it has its history; None from then on.
    """

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.last = _EMPTY
        self.kept: list[tuple[bytes, bytes]] | None = [] if follower.history else None

    def hand_over(self, identity: bytes, message: bytes) -> None:
        """Give the group a message, or keep it until the group has its history."""
        if self.kept is not None:
            self.kept.append((identity, message))
        elif _number(identity) > _number(self.last):
            _guarded(self.follower.received, message)

    def begin(self, history: list[tuple[bytes, bytes]]) -> None:
        """Give the group its history, and what was kept and is not in that."""
        kept, self.kept = self.kept, None
        if history:
            self.last = history[-1][0]
        _guarded(self.follower.recalled, [message for _, message in history])
        for identity, message in kept or ():
            self.hand_over(identity, message)


class RedisBus:
    """A bus of all processes that use the same Redis, on any number of machines.

    It may be made at import, before a fork: a child goes on where its parent was, with connections
    and a thread of its own. As a context manager it is closed at the end.

    ``_lock`` guards what is on the bus, and the ID of the last entry that was handed over. It is
    held while messages are handed over, so that a fork, which takes it, comes before a message or
    after it.
    """

    def __init__(
        self,
        url: str,
        *,
        stream: str = "rocket:bus",
        length: int = LENGTH,
        on_missed: Callable[[], object] | None = None,
    ) -> None:
        """Connect when the bus is first used.

        Args:
            url: the URL of Redis, as `redis.Redis.from_url` takes it, for example
                ``rediss://user:password@host:6379/0``.
            stream: the key of the stream, which is the name of the bus.
            length: the number of messages that Redis keeps, for processes that were disconnected,
                and for the history of groups. All groups on the bus share it.
            on_missed: is called by the thread of the bus where messages may be missing. Groups with
                history have ended their event streams by then.

        Raises:
            ValueError: ``url`` is not a URL of Redis, or ``length`` is below 1.
        """
        if length < 1:
            raise ValueError(f"length is {length}: give the number of messages to keep, from 1")
        self._url = url
        self._stream = stream
        self._length = length
        self._on_missed = on_missed
        self._lock = threading.RLock()
        self._subscribers: list[Subscriber] = []
        self._places: dict[bytes, list[_Place]] = {}
        self._last: bytes | None = None
        """The last entry that was handed over; None until the first place is known."""
        self._is_there = False
        """Whether that entry is in the stream, unless messages have been lost."""
        self._thread: threading.Thread | None = None
        self._prepare_process()
        _buses.add(self)

    def _prepare_process(self) -> None:
        """Make what a process does not share with another that is forked from it."""
        self._publisher = _client(self._url, PATIENCE)
        self._reader = _client(self._url, PATIENCE + _BLOCK / 1000)
        self._reader_id: int | None = None
        self._closed = threading.Event()
        self._failed = -PATIENCE
        """When publishing has failed last, by `time.monotonic`."""
        self._unreachable = RareLog(_log)
        self._missed = RareLog(_log)

    def publish(self, name: str, message: bytes) -> None:
        """Hand ``message`` to all subscribers, in all processes.

        Raises `BusError` if Redis cannot be reached, does not answer within a second, or refuses
        the message, and at once if Redis could not be reached less than a second ago.
        """
        if self._closed.is_set():
            raise BusError("the bus is closed")
        if time.monotonic() - self._failed < PATIENCE:
            raise BusError("Redis could not be reached just now: the message is not sent")
        fields: Any = {_NAME: name.encode(), _MESSAGE: message}
        try:
            self._publisher.xadd(self._stream, fields, maxlen=self._length, approximate=True)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            self._failed = time.monotonic()
            raise BusError(f"Redis cannot be reached: {error}") from error
        except redis.RedisError as error:
            raise BusError(f"Redis refuses the message: {error}") from error

    def subscribe(self, callback: Subscriber) -> None:
        """Call ``callback`` with the name and the content of every message from now on."""
        with self._lock:
            self._subscribers.append(callback)
            self._start()

    def follow(self, follower: Follower) -> None:
        """Let ``follower`` have the messages of its name, and those that Redis has of earlier."""
        place = _Place(follower)
        with self._lock:
            self._places.setdefault(follower.name.encode(), []).append(place)
            self._start()
            known = self._last is not None
        if known and place.kept is not None:
            try:
                self._complete(self._publisher, place)
            except redis.RedisError as error:
                self._unreachable.warning(
                    "group %s is without history until Redis can be reached: %s",
                    follower.name,
                    error,
                )

    def close(self) -> None:
        """End the thread and the connections. A bus that is closed stays so."""
        self._closed.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            # 1. The thread sees that the bus is not closed, and is about to wait in Redis.
            # 2. The bus is closed, and Redis has no waiting thread to wake. So it is asked again.
            while thread.is_alive():
                self._wake()
                thread.join(_FIRST_PAUSE)
        self._publisher.close()
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _wake(self) -> None:
        """End the wait of the reading thread in Redis, which takes a second at most otherwise."""
        reader = self._reader_id
        if reader is not None:
            with suppress(redis.RedisError):
                self._publisher.client_unblock(reader)

    # -- the reading thread ------------------------------------------------------------------------

    def _start(self) -> None:
        """With the lock: begin to read behind the present end of the stream, once."""
        if self._thread is not None or self._closed.is_set():
            return
        with suppress(redis.RedisError):  # the thread says so, and finds out when it can
            self._find_place(self._publisher)
        self._thread = threading.Thread(target=self._run, name="rocket-redis", daemon=True)
        self._thread.start()

    def _find_place(self, client: redis.Redis) -> None:
        newest = _newest(client, self._stream)
        with self._lock:
            if self._last is None:
                self._last, self._is_there = newest, newest != _EMPTY

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        connected = False
        while not self._closed.is_set():
            try:
                if not connected:
                    self._connect()
                    connected, pause = True, _FIRST_PAUSE
                self._read()
            except Exception as error:  # noqa: BLE001 - the thread must not end before the bus
                connected = False
                if isinstance(error, redis.RedisError | OSError):
                    self._unreachable.warning("cannot read from Redis, trying again: %s", error)
                else:
                    self._unreachable.error("cannot read from Redis", exc_info=error)
                self._closed.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                pause = min(2 * pause, _LAST_PAUSE)

    def _connect(self) -> None:
        """Connect, and do what could not be done without a connection."""
        self._reader_id = self._reader.client_id()
        if self._last is None:
            self._find_place(self._reader)
        for places in list(self._places.values()):
            for place in list(places):
                if place.kept is not None:
                    self._complete(self._reader, place)
        self._failed = -PATIENCE

    def _read(self) -> None:
        """Hand over the next entries, or wait for one."""
        last = self._last or _EMPTY
        entries = _entries(self._reader.xrange(self._stream, min=last, count=_BATCH + 1))
        is_there = bool(entries) and entries[0][0] == last
        if self._is_there and not is_there:
            self._lose()
        new = entries[1:] if is_there else entries
        if new:
            self._hand_over(new)
        else:
            streams: Any = {self._stream: self._last or _EMPTY}
            self._reader.xread(streams, count=1, block=_BLOCK)

    def _hand_over(self, entries: list[_Entry]) -> None:
        for identity, fields in entries:
            name, message = fields.get(_NAME), fields.get(_MESSAGE)
            with self._lock:
                self._last, self._is_there = identity, True
                if name is None or message is None:
                    continue
                for subscriber in self._subscribers:
                    _guarded(subscriber, name.decode(errors="replace"), message)
                for place in self._places.get(name, ()):
                    place.hand_over(identity, message)

    def _lose(self) -> None:
        """Say that messages may be missing: the last entry is not in the stream any more.

        1. The stream was shortened beyond it: all that is left is later, and is still to be read.
        2. Redis has lost the stream, and may have begun it anew: so it is, too.
        3. Redis has lost the end of the stream: all that is left was read before, and new entries
           may have IDs that were given before. The place is that end.
        """
        newest = _newest(self._reader, self._stream)
        self._missed.warning(
            "messages may be missing: Redis does not have those after the last read"
        )
        with self._lock:
            self._is_there = False
            places = [place for places in self._places.values() for place in places]
            if _number(newest) < _number(self._last or _EMPTY):
                self._last = newest
                for place in places:
                    place.last = newest
            for place in places:
                _guarded(place.follower.missed)
        if self._on_missed is not None:
            _guarded(self._on_missed)

    # -- the history of groups ---------------------------------------------------------------------

    def _complete(self, client: redis.Redis, place: _Place) -> None:
        """Give a group its history."""
        history = self._recall(client, place.follower)
        with self._lock:
            # 1. A thread makes the group while Redis cannot be reached, or the answer is slow.
            # 2. The reading thread connects, and does the same.
            # 3. The one that is first here gives the group its history. The other one does nothing.
            if place.kept is not None:
                place.begin(history)

    def _recall(self, client: redis.Redis, follower: Follower) -> list[tuple[bytes, bytes]]:
        """Return the latest messages of a name, with their IDs."""
        name = follower.name.encode()
        found: list[tuple[bytes, bytes]] = []
        end = b"+"
        while len(found) < follower.history:
            page = _entries(client.xrevrange(self._stream, max=end, count=_PAGE))
            if page and page[0][0] == end:
                del page[0]
            if not page:
                break
            found += [(each, fields[_MESSAGE]) for each, fields in page if _is_for(name, fields)]
            end = page[-1][0]
        return found[: follower.history][::-1]

    # -- forks -------------------------------------------------------------------------------------

    def _forked(self) -> None:
        """Go on in a forked process, where no other thread is, and with other connections."""
        self._lock = threading.RLock()
        closed = self._closed.is_set()
        thread, self._thread = self._thread, None
        self._prepare_process()
        if closed:
            self._closed.set()
        elif thread is not None:
            self._thread = threading.Thread(target=self._run, name="rocket-redis", daemon=True)
            self._thread.start()


def _client(url: str, timeout: float) -> redis.Redis:
    """Make a client, which connects when it is used, and does nothing twice."""
    client: redis.Redis = redis.Redis.from_url(
        url,
        socket_connect_timeout=PATIENCE,
        socket_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
    )
    return client


def _newest(client: redis.Redis, stream: str) -> bytes:
    """Return the ID of the last entry of a stream."""
    entries = _entries(client.xrevrange(stream, count=1))
    return entries[0][0] if entries else _EMPTY


def _entries(answer: Any) -> list[_Entry]:
    """Return the entries in an answer of Redis, whose types the client does not know."""
    return answer or []


def _number(identity: bytes) -> tuple[int, int]:
    """Return an ID as what it is compared by: milliseconds, and a number within them."""
    milliseconds, _, number = identity.partition(b"-")
    return int(milliseconds), int(number)


def _is_for(name: bytes, fields: dict[bytes, bytes]) -> bool:
    return fields.get(_NAME) == name and _MESSAGE in fields


def _guarded(call: Callable[..., object], *arguments: object) -> None:
    """Call a group or a subscriber, whose errors are not to end the bus."""
    try:
        call(*arguments)
    except Exception:  # noqa: BLE001 - it must not end the thread, which others need
        _log.exception("a subscriber of the bus has failed")


# A fork takes the locks, so that no message is half handed over in the child.

_buses: Final[WeakSet[RedisBus]] = WeakSet()
_held: Final[list[RedisBus]] = []


def _before_fork() -> None:
    for bus in sorted(_buses, key=id):
        bus._lock.acquire()  # noqa: SLF001 - of this module
        _held.append(bus)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop()._lock.release()  # noqa: SLF001 - of this module


def _after_fork_in_child() -> None:
    while _held:
        _held.pop()._forked()  # noqa: SLF001 - of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
