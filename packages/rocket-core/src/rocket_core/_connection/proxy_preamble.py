"""The PROXY protocol header that precedes a client's bytes, received without waiting for it."""

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

if TYPE_CHECKING:
    from rocket_core._connection.transport import Transport
    from rocket_core._system.rare_log import RareLog

_SHORTEST: Final = 12
"""Bytes that every header has, of either version: enough to tell the versions apart."""


class ProxyPreamble:
    """A PROXY protocol header that arrives.

    Not one byte behind the header is received: what follows belongs to the client's TLS or HTTP.
    The bytes of the header are taken from the system at once, so that the Monitor sleeps until more
    of them come.
    """

    __slots__ = ("_data", "_log")

    def __init__(self, log: RareLog) -> None:
        """Expect a header; a connection without one is reported to ``log``."""
        self._data = b""
        self._log = log

    def receive(self, transport: Transport, sock: socket.socket) -> bool:
        """Take the header as far as it has arrived; return whether it is complete.

        The transport then has the addresses that the header announces. Raises `ProxyHeaderError`
        when there is no header, and `OSError` when the connection is broken.
        """
        try:
            if not self._complete(transport, sock):
                return False
            if self._data.startswith(PREFIX):
                announced = parse_line(self._data)
            else:
                announced = parse_header(self._data)
        except ProxyHeaderError as error:
            transport.close_reason = CloseReason.PROXY
            self._log.warning("closed %s: no PROXY protocol header: %s", transport.peer, error)
            raise
        if announced is not None:
            _announce(transport, announced)
        return True

    def _complete(self, transport: Transport, sock: socket.socket) -> bool:
        """Receive as much of the header as there is; return whether it is complete."""
        while (wanted := self._missing()) > 0:
            try:
                data = sock.recv(wanted, socket.MSG_PEEK)
                data = sock.recv(self._own(data))
            except (BlockingIOError, InterruptedError):
                return False
            if not data:
                self._ended(transport)
            self._data += data
        return True

    def _missing(self) -> int:
        """Return how many more bytes may belong to the header. Raises `ProxyHeaderError`."""
        data = self._data
        if not (SIGNATURE.startswith(data[:12]) or PREFIX.startswith(data[:6])):
            raise ProxyHeaderError("it begins with something else")
        if len(data) < _SHORTEST:
            return _SHORTEST - len(data)
        if data.startswith(PREFIX):
            return 0 if data.endswith(b"\n") else MAX_LINE - len(data)
        return (FIXED if len(data) < FIXED else header_size(data)) - len(data)

    def _own(self, data: bytes) -> int:
        """Return how many of the bytes ``data``, which are still to be taken, are the header's."""
        if self._data.startswith(PREFIX):
            return data.find(b"\n") + 1 or len(data)
        return len(data)

    def _ended(self, transport: Transport) -> None:
        if not self._data:  # as after a check whether the port answers
            transport.close_reason = CloseReason.CLIENT
            raise ConnectionResetError(f"{transport.peer} has closed the connection")
        raise ProxyHeaderError("it is cut short")


def _announce(transport: Transport, announced: Announcement) -> None:
    transport.proxy = transport.peer
    transport.peer = announced.peer
    transport.local = announced.local
    transport.secure = transport.secure or announced.secure
