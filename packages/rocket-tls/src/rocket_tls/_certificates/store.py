"""The certificates of a listener, chosen by name and replaced while they are served."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Iterable
from typing import Final, NamedTuple

from rocket_tls._acme.acme import ACME
from rocket_tls._certificates.chain import CertificateChain
from rocket_tls._certificates.expiry import ExpiryWarnings, warn_of_beginning
from rocket_tls._certificates.sources import CertificateFiles, Pair, Signature, Source
from rocket_tls._errors import CertificateError, NoCertificateError, UnreadableError

_log = logging.getLogger("rocket_tls.certificate")

_PAUSE: Final = 1.0
"""Seconds from one look at everything to the next."""


class _Entry:
    """One pair: what of it is in service, and what was last seen of it."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.chain: CertificateChain | None = None
        self._seen: Signature | None = None
        self._complaint: str | None = None
        self._expiry: ExpiryWarnings | None = None

    @property
    def changed(self) -> bool:
        return self.pair.signature() != self._seen

    def load(self) -> None:
        """Load the pair; on failure, what is in service stays. Raises `CertificateError`."""
        from rocket_tls._certificates.loading import load_chain

        try:
            content = self.pair.read()
            self._seen = content.signature
            chain = load_chain(self.pair, content)
            chain.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        except UnreadableError:
            # Tried again by the next connection, as running out of descriptors, or a directory that
            # may not be searched, passes without a change of the files.
            self._seen = None
            raise
        warn_of_beginning(chain)
        self.chain, self._complaint = chain, None
        self._expiry = ExpiryWarnings(chain)
        self._expiry.check()

    def complain(self, error: CertificateError) -> None:
        """Tell the log of ``error``, unless that was said last."""
        if str(error) != self._complaint:
            self._complaint = str(error)
            kept = "the previous certificate stays in service" if self.chain else "left out"
            _log.error("%s (%s)", error, kept)

    def check_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.check()


class _Snapshot(NamedTuple):
    """What is in service; replaced as a whole."""

    entries: tuple[_Entry, ...]
    names: dict[str, _Entry]

    def find(self, name: str | None, address: str) -> _Entry:
        """Raises `NoCertificateError`."""
        if name is None:
            found = self.names.get(address)
        else:
            name = name.lower()
            # One label takes the place of the asterisk (RFC 9525, section 6.3).
            found = self.names.get(name) or self.names.get("*." + name.partition(".")[2])
        if found is None and not self.entries:
            raise NoCertificateError("there is no certificate yet")
        return found or self.entries[0]


class CertificateStore:
    """Certificates, of which each client is served the one for the name it asks for.

    That is the one with exactly this name, else the one whose name begins with ``*.`` in place of
    its first label, else the first of all. Clients that connect to an IP address ask for no name
    (RFC 6066, section 3); they get the one with the address they have reached, else the first. Of
    two certificates for a name the first is served.

    What was changed is loaded when a client connects: its own certificate's files are looked at
    each time, all others once a second at most. New material is checked before it is in service;
    while it cannot be used, the old one stays. Only where all sources are an `ACME` there may be
    no certificate; clients are refused until there is one.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        """Load all certificates. The first one is for clients that no other one is for.

        Raises:
            ValueError: there is no source.
            CertificateError: one of the certificates or keys cannot be used.
        """
        self._sources = tuple(sources)
        if not self._sources:
            raise ValueError("a CertificateStore needs a certificate")
        # _lock guards _entries with what is in each of them, _members and _complaints.
        self._lock = threading.Lock()
        self._entries: dict[object, _Entry] = {}
        self._members: dict[Source, list[object]] = {}
        self._complaints: dict[Source, str] = {}
        self._next_look = 0.0
        self._snapshot = _Snapshot((), {})
        self._authorities = [each for each in self._sources if isinstance(each, ACME)]
        self.reload()

    @property
    def chains(self) -> tuple[CertificateChain, ...]:
        """What is in service, the default first; its `expires` is for monitoring."""
        return tuple(each.chain for each in self._snapshot.entries if each.chain is not None)

    def reload(self) -> None:
        """Load everything now, changed or not. Any thread may call this.

        Raises `CertificateError`, which tells of all that cannot be used; of that, the previous
        certificates stay in service.
        """
        with self._lock:
            errors = self._look(aloud=False)
        if errors:
            raise CertificateError("; ".join(map(str, errors)))

    @property
    def in_validation(self) -> bool:
        """Whether an authority may validate a name in a handshake now."""
        return any(each.in_handshakes for each in self._authorities)

    def validation(self, name: str) -> ssl.SSLContext | None:
        """What an authority is shown that validates ``name``; None when none is about to."""
        found = (each.validation(name) for each in self._authorities)
        return next((each for each in found if each is not None), None)

    def choose(self, name: str | None, address: str) -> CertificateChain:
        """The chain for a client that asks for ``name``, or for none at ``address``.

        Raises `NoCertificateError`.
        """
        now = time.monotonic()
        if now >= self._next_look and self._lock.acquire(blocking=False):
            try:
                self._next_look = now + _PAUSE
                self._look(aloud=True)
            finally:
                self._lock.release()
        entry = self._snapshot.find(name, address)
        # One thread loads; the others are served what there is.
        if entry.changed and self._lock.acquire(blocking=False):
            try:
                self._follow(entry)
                self._publish()
            finally:
                self._lock.release()
            entry = self._snapshot.find(name, address)
        chain = entry.chain
        assert chain is not None  # noqa: S101 - of what is published
        return chain

    # -- with the lock held ----------------------------------------------------------------------

    def _look(self, *, aloud: bool) -> list[CertificateError]:
        """Find what there is, load it, and publish it; what went wrong.

        ``aloud``: what has not changed is left, and the log is told.
        """
        errors: list[CertificateError] = []
        entries: dict[object, _Entry] = {}
        for source in self._sources:
            entries |= self._find(source, errors, aloud=aloud)
        self._entries = entries
        for entry in entries.values():
            if not aloud or entry.changed:
                error = self._follow(entry, aloud=aloud)
                if error is not None:
                    errors.append(error)
            entry.check_expiry()
        if any(entry.chain for entry in entries.values()):
            self._publish()
        return errors

    def _find(
        self, source: Source, errors: list[CertificateError], *, aloud: bool
    ) -> dict[object, _Entry]:
        try:
            pairs = source.members()
            self._complaints.pop(source, None)
        except CertificateError as error:
            errors.append(error)
            if aloud and self._complaints.get(source) != str(error):
                self._complaints[source] = str(error)
                _log.error("%s (the previous certificates stay in service)", error)
            return {key: self._entries[key] for key in self._members.get(source, ())}
        found: dict[object, _Entry] = {}
        for pair in pairs:
            key = pair.certificate if isinstance(pair, CertificateFiles) else pair
            found[key] = entry = self._entries.get(key) or _Entry(pair)
            entry.pair = pair
        self._members[source] = list(found)
        return found

    def _follow(self, entry: _Entry, *, aloud: bool = True) -> CertificateError | None:
        done = "is in service" if entry.chain is None else "was replaced and is in service"
        try:
            entry.load()
        except CertificateError as error:
            if aloud:
                entry.complain(error)
            return error
        if aloud:
            _log.info("%s %s", entry.pair.certificate_name, done)
        return None

    def _publish(self) -> None:
        entries = tuple(each for each in self._entries.values() if each.chain is not None)
        names: dict[str, _Entry] = {}
        for entry in entries:
            for name in entry.chain.names if entry.chain is not None else ():
                names.setdefault(name, entry)
        self._snapshot = _Snapshot(entries, names)
