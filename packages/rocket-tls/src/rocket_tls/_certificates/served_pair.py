"""A pair of a certificate store: what of it is in service, and what was last seen of it."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Hashable
from math import inf
from typing import Final

from rocket_tls._certificates.chain import CertificateChain
from rocket_tls._certificates.expiry import ExpiryWarnings, warn_if_not_valid_yet
from rocket_tls._certificates.source import Pair, PairContent
from rocket_tls._errors import CertificateError, SourceFailedError, UnreadableError

_log = logging.getLogger("rocket_tls.certificate")

_FRESH: Final = 0.1
"""Seconds for which a look at a pair counts for other clients: some connect long before they begin
with the handshake."""


class ServedPair:
    """A pair, its content in service, and its content that was last tried.

    Only the thread that holds the store's lock calls the methods; `changed`, `changed_since` and
    `chain` are for any thread.

    Attributes:
        pair: the pair, as its source returned it last.
        chain: what is in service; None if nothing of it could be used so far.
        failed: whether the content that was last tried could not be used.
    """

    __slots__ = ("_complaint", "_expiry", "_looked_at", "_tried", "chain", "failed", "pair")

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.chain: CertificateChain | None = None
        self.failed = False
        self._tried: Hashable | None = None
        self._complaint: str | None = None
        self._expiry: ExpiryWarnings | None = None
        self._looked_at = -inf
        """When the last look that found no change began, by `time.monotonic`."""

    @property
    def changed(self) -> bool:
        """Whether the pair has changed since its content was last tried."""
        return self.pair.revision() != self._tried

    def changed_since(self, began: float, now: float) -> bool:
        """Return whether the pair has changed, for a client that connected when it was ``began``.

        A look makes system calls in the middle of a handshake. If clients have to wait, one look
        serves all clients that connected before it. Both times are by `time.monotonic`.
        """
        if began < self._looked_at and now - self._looked_at < _FRESH:
            return False
        changed = self.changed
        if not changed:
            # 1. Thread A begins a look, and then thread B. 2. B notes the time of its look. 3. A
            # notes the time of its own, which is earlier. Then a client looks that need not.
            self._looked_at = now
        return changed

    def load(self) -> None:
        """Put the present content into service.

        Raises `CertificateError`; then the previous content stays.
        """
        from rocket_tls._certificates.loading import load_chain

        self.failed = True
        try:
            content = self._read()
            self._tried = content.revision
            chain = load_chain(self.pair, content)
            chain.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        except UnreadableError:
            # The next connection tries it again: a lack of descriptors, or a directory that may not
            # be searched, passes without a change of the files.
            self._tried = None
            raise
        warn_if_not_valid_yet(chain)
        self.chain, self._complaint = chain, None
        self.failed = False
        self._expiry = ExpiryWarnings(chain)
        self._expiry.check()

    def _read(self) -> PairContent:
        try:
            return self.pair.read()
        except CertificateError:
            raise
        except Exception as error:  # whatever a source raises, what is in service must stay
            raise SourceFailedError(self.pair.certificate_name, error) from error

    def load_and_log(self) -> None:
        """Put the present content into service, and tell the log what came of that."""
        done = "is in service" if self.chain is None else "was replaced and is in service"
        try:
            self.load()
        except CertificateError as error:
            self._complain(str(error))
        else:
            _log.info("%s %s", self.pair.certificate_name, done)

    def _complain(self, complaint: str) -> None:
        if complaint == self._complaint:
            return
        self._complaint = complaint
        kept = "the previous certificate stays" if self.chain else "this certificate is not"
        _log.error("%s (%s in service)", complaint, kept)

    def check_expiry(self) -> None:
        """Log a warning about the certificate in service, if one is due."""
        if self._expiry is not None:
            self._expiry.check()
