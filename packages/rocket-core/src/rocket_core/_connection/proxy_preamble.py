"""What a proxy sends before the first byte of its client, received without waiting for it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from rocket_core._errors import ProxyHeaderError
from rocket_core._network.proxy_header import (
    FIXED,
    MAX_LINE,
    PREFIX,
    SIGNATURE,
    Announcement,
    header_size,
    parse_header,
    parse_line,
)
from rocket_core._state import CloseReason
from rocket_core._system.rare_log import RareLog

if TYPE_CHECKING:
    from rocket_core._connection.connection import Connection

_SHORTEST: Final = 12
"""Bytes that every header has, of either version: so many tell them apart."""


class ProxyPreamble:
    """A PROXY protocol header on its way.

    Not one byte behind it is received: it belongs to the client's TLS or HTTP. What has come of it
    is taken from the system at once, so that the Monitor sleeps until more comes.
    """

    __slots__ = ("_data", "_log")

    def __init__(self, log: RareLog) -> None:
        """Expect a header; ``log`` is told when there is none."""
        self._data = b""
        self._log = log

    def receive(self, connection: Connection, sock: socket.socket) -> bool:
        """Take the header as far as it has arrived; whether that is all of it.

        Then the connection has the addresses it announces. Raises `ProxyHeaderError` when there is
        no header, and `OSError` when the connection is broken.
        """
        try:
            if not self._complete(connection, sock):
                return False
            if self._data.startswith(PREFIX):
                announced = parse_line(self._data)
            else:
                announced = parse_header(self._data)
        except ProxyHeaderError as error:
            connection.close_reason = CloseReason.PROXY
            self._log.warning("closed %s: no PROXY protocol header: %s", connection.peer, error)
            raise
        if announced is not None:
            _announce(connection, announced)
        return True

    def _complete(self, connection: Connection, sock: socket.socket) -> bool:
        """Receive until the header is whole, or nothing more is there; whether it is whole."""
        while (wanted := self._missing()) > 0:
            try:
                data = sock.recv(wanted, socket.MSG_PEEK)
                data = sock.recv(self._own(data))
            except (BlockingIOError, InterruptedError):
                return False
            if not data:
                self._ended(connection)
            self._data += data
        return True

    def _missing(self) -> int:
        """How many bytes may belong to the header, and have not come. Raises `ProxyHeaderError`."""
        data = self._data
        if not (SIGNATURE.startswith(data[:12]) or PREFIX.startswith(data[:6])):
            raise ProxyHeaderError("it begins with something else")
        if len(data) < _SHORTEST:
            return _SHORTEST - len(data)
        if data.startswith(PREFIX):
            return 0 if data.endswith(b"\n") else MAX_LINE - len(data)
        return (FIXED if len(data) < FIXED else header_size(data)) - len(data)

    def _own(self, data: bytes) -> int:
        """How many of the bytes to come belong to the header."""
        if self._data.startswith(PREFIX):
            return data.find(b"\n") + 1 or len(data)
        return len(data)

    def _ended(self, connection: Connection) -> None:
        if not self._data:  # somebody who only looks whether the port answers
            connection.close_reason = CloseReason.CLIENT
            raise ConnectionResetError(f"{connection.peer} has closed")
        raise ProxyHeaderError("it is cut short")


def _announce(connection: Connection, announced: Announcement) -> None:
    connection.proxy = connection.peer
    connection.peer = announced.peer
    connection.local = announced.local
    connection.secure = connection.secure or announced.secure
