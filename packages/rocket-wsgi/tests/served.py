"""A server, and clients for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rocket_core import TCPAddress
from rocket_core.testing import PATIENCE, Answer, Client

if TYPE_CHECKING:
    from rocket_core import Server


class Served:
    """A running server. Its clients are closed with it."""

    def __init__(self, server: Server, number: int = 0) -> None:
        """Connect clients to the listener of that number."""
        address = server.listeners[number].address
        assert isinstance(address, TCPAddress)
        self.server = server
        self.address = address
        self._clients: list[Client] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()

    def open(self, receive_buffer: int | None = None) -> Client:
        """Connect a client."""
        client = Client(self.address, receive_buffer=receive_buffer)
        self._clients.append(client)
        return client

    def stop(self) -> None:
        """Stop the server, so that everything it had to log is logged."""
        self.server.stop()
        assert self.server.wait(PATIENCE)

    def get(self, path: str = "/", method: str = "GET") -> Answer:
        """The answer to a request on a connection of its own."""
        client = self.open()
        client.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"))
        return client.answer(method)

    def exchange(self, data: bytes) -> Answer:
        """The answer to ``data`` on a connection of its own."""
        client = self.open()
        client.send(data)
        return client.answer()
