"""A listener whose connections speak TLS."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rocket_core import BACKLOG, Address, Connection, Listener, Peer, Timeouts
from rocket_tls._certificates.certificate_files import CertificateFiles
from rocket_tls._certificates.store import CertificateStore
from rocket_tls._connection.connection import TLSConnection
from rocket_tls._context.contexts import Contexts
from rocket_tls._context.settings import TLSSettings
from rocket_tls._faults import TLSFaults

_SETTINGS: Final = TLSSettings()


class TLSListener(Listener):
    """A listening socket whose clients speak TLS.

    The files may be replaced at any time: clients that connect afterwards get the new certificate,
    as soon as both files are there and belong together. Until then they get the old one. The CAs of
    clients are looked at for each new connection.

    Attributes:
        certificates: the certificates that are served; see `CertificateStore.chains`.
    """

    scheme = "https"

    def __init__(
        self,
        address: Address | str | socket.socket,
        certificate: Path | CertificateStore,
        key: Path | None = None,
        *,
        settings: TLSSettings = _SETTINGS,
        backlog: int = BACKLOG,
        proxy_protocol: Iterable[str] | None = None,
        ipv6_only: bool = False,
        reuse_port: bool = False,
    ) -> None:
        """Load the certificate; the socket is bound later.

        Args:
            address: as for `Listener`.
            certificate: a PEM file with the server's certificate and its chain, or a store of
                certificates.
            key: a PEM file with the private key; None if it is in the file ``certificate``.
            settings: what the listener offers its clients, and asks of them.
            backlog: as for `Listener`.
            proxy_protocol: as for `Listener`; the header comes before the TLS handshake.
            ipv6_only: as for `Listener`.
            reuse_port: as for `Listener`.

        Raises:
            AddressError: the address, or one of the networks, is malformed.
            ValueError: ``proxy_protocol`` has no network, or there is a ``key`` beside a store.
            CertificateError: the certificate or its key cannot be used, or the files with the
                CAs of clients.
        """
        super().__init__(
            address,
            backlog=backlog,
            proxy_protocol=proxy_protocol,
            ipv6_only=ipv6_only,
            reuse_port=reuse_port,
        )
        if isinstance(certificate, Path):
            certificate = CertificateStore([CertificateFiles(certificate, key)])
        elif key is not None:
            raise ValueError("a CertificateStore has the keys; leave out key")
        self.certificates: Final = certificate
        self._contexts = Contexts(certificate, settings)
        self._faults = TLSFaults()

    @property
    def tls_errors(self) -> dict[str, int]:
        """The number of TLS failures by their reason. Any thread may read this."""
        return self._faults.counts()

    def reload(self) -> None:
        """Load certificates, keys, CAs and revocation lists now. Any thread may call this.

        Raises `CertificateError`; then what cannot be used stays as it was.
        """
        self._contexts.reload()

    def connect(self, sock: socket.socket, peer: Peer, timeouts: Timeouts) -> Connection:
        """Return a connection for an accepted socket; the thread that has accepted it calls this.

        Raises `OSError` if the client has left already.
        """
        return TLSConnection(
            sock,
            self._contexts.current(),
            peer,
            self.local,
            timeouts=timeouts,
            faults=self._faults,
            reads_hello=self._contexts.reads_hello(),
        )
