"""The SSL context that every handshake begins with, and the choice of a certificate."""

from __future__ import annotations

import logging
import re
import ssl
from typing import TYPE_CHECKING, Final

from rocket_core.extending import FaultLog
from rocket_tls._certificates.chain import CertificateChain
from rocket_tls._certificates.store import CertificateStore
from rocket_tls._context.alpn import Purpose, speak
from rocket_tls._context.server_side import ServerSide
from rocket_tls._context.settings import TLSSettings
from rocket_tls._context.unraisable_hook import ignore_invalid_server_names
from rocket_tls._errors import NoCertificateError
from rocket_tls._faults import NO_CERTIFICATE, NO_CHOICE, NOT_PENDING
from rocket_tls._files import memory_file

if TYPE_CHECKING:
    from rocket_tls._context.trust import Trust

_log = logging.getLogger("rocket_tls.certificate")

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,255}", re.ASCII)
"""The server names that are looked up. Another name counts as no name."""


class FirstContext:
    """The context that handshakes begin with, and the contexts of the certificates in service.

    Attributes:
        context: the context that handshakes begin with; it has the keys of session tickets.
        trust: the CAs of clients that it verifies with, if any.
    """

    def __init__(self, store: CertificateStore, settings: TLSSettings, trust: Trust | None) -> None:
        self.trust: Final = trust
        self._store = store
        self._settings = settings
        self._contexts: dict[CertificateChain, ssl.SSLContext] = {}
        """The contexts of the certificates. The dictionary is replaced, and never changed."""
        self.context: Final = settings.make_context(trust)
        self.context.sslobject_class = ServerSide
        self.context.sni_callback = self._choose
        self._fault_log = FaultLog()
        ignore_invalid_server_names()

    def _choose(
        self, tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext
    ) -> int | None:
        """Switch a handshake to the context of a certificate; return an alert, or None.

        OpenSSL calls this on the thread that takes the handshake on, several times at once.
        """
        try:
            if name is not None and not _NAME.fullmatch(name):
                name = None
            address, began = "", None
            if isinstance(tls, ServerSide):
                began = tls.began
                if name is not None:
                    tls.server_name = name
                if tls.purpose is Purpose.VALIDATION:
                    return self._prove_control(tls, name)
                address = tls.local.host.partition("%")[0] if tls.local is not None else ""
            chain = self._store.choose(name, address, began)
            tls.context = self._contexts.get(chain) or self._make(chain)
        except NoCertificateError:
            if isinstance(tls, ServerSide):
                tls.refusal = NO_CERTIFICATE
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        except Exception as error:  # noqa: BLE001 - or it would be printed, the client left to guess
            self._fault_log.report(_log, error, NO_CHOICE)
            if isinstance(tls, ServerSide):
                tls.refusal = NO_CHOICE
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        return None

    def _prove_control(self, tls: ServerSide, name: str | None) -> int | None:
        """Show a CA that validates the certificate it looks for (RFC 8737, section 3)."""
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
        except OSError:  # ssl.SSLError is an OSError, too
            return None
        return context

    def _make(self, chain: CertificateChain) -> ssl.SSLContext:
        context = self._settings.make_context(self.trust)
        chain.load_into(context)
        live = set(self._store.chains)
        kept = {each: made for each, made in self._contexts.items() if each in live}
        # Two handshakes may need a context that is missing:
        # 1. Threads A and B find no context for the chain, and each makes one.
        # 2. A replaces the dictionary by one with its context.
        # 3. B, which has read the dictionary before, replaces it by one with its own.
        # Both handshakes go on with equal contexts. One of them is not kept, and if B has made the
        # context of another chain, that of A is made once more for the next client.
        self._contexts = {**kept, chain: context}
        return context
