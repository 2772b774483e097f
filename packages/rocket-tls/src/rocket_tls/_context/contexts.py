"""The SSL contexts of a listener: one that every handshake begins with, one for each chain."""

from __future__ import annotations

import logging
import re
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rocket_core import FaultLog, Peer
from rocket_tls._certificates.certificate_files import CertificateFiles
from rocket_tls._certificates.chain import CertificateChain
from rocket_tls._certificates.store import CertificateStore
from rocket_tls._context.alpn import Purpose, speak
from rocket_tls._context.settings import TLSSettings
from rocket_tls._errors import CertificateError, NoCertificateError
from rocket_tls._faults import NO_CERTIFICATE, NO_CHOICE, NOT_PENDING, quieten
from rocket_tls._files import memory_file

if TYPE_CHECKING:
    from rocket_tls._context.trust import Trust

_log = logging.getLogger("rocket_tls.certificate")

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,255}", re.ASCII)


class ServerSide(ssl.SSLObject):
    """The server's side of a TLS connection.

    Attributes:
        local: the address that the client has reached.
        server_name: the host name that it asks for (RFC 6066, section 3), once it has.
        validating: whether it is an authority that validates a name (RFC 8737).
        refusal: why no certificate is chosen, where none is.
    """

    local: Peer | None = None
    server_name: str | None = None
    validating: bool = False
    refusal: str | None = None


def load_context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """A context that serves one certificate, with the default settings.

    Args:
        certificate: a PEM file with the server's certificate and its chain.
        key: a PEM file with its private key; None: it is in the file ``certificate``.

    Raises:
        CertificateError: they cannot be used.
    """
    context = TLSSettings().make_context(None)
    CertificateStore([CertificateFiles(certificate, key)]).chains[0].load_into(context)
    return context


class Contexts:
    """The contexts for the certificates of a store, all with the same settings.

    Every handshake begins with one context, and goes on with the one of the chain that is chosen
    then. OpenSSL keeps the keys of session tickets in the first one. So that sessions are resumed
    whatever is replaced meanwhile, it stays, but for one reason: a resumed session is not verified
    again, so none may outlive the authorities, and lists of revoked certificates, that it was
    verified with.
    """

    def __init__(self, store: CertificateStore, settings: TLSSettings) -> None:
        """Serve ``store``. Raises `CertificateError` when the clients' authorities cannot be used.

        ``_lock`` guards replacing the trust.
        """
        self._store = store
        self._settings = settings
        self._lock = threading.Lock()
        self._complaint: str | None = None
        self._trust = self._load_trust()
        self._front = _Front(store, settings, self._trust)

    def current(self) -> ssl.SSLContext:
        """The context for the next connection."""
        trust = self._trust
        if trust is not None and trust.changed and self._lock.acquire(blocking=False):
            try:
                self._replace()
                _log.info("client_ca file %s is in service anew", self._settings.client_ca)
                self._complaint = None
            except CertificateError as error:
                if str(error) != self._complaint:
                    self._complaint = str(error)
                    _log.error("%s (the previous authorities stay in service)", error)
            finally:
                self._lock.release()
        return self._front.context

    def expects_validation(self) -> bool:
        """Return whether an authority may validate a name in a handshake now."""
        return self._store.expects_validation()

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

    def _replace(self) -> None:
        trust = self._load_trust()
        if trust is not None:
            self._trust = trust
            self._front = _Front(self._store, self._settings, trust)

    def _load_trust(self) -> Trust | None:
        ca = self._settings.client_ca
        if ca is None:
            return None
        from rocket_tls._context.trust import Trust

        return Trust(ca, self._settings.client_crl)


class _Front:
    """The context that handshakes begin with."""

    def __init__(self, store: CertificateStore, settings: TLSSettings, trust: Trust | None) -> None:
        self._store = store
        self._settings = settings
        self._trust = trust
        # Replaced as a whole; should two threads do so, one of the contexts is made once more.
        self._contexts: dict[CertificateChain, ssl.SSLContext] = {}
        self.context = settings.make_context(trust)
        self.context.sslobject_class = ServerSide
        self.context.sni_callback = self._choose
        self._faults = FaultLog()
        quieten()

    def _choose(
        self, tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext
    ) -> int | None:
        try:
            if name is not None and not _NAME.fullmatch(name):
                name = None
            address = ""
            if isinstance(tls, ServerSide):
                tls.server_name = name
                if tls.validating:
                    return self._show_control(tls, name)
                address = tls.local.host.partition("%")[0] if tls.local is not None else ""
            chain = self._store.choose(name, address)
            tls.context = self._contexts.get(chain) or self._make(chain)
        except NoCertificateError:
            if isinstance(tls, ServerSide):
                tls.refusal = NO_CERTIFICATE
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        except Exception as error:  # noqa: BLE001 - or it would be printed, the client left to guess
            self._faults.report(_log, error, NO_CHOICE)
            if isinstance(tls, ServerSide):
                tls.refusal = NO_CHOICE
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        return None

    def _show_control(self, tls: ServerSide, name: str | None) -> int | None:
        """Show the authority that asks what it looks for (RFC 8737, section 3)."""
        context = self._validation_context(name)
        if context is None:
            tls.refusal = NOT_PENDING
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        tls.context = context
        return None

    def _validation_context(self, name: str | None) -> ssl.SSLContext | None:
        pem = None if name is None else self._store.validation_certificate(name.lower())
        if pem is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        speak(context, Purpose.VALIDATION)
        try:
            with memory_file(pem) as path:
                context.load_cert_chain(path)
        except OSError:  # the errors of OpenSSL are among them
            return None
        return context

    def _make(self, chain: CertificateChain) -> ssl.SSLContext:
        context = self._settings.make_context(self._trust)
        chain.load_into(context)
        live = set(self._store.chains)
        kept = {each: made for each, made in self._contexts.items() if each in live}
        self._contexts = {**kept, chain: context}
        return context
