"""The SSL context that every handshake begins with, and the choice of a certificate."""

from __future__ import annotations

import logging
import re
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from rocket_core.extending import FaultLog
from rocket_tls._certificates.chain import CertificateChain
from rocket_tls._certificates.store import CertificateStore
from rocket_tls._context.alpn import ACME_TLS, Negotiation, forbids_http_2, speak, validates
from rocket_tls._context.client_hello import offers_of
from rocket_tls._context.server_side import ServerSide
from rocket_tls._context.settings import TLSSettings
from rocket_tls._context.unraisable_hook import ignore_invalid_server_names
from rocket_tls._errors import NoCertificateError
from rocket_tls._faults import NO_CERTIFICATE, NO_CHOICE, NO_PROTOCOL, NOT_PENDING
from rocket_tls._files import memory_file

if TYPE_CHECKING:
    from rocket_tls._context.trust import Trust

_log = logging.getLogger("rocket_tls.certificate")

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,255}", re.ASCII)
"""The server names that are looked up. Another name counts as no name."""

_NO_APPLICATION_PROTOCOL: Final = 120
"""The alert no_application_protocol (RFC 7301, section 3.2), for which Python has no name."""


class _RefusedError(Exception):
    """The client is refused, for a reason in a few words and with an alert."""

    def __init__(self, reason: str, alert: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.alert = alert


class FirstContext:
    """The context that handshakes begin with, and the contexts of the certificates in service.

    Attributes:
        context: the context that handshakes begin with; it has the keys of session tickets.
        negotiation: the protocols among which clients choose.
        trust: the CAs of clients that it verifies with, if any.
    """

    def __init__(self, store: CertificateStore, settings: TLSSettings, trust: Trust | None) -> None:
        self.trust: Final = trust
        self._store = store
        self._settings = settings
        self._contexts: dict[tuple[CertificateChain, tuple[str, ...]], ssl.SSLContext] = {}
        """The contexts of the certificates, each with the protocols that it speaks.

        The dictionary is replaced, and never changed.
        """
        self.context: Final = settings.make_context(trust)
        self.negotiation: Final = Negotiation(
            None if settings.protocols is None else tuple(settings.protocols),
            http_2_needs_tls_1_3=forbids_http_2(self.context),
        )
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
            tls.context = self._context_for(tls, name)
        except _RefusedError as refused:
            reason, alert = refused.reason, refused.alert
        except NoCertificateError:
            reason, alert = NO_CERTIFICATE, ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        except Exception as error:  # noqa: BLE001 - or it would be printed, the client left to guess
            self._fault_log.report(_log, error, NO_CHOICE)
            reason, alert = NO_CHOICE, ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        else:
            return None
        if isinstance(tls, ServerSide):
            tls.refusal = reason
        return alert

    def _context_for(self, tls: ssl.SSLObject | ssl.SSLSocket, name: str | None) -> ssl.SSLContext:
        """Return the context that a handshake goes on with.

        Raises `_RefusedError`, `NoCertificateError`, and what a source of certificates may raise.
        """
        if name is not None and not _NAME.fullmatch(name):
            name = None
        address, began, protocols = "", None, self.negotiation.protocols
        if isinstance(tls, ServerSide):
            began = tls.began
            if name is not None:
                tls.server_name = name
            if tls.hello is not None:
                if self._store.expects_validation() and validates(offers_of(tls.hello)):
                    return self._validation_context(name)
                protocols = self._protocols_for(tls.hello)
            address = tls.local.host.partition("%")[0] if tls.local is not None else ""
        chain = self._store.choose(name, address, began)
        return self._contexts.get((chain, protocols)) or self._make(chain, protocols)

    def _protocols_for(self, hello: bytes) -> tuple[str, ...]:
        """Return the protocols for a client. Raises `_RefusedError` if it offers others only."""
        protocols = self.negotiation.choose_from(hello)
        if protocols is None:
            raise _RefusedError(NO_PROTOCOL, _NO_APPLICATION_PROTOCOL)
        return protocols

    def _validation_context(self, name: str | None) -> ssl.SSLContext:
        """Return the context that shows a CA what it looks for (RFC 8737, section 3).

        Raises `_RefusedError` if no validation of this name is pending.
        """
        pem = None if name is None else self._store.validation_certificate(name.lower())
        if pem is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            speak(context, [ACME_TLS])
            with suppress(OSError), memory_file(pem) as path:  # ssl.SSLError is an OSError, too
                context.load_cert_chain(path)
                return context
        raise _RefusedError(NOT_PENDING, ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)

    def _make(self, chain: CertificateChain, protocols: tuple[str, ...]) -> ssl.SSLContext:
        context = self._settings.make_context(self.trust)
        speak(context, protocols)
        chain.load_into(context)
        live = set(self._store.chains)
        kept = {each: made for each, made in self._contexts.items() if each[0] in live}
        # Two handshakes may need a context that is missing:
        # 1. Threads A and B find no context for the chain, and each makes one.
        # 2. A replaces the dictionary by one with its context.
        # 3. B, which has read the dictionary before, replaces it by one with its own.
        # Both handshakes go on with equal contexts. One of them is not kept, and if B has made the
        # context of another chain, that of A is made once more for the next client.
        self._contexts = {**kept, (chain, protocols): context}
        return context
