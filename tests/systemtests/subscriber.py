"""A client of event streams that comes back as `EventSource` does: with the last event's ID."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import httpx

from systemtests.processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

_RETRY = 0.05
"""Seconds after which the client comes back, whatever it is told about that."""


@dataclass(frozen=True)
class Event:
    """An event of a stream; the ID is that of the last event that had one."""

    kind: str
    data: str
    id: str


def events(lines: Iterable[str], last: str = "") -> Iterator[Event]:
    """Yield the events in the lines of a stream (HTML standard, "interpreting an event stream")."""
    kind, data = "message", list[str]()
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Event(kind, "\n".join(data), last)
            kind, data = "message", []
        elif field == "event":
            kind = value
        elif field == "data":
            data.append(value)
        elif field == "id":
            last = value


class Subscriber:
    """Follows a stream in a thread of its own; a context manager that ends it."""

    def __init__(self, address: str, kind: str, last: str = "") -> None:
        """Note the events of one kind that come from an address, after the one with an ID."""
        self.events: list[Event] = []
        self.connections = 0
        self._address = address
        self._kind = kind
        self._last = last
        self._ended = threading.Event()
        self._client = httpx.Client(timeout=PATIENCE, trust_env=False)
        self._response: httpx.Response | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self.disconnect()
        self._thread.join(PATIENCE)
        self._client.close()

    def disconnect(self) -> None:
        """Lose the connection, as clients do."""
        response = self._response
        if response is not None:
            response.extensions["network_stream"].get_extra_info("socket").shutdown(2)

    @property
    def ids(self) -> list[str]:
        """The IDs of the events, in the order in which they came."""
        return [each.id for each in self.events]

    def _run(self) -> None:
        while not self._ended.is_set():
            with suppress(httpx.HTTPError, OSError):  # as when the server goes
                self._follow()
            time.sleep(_RETRY)

    def _follow(self) -> None:
        fields = {"Last-Event-ID": self._last} if self._last else {}
        with self._client.stream("GET", self._address, headers=fields) as response:
            if response.status_code != 200:
                return
            self._response = response
            self.connections += 1
            if self._ended.is_set():
                return
            for event in events(response.iter_lines(), self._last):
                self._last = event.id
                if event.kind == self._kind:
                    self.events.append(event)
