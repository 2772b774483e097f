"""Accepting from a listening socket, at no more cost than it must have."""

from __future__ import annotations

import select
import socket
from typing import Any

from rocket_core._network.address import Peer, peer_of
from rocket_core._system.poller import READ
from rocket_core._system.wait_ready import wait_ready


class Acceptor:
    """Accepts from a listening socket that does not block. For one thread at a time."""

    def __init__(self, listening: socket.socket) -> None:
        """Accept from ``listening``, until that is closed."""
        self._listening = listening
        # `socket.socket.accept` looks for the family and for the type in enums, for each client.
        self._kind = type(listening)
        self._internet = listening.family == socket.AF_INET
        self._made: tuple[int, int, int] = (
            int(listening.family),
            int(listening.type),
            listening.proto,
        )
        self._accept = getattr(listening, "_accept", None)
        """What gives a descriptor; None: the socket is of another making, as where an application
        patches the module."""
        self._poll: Any = None
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(listening, select.POLLIN)

    def accept(self) -> tuple[socket.socket, Peer]:
        """Return a client's socket, which may block, and its address. Raises `OSError`."""
        if self._accept is None:
            sock, address = self._listening.accept()
        else:
            accepted: tuple[int, Any] = self._accept()
            descriptor, address = accepted
            family, kind, protocol = self._made
            sock = self._kind(family, kind, protocol, descriptor)
        if self._internet:
            # As `peer_of`, which takes three times as long, as does the constructor of the class.
            return sock, tuple.__new__(Peer, address)
        return sock, peer_of(address)

    def client_waits(self) -> bool:
        """Return whether a client waits to be accepted.

        To be told so by an accept that finds none costs ten times as much: the system makes a
        socket for the client before it looks for one.
        """
        if self._poll is None:  # pragma: no cover - Windows
            return wait_ready(self._listening.fileno(), READ, 0)
        return bool(self._poll.poll(0))
