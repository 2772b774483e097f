"""Deadlines of many connections at constant cost each.

Deadlines are collected in buckets a quarter of a second wide. Moving a deadline later, which is
what nearly every request does, costs one comparison: the connection stays in its old bucket, and
is put into the right one when the old one falls due.
"""

from __future__ import annotations

import threading
from heapq import heappop, heappush
from math import ceil, inf
from typing import TYPE_CHECKING, Final

from rocket_core._native_classes import mypyc_attr

if TYPE_CHECKING:
    from rocket_core._connection.connection import Connection

TICK: Final = 0.25
"""The width of a bucket, in seconds: how late a deadline may be noticed."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Deadlines:
    """Knows when each connection must be looked at. All times are those of `time.monotonic`.

    ``_lock`` guards the buckets, the heap of their ticks, and ``watched_at`` of every connection:
    where its bucket begins, so that no later deadline has to be watched as well.

    The buckets are never asked by `dict.get`: without the GIL, CPython 3.13 has a thread that gets
    from there what another has put in wait for itself, for hundreds of times as long as that takes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[int, set[Connection]] = {}
        self._ticks: list[int] = []
        self.next: float = inf
        """When the first bucket falls due."""

    def watch(self, connection: Connection, until: float) -> bool:
        """See to it that ``connection`` comes up soon after ``until``, if not before.

        Returns True when ``until`` is now the first deadline of all, of which a thread that polls
        must be told.
        """
        tick = ceil(until / TICK)
        due = tick * TICK
        with self._lock:
            # 1. Thread A finds that a worker owns the connection whose bucket A has taken.
            # 2. The worker parks it, and has it watched for the deadline that it has now.
            # 3. A has it watched for a second look, which is later and may not replace that watch.
            watched_at = connection.watched_at
            if watched_at <= due - TICK:
                return False
            if watched_at != inf:  # as it is for a new connection
                self._remove(connection)
            if tick not in self._buckets:
                self._buckets[tick] = set()
                heappush(self._ticks, tick)
            self._buckets[tick].add(connection)
            connection.watched_at = due - TICK
            if due < self.next:
                self.next = due
                return True
            return False

    def forget(self, connection: Connection) -> None:
        """Take ``connection``, which is about to be closed, out of its bucket."""
        with self._lock:
            self._remove(connection)
            connection.watched_at = inf

    def _remove(self, connection: Connection) -> None:
        """With the lock: take a connection out of its bucket, unless `due` has just emptied it."""
        if connection.watched_at == inf:
            return
        tick = round(connection.watched_at / TICK) + 1
        if tick in self._buckets:
            self._buckets[tick].discard(connection)

    def due(self, now: float) -> list[Connection]:
        """Return the connections of all buckets that have fallen due, which end to be watched."""
        if now < self.next:
            return []
        found: list[Connection] = []
        with self._lock:
            while self._ticks:
                tick = self._ticks[0]
                bucket = self._buckets[tick]
                if bucket and tick * TICK > now:
                    break
                heappop(self._ticks)
                del self._buckets[tick]
                for connection in bucket:
                    connection.watched_at = inf
                found.extend(bucket)
            self.next = self._ticks[0] * TICK if self._ticks else inf
        return found
