"""A listener whose connections speak TLS."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

from rocket_core import BACKLOG, Address, Connection, Listener, Peer, Timeouts
from rocket_tls._connection import TLSConnection
from rocket_tls._files import CertificateFiles
from rocket_tls._reloading import ReloadingContext


class TLSListener(Listener):
    """A listening socket whose clients speak TLS.

    The files may be replaced at any time: each new connection looks at them, and gets the new
    certificate as soon as both are there and belong together. Until then the old one is served.
    """

    scheme = "https"

    def __init__(
        self,
        address: Address | str | socket.socket,
        certificate: Path,
        key: Path | None = None,
        *,
        backlog: int = BACKLOG,
        proxy_protocol: Iterable[str] | None = None,
    ) -> None:
        """Load the certificate; nothing is bound yet.

        Args:
            address: as for `Listener`.
            certificate: a PEM file with the server's certificate, followed by its chain.
            key: a PEM file with its private key; None: it is in the file ``certificate``.
            backlog: connections the system keeps before they are accepted.
            proxy_protocol: as for `Listener`; the header comes before the TLS handshake.

        Raises:
            AddressError: the address, or one of the networks, is malformed.
            ValueError: ``proxy_protocol`` has no network.
            CertificateError: the certificate or its key cannot be used.
        """
        super().__init__(address, backlog=backlog, proxy_protocol=proxy_protocol)
        self._context = ReloadingContext(
            CertificateFiles(certificate, certificate if key is None else key)
        )

    def reload(self) -> None:
        """Load the certificate and its key now, changed or not. Any thread may call this.

        Raises `CertificateError`; then the previous certificate stays in service.
        """
        self._context.reload()

    def connect(self, sock: socket.socket, peer: Peer, timeouts: Timeouts) -> Connection:
        """Make the connection for an accepted socket. Raises `OSError` when it is gone already."""
        return TLSConnection(sock, self._context.current(), peer, self.local, timeouts=timeouts)
