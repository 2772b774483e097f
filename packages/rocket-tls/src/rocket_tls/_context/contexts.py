"""The SSL contexts of a listener.

Theory of operation: every handshake begins with one context, the first one, and the SNI callback
switches it to the context of the certificate that the store chooses. OpenSSL keeps the keys of
session tickets in the first context. It stays while certificates are replaced, so that sessions are
resumed, with one exception: a resumed session is not verified again, so no session may outlive the
CAs and revocation lists that it was verified with. When these files change, another first context
takes its place.

The thread that accepts asks for the first context, for each new connection. Any thread may
reload. A `FirstContext` with its trust is one object, and replaced by one assignment, so a
connection gets both as they belong together.
"""

from __future__ import annotations

import logging
import ssl
import threading
from typing import TYPE_CHECKING

from rocket_tls._certificates.store import CertificateStore
from rocket_tls._context.first_context import FirstContext
from rocket_tls._context.settings import TLSSettings
from rocket_tls._errors import CertificateError

if TYPE_CHECKING:
    from rocket_tls._context.trust import Trust

_log = logging.getLogger("rocket_tls.certificate")


class Contexts:
    """The contexts for the certificates of a store, all with the same settings."""

    def __init__(self, store: CertificateStore, settings: TLSSettings) -> None:
        """Load the CAs of clients, if there are any. Raises `CertificateError`."""
        self._store = store
        self._settings = settings
        self._lock = threading.Lock()
        """Guards the replacement of _first, and _complaint."""
        self._complaint: str | None = None
        self._first = FirstContext(store, settings, self._load_trust())

    def current(self) -> ssl.SSLContext:
        """Return the context for the next connection, after a look at the files of the CAs."""
        trust = self._first.trust
        if trust is not None and trust.changed and self._lock.acquire(blocking=False):
            try:
                # A reload may load the same change:
                # 1. This thread finds that the files have changed.
                # 2. A reload, on another thread, has the lock, and loads them.
                # 3. This thread gets the lock. Replacing the first context once more would end the
                #    sessions that began with it, so this thread looks whether it is still the same.
                if self._first.trust is trust:
                    self._follow()
            finally:
                self._lock.release()
        return self._first.context

    def reads_hello(self) -> bool:
        """Return whether the next connection must parse what its client offers.

        A CA may validate a name in its handshake, or the protocols of the listener were set.
        """
        return self._first.negotiation.reads_hello or self._store.expects_validation()

    def reload(self) -> None:
        """Load everything now, changed or not. Raises `CertificateError`."""
        errors = []
        try:
            with self._lock:
                self._replace()
        except CertificateError as error:
            errors.append(str(error))
        try:
            self._store.reload()
        except CertificateError as error:
            errors.append(str(error))
        if errors:
            raise CertificateError("; ".join(errors))

    # -- with the lock held ----------------------------------------------------------------------

    def _follow(self) -> None:
        """Load the CAs, and tell the log what came of that."""
        try:
            self._replace()
        except CertificateError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.error("%s (the previous CAs stay in service)", error)
        else:
            self._complaint = None
            _log.info("client_ca file %s was replaced and is in service", self._settings.client_ca)

    def _replace(self) -> None:
        trust = self._load_trust()
        if trust is not None:
            self._first = FirstContext(self._store, self._settings, trust)

    def _load_trust(self) -> Trust | None:
        ca = self._settings.client_ca
        if ca is None:
            return None
        from rocket_tls._context.trust import Trust

        return Trust(ca, self._settings.client_crl)
