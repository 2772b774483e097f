"""A floor: one thread, epoll, no parser and no time-outs; every head gets the same bytes.

python -m bench.applications.bare_loop PORT [--closing]
"""

from __future__ import annotations

import argparse
import select
import socket
from collections.abc import Callable
from contextlib import suppress

from bench.applications.fixed import ANSWER, CLOSING_ANSWER, END


class Loop:
    """The clients, and what has arrived of a head that is not complete."""

    def __init__(self, port: int, *, closing: bool) -> None:
        self._answer = CLOSING_ANSWER if closing else ANSWER
        self._closing = closing
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        self._clients: dict[int, socket.socket] = {}
        self._partial: dict[int, bytes] = {}
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self.poll: Callable[[], list[tuple[int, int]]] = self._epoll.poll

    def run(self) -> None:
        """Serve for ever, or until `poll` raises something."""
        accepting = self._listener.fileno()
        poll = self.poll
        while True:
            for descriptor, _ in poll():
                if descriptor == accepting:
                    self._accept()
                elif not self._serve(descriptor):
                    self._partial.pop(descriptor, None)
                    self._clients.pop(descriptor).close()

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self.add(self._listener.accept()[0])

    def add(self, client: socket.socket) -> None:
        """Serve one more client."""
        client.setblocking(False)
        self._clients[client.fileno()] = client
        self._epoll.register(client, select.EPOLLIN)

    def _serve(self, descriptor: int) -> bool:
        """Receive once, and answer a head that is complete; whether the connection goes on."""
        client = self._clients[descriptor]
        try:
            data = client.recv(16384)
            if not data:
                return False
            if descriptor in self._partial:
                data = self._partial.pop(descriptor) + data
            if not data.endswith(END):
                self._partial[descriptor] = data
                return True
            client.send(self._answer)
        except OSError:
            return False
        return not self._closing


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--closing", action="store_true")
    options = parser.parse_args()
    Loop(options.port, closing=options.closing).run()


if __name__ == "__main__":
    main()
