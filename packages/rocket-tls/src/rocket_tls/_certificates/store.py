"""The certificates of a listener, chosen by name and replaced while they are served.

Theory of operation: handshakes on any number of threads ask for a certificate, and no handshake may
wait while another one reads files.

* `_Snapshot` is what is in service. It is never changed, only replaced as a whole, so any thread
  reads it without a lock.
* The lock belongs to the thread that looks for changes and loads them; at its end it publishes a
  new snapshot. A handshake that finds work to do tries to take the lock. If another thread has it,
  the handshake goes on with the present snapshot: that was right a moment ago.
* Only `CertificateStore.reload`, which promises that everything is loaded, waits for the lock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Hashable, Iterable
from typing import Final, NamedTuple

from rocket_tls._certificates.chain import CertificateChain
from rocket_tls._certificates.served_pair import ServedPair
from rocket_tls._certificates.source import HandshakeValidator, Source
from rocket_tls._errors import CertificateError, NoCertificateError, SourceFailedError

_log = logging.getLogger("rocket_tls.certificate")

_PAUSE: Final = 1.0
"""Seconds from one look at all sources to the next."""


class _Snapshot(NamedTuple):
    """The pairs in service, and which of them is for a name."""

    pairs: tuple[ServedPair, ...]
    names: dict[str, ServedPair]

    def find(self, name: str | None, address: str) -> ServedPair:
        """Return the pair for a client. Raises `NoCertificateError`."""
        if name is None:
            found = self.names.get(address)
        else:
            name = name.lower()
            # The asterisk stands for one label (RFC 9525, section 6.3).
            found = self.names.get(name) or self.names.get("*." + name.partition(".")[2])
        if found is None and not self.pairs:
            raise NoCertificateError("there is no certificate yet")
        return found or self.pairs[0]


class _SourceState:
    """A source, and what it returned last."""

    __slots__ = ("complaint", "failed", "identities", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.failed = False
        self.identities: list[Hashable] = []
        self.complaint: str | None = None


class CertificateStore:
    """Certificates, and the choice of a certificate by the name that a client asks for.

    A client is served the first certificate with exactly this name, else the first certificate
    whose name has an asterisk in place of the first label, else the first of all. A client that
    connects to an IP address asks for no name (RFC 6066, section 3) and gets the certificate for
    the address that it has reached, else the first of all.

    Changes are loaded in a handshake: the store looks at the files of the client's own certificate,
    unless it has done so since the client connected, and at all others once a second at most. New
    certificates are checked before they go into service; while one cannot be used, the previous one
    stays. While the sources have no certificate at all, as an `ACME` at its beginning, clients are
    refused.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        """Load all certificates. The first one is for clients that no other one is for.

        Raises:
            ValueError: there is no source.
            CertificateError: one of the certificates or keys cannot be used.
        """
        self._sources = [_SourceState(each) for each in sources]
        if not self._sources:
            raise ValueError("a CertificateStore needs at least one source of certificates")
        self._lock = threading.Lock()
        """Guards _pairs with what is in them, the states of the sources, and _next_look."""
        self._pairs: dict[Hashable, ServedPair] = {}
        self._next_look = 0.0
        self._snapshot = _Snapshot((), {})
        self._failed = 0
        self._validators = [
            each.source for each in self._sources if isinstance(each.source, HandshakeValidator)
        ]
        self.reload()

    @property
    def chains(self) -> tuple[CertificateChain, ...]:
        """The certificates in service, the default first; `expires` is for monitoring."""
        return tuple(each.chain for each in self._snapshot.pairs if each.chain is not None)

    @property
    def failed(self) -> int:
        """How many certificates, and sources of certificates, could not be used when last tried.

        In their place the previous certificates stay in service, if there are any. What has changed
        is tried by the next handshake. Any thread may read this.
        """
        return self._failed

    def reload(self) -> None:
        """Load everything now, changed or not. Any thread may call this.

        Raises `CertificateError`, which tells of everything that cannot be used; in its place the
        previous certificates stay in service.
        """
        with self._lock:
            errors = self._refresh()
        if errors:
            raise CertificateError("; ".join(map(str, errors)))

    def expects_validation(self) -> bool:
        """Return whether a CA may validate a name in a handshake now."""
        validators = self._validators  # mostly none, which each new client asks for
        return bool(validators) and any(each.expects_validation() for each in validators)

    def validation_certificate(self, server_name: str) -> bytes | None:
        """Return the certificate that proves the control of a name, with its key, if any."""
        found = (each.validation_certificate(server_name) for each in self._validators)
        return next((each for each in found if each is not None), None)

    def choose(
        self, name: str | None, address: str, began: float | None = None
    ) -> CertificateChain:
        """Return the certificate for a client. Any thread may call this.

        Args:
            name: the host name that the client asks for; None if it asks for none.
            address: the IP address that it has reached, or an empty string.
            began: when it connected, by `time.monotonic`; None for just now.

        Raises:
            NoCertificateError: there is no certificate yet.
        """
        now = time.monotonic()
        if now >= self._next_look and self._lock.acquire(blocking=False):
            try:
                # Two handshakes may find that a look is due:
                # 1. Thread A and thread B read that the time has come.
                # 2. A takes the lock, looks at all sources, and releases the lock.
                # 3. B takes the lock.
                # So B reads the time again, with the lock held.
                if now >= self._next_look:
                    self._next_look = now + _PAUSE
                    self._follow()
            finally:
                self._lock.release()
        pair = self._snapshot.find(name, address)
        if pair.changed_since(now if began is None else began, now) and self._lock.acquire(
            blocking=False
        ):
            try:
                if pair.changed:  # the same race as above
                    pair.load_and_log()
                    self._publish()
            finally:
                self._lock.release()
            pair = self._snapshot.find(name, address)
        chain = pair.chain
        assert chain is not None  # noqa: S101 - a snapshot has no other pairs
        return chain

    # -- with the lock held ----------------------------------------------------------------------

    def _refresh(self) -> list[CertificateError]:
        """Load every pair, and publish the result; return what cannot be used."""
        errors: list[CertificateError] = []
        self._find_pairs(errors)
        for pair in self._pairs.values():
            try:
                pair.load()
            except CertificateError as error:
                errors.append(error)
            pair.check_expiry()
        self._publish()
        return errors

    def _follow(self) -> None:
        """Load the pairs that have changed, and publish the result; the log is told."""
        self._find_pairs(None)
        for pair in self._pairs.values():
            if pair.changed:
                pair.load_and_log()
            pair.check_expiry()
        self._publish()

    def _find_pairs(self, errors: list[CertificateError] | None) -> None:
        """Ask the sources for their pairs; errors go into the list, or to the log without one."""
        pairs: dict[Hashable, ServedPair] = {}
        for state in self._sources:
            try:
                pairs |= self._pairs_of(state)
            except CertificateError as error:
                state.failed = True
                pairs |= {each: self._pairs[each] for each in state.identities}
                if errors is not None:
                    errors.append(error)
                elif str(error) != state.complaint:
                    state.complaint = str(error)
                    _log.error("%s (the previous certificates stay in service)", error)
            else:
                state.failed = False
                state.complaint = None
        self._pairs = pairs

    def _pairs_of(self, state: _SourceState) -> dict[Hashable, ServedPair]:
        try:
            pairs = state.source.pairs()
        except CertificateError:
            raise
        except Exception as error:  # whatever a source raises, what is in service must stay
            raise SourceFailedError(f"source of certificates {state.source!r}", error) from error
        found: dict[Hashable, ServedPair] = {}
        for pair in pairs:
            served = self._pairs.get(pair.identity)
            if served is None:
                served = ServedPair(pair)
            served.pair = pair
            found[pair.identity] = served
        state.identities = list(found)
        return found

    def _publish(self) -> None:
        """Replace the snapshot. The certificates in service stay if there would be none."""
        self._failed = sum(each.failed for each in self._pairs.values()) + sum(
            each.failed for each in self._sources
        )
        pairs = tuple(each for each in self._pairs.values() if each.chain is not None)
        if not pairs:
            return
        names: dict[str, ServedPair] = {}
        for pair in pairs:
            for name in pair.chain.names if pair.chain is not None else ():
                names.setdefault(name, pair)
        self._snapshot = _Snapshot(pairs, names)
