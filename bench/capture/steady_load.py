"""Ordinary clients meanwhile: some dozens of requests a second, whose times are kept."""

from __future__ import annotations

import http.client
import threading
import time
from types import TracebackType
from typing import Final, Self

_CLIENTS: Final = 6
_PAUSE: Final = 0.08
"""Seconds between two requests of a client."""


class SteadyLoad:
    """Asks for the first page of the application again and again, in threads."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(_CLIENTS)]
        self._lock = threading.Lock()
        self.times: list[tuple[float, float]] = []
        """When each request ended, by `time.monotonic`, and how many seconds it took."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._end.wait(_PAUSE):
            began = time.monotonic()
            client.request("GET", "/")
            response = client.getresponse()
            response.read()
            if response.status != 200:
                raise RuntimeError(f"the application answered {response.status}")
            ended = time.monotonic()
            with self._lock:
                self.times.append((ended, ended - began))
        client.close()
