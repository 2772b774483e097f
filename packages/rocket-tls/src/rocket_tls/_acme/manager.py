"""Obtaining a certificate, and renewing it when it is time to."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rocket_tls._acme.challenges import Challenges
from rocket_tls._acme.clock import Clock
from rocket_tls._acme.progress import Progress, load_progress, store_progress
from rocket_tls._acme.settings import ACMESettings
from rocket_tls._certificates.sources import CertificateData, CertificateFiles, Content
from rocket_tls._errors import ACMEError, CertificateError
from rocket_tls._files import replace_file

if TYPE_CHECKING:
    from rocket_tls._acme.client import ACMEClient
    from rocket_tls._certificates.chain import CertificateChain

_log = logging.getLogger("rocket_tls.acme")

_BUSY: Final = timedelta(seconds=30)
"""Until a process looks again at what another one is doing, or does the next thing itself."""
_ASK_AGAIN: Final = timedelta(hours=6)
"""After the authority could not say when to renew (RFC 9773, section 4.3.3)."""


class Stopped(Exception):  # noqa: N818 - it is not an error
    """The manager was told to stop in the midst of its work."""


class ACMEManager:
    """Does what is due, for a directory that several processes may share.

    One process at a time works, the one that holds the lock (flock). What has come of it is in
    files, from which the others tell that nothing is due any more.
    """

    def __init__(
        self, settings: ACMESettings, directory: Path, clock: Clock, jitter: Callable[[], float]
    ) -> None:
        self.settings = settings
        self.files = CertificateFiles(directory / "certificate.pem")
        self.challenges = Challenges(directory)
        self._directory = directory
        self._progress = directory / "progress.json"
        self._clock = clock
        self._jitter = jitter
        self._wanted = " ".join([*settings.names, settings.server, settings.challenge.value])

    @property
    def progress(self) -> Progress:
        """How far it has come. What was meant for other settings does not count."""
        progress = load_progress(self._progress)
        return progress if progress.wanted == self._wanted else Progress(server=progress.server)

    def turn(self, stopping: threading.Event) -> datetime:
        """Do what is due; when to call this again. Raises `Stopped`, and `OSError`."""
        now = self._clock.now()
        due = self._due(now)
        if due > now:
            return due
        with self._locked() as held:
            if not held:
                return now + _BUSY * (1 + self._jitter())
            due = self._due(now)  # another process may have done it meanwhile
            if due > now:
                return due
            self._attempt(now, stopping)
            return max(self._due(now), now + _BUSY)

    # -- when ------------------------------------------------------------------------------------

    def certificate(self) -> CertificateChain | None:
        """What is in the file, where it is for the names that are wanted."""
        from rocket_tls._certificates.loading import load_chain

        try:
            chain = load_chain(self.files, self.files.read())
        except CertificateError:
            return None
        return chain if chain.names == frozenset(self.settings.names) else None

    def _due(self, now: datetime) -> datetime:
        progress, chain = self.progress, self.certificate()
        due = now
        if (
            chain is not None
            and progress.server == self.settings.server
            and progress.certificate == _serial(chain)
        ):
            times = (progress.renew, progress.ask)
            due = min((each for each in times if each is not None), default=now)
        return due if progress.retry is None else max(due, progress.retry)

    def _plan(
        self, client: ACMEClient, chain: CertificateChain, progress: Progress, now: datetime
    ) -> Progress:
        """When to renew ``chain``: when the authority says (RFC 9773), else by its age."""
        renew = progress.renew if progress.certificate == _serial(chain) else None
        ask = None
        if now < chain.expires:
            try:
                suggestion = client.suggestion(chain.certificates[0])
            except ACMEError as error:
                _log.warning("when to renew %s is not known: %s", self._names, error)
                ask = now + _ASK_AGAIN
            else:
                if suggestion is not None and suggestion.start < chain.expires:
                    ask = now + suggestion.pause
                    if renew is None or not suggestion.start <= renew <= suggestion.end:
                        window = suggestion.end - suggestion.start
                        renew = suggestion.start + window * self._jitter()
        if renew is None:
            # A third of the life is left, and a little more, so that not all come at once.
            life = chain.expires - chain.not_before
            renew = chain.expires - life / 3 - life / 30 * self._jitter()
        return Progress(
            wanted=self._wanted,
            server=self.settings.server,
            certificate=_serial(chain),
            renew=renew,
            ask=ask,
        )

    # -- with the lock held ------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        """Keep other processes from working; whether none of them does."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def _attempt(self, now: datetime, stopping: threading.Event) -> None:
        try:
            self.challenges.clear()  # of a process that was killed
            try:
                progress = self._advance(now, stopping)
            finally:
                self.challenges.clear()
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            known = isinstance(error, ACMEError | OSError)
            pause = error.pause if isinstance(error, ACMEError) else None
            progress = replace(self.progress, wanted=self._wanted).failed(
                str(error), now, self._jitter(), pause
            )
            self._report(error, progress, exc_info=not known)
        store_progress(self._progress, progress)

    def _advance(self, now: datetime, stopping: threading.Event) -> Progress:
        from rocket_tls._acme.client import ACMEClient

        def pause(seconds: float) -> None:
            if stopping.wait(seconds):
                raise Stopped

        progress, chain = self.progress, self.certificate()
        with ACMEClient(self.settings, self._directory / "account.json", pause) as client:
            if chain is not None and progress.server in {"", self.settings.server}:
                progress = self._plan(client, chain, progress, now)
                if progress.renew is not None and progress.renew > now:
                    return progress
                replaced = chain.certificates[0]
            else:
                replaced = None
            chain = self._install(client.issue(self.challenges, replaced))
            progress = self._plan(client, chain, Progress(), now)
        _log.info(
            "%s has issued a certificate for %s; it expires on %s and is renewed from %s on",
            self.settings.host,
            self._names,
            _date(chain.expires),
            _date(progress.renew or chain.expires),
        )
        return progress

    def _install(self, content: bytes) -> CertificateChain:
        from rocket_tls._certificates.loading import load_chain

        try:
            chain = load_chain(CertificateData(content, content), Content(content, content))
        except CertificateError as error:
            raise ACMEError(
                f"{self.settings.host} has issued what cannot be used: {error}"
            ) from error
        if chain.names != frozenset(self.settings.names):
            raise ACMEError(
                f"{self.settings.host} has issued a certificate for "
                f"{', '.join(sorted(chain.names)) or 'no name'} instead"
            )
        replace_file(self.files.certificate, content, mode=0o600)
        return chain

    # -- saying so -------------------------------------------------------------------------------

    @property
    def _names(self) -> str:
        return ", ".join(self.settings.names)

    def _report(self, error: Exception, progress: Progress, *, exc_info: bool) -> None:
        chain = self.certificate()
        _log.error(
            "no new certificate for %s: %s; %s, and it is tried again at %s",
            self._names,
            error,
            f"the present one stays, which expires on {_date(chain.expires)}"
            if chain is not None
            else "there is none for these names yet",
            "once" if progress.retry is None else _date(progress.retry),
            exc_info=exc_info,
        )


def _serial(chain: CertificateChain) -> str:
    return f"{chain.certificates[0].serial_number:x}"


def _date(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
