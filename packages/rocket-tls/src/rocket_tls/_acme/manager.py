"""Obtaining a certificate, and renewing it when that is due.

Several processes may share a directory, and any of them may end at any moment. What they have in
common are its files:

* ``lock``: the process that holds it (flock) does the work. The system releases the lock of a
  process that ends.
* ``account.json``, ``certificate.pem`` and ``progress.json``: what came of the work. Only the
  process with the lock replaces them, each as a whole; every process reads them without the lock.
* ``http-01`` and ``tls-alpn-01``: the pending challenges; see `Challenges`.

No process remembers what is due: it concludes that from the files each time. So the work of one
process is known to all of them, and to the next start.
"""

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
from rocket_tls._acme.progress import ASK_AGAIN, Progress, load_progress, store_progress
from rocket_tls._acme.settings import ACMESettings
from rocket_tls._certificates.certificate_data import CertificateData
from rocket_tls._certificates.certificate_files import CertificateFiles
from rocket_tls._errors import ACMEError, CertificateError
from rocket_tls._files import replace_file
from rocket_tls._texts import date_text

if TYPE_CHECKING:
    from rocket_tls._acme.client import ACMEClient
    from rocket_tls._certificates.chain import CertificateChain

_log = logging.getLogger("rocket_tls.acme")

_BUSY: Final = timedelta(seconds=30)
"""The pause before a process looks at the work of another one again, and between two tasks."""


class Stopped(Exception):  # noqa: N818 - it is not an error
    """The manager was told to stop while it worked."""


class ACMEManager:
    """Does what is due in a directory that several processes may share.

    Attributes:
        settings: the certificate that is wanted.
        files: the certificate that was obtained.
        challenges: the pending challenges.
    """

    def __init__(
        self, settings: ACMESettings, directory: Path, clock: Clock, jitter: Callable[[], float]
    ) -> None:
        """Do nothing yet; ``jitter`` returns random numbers from 0 to 1."""
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
        """The progress in the file. Progress for other settings does not count."""
        progress = load_progress(self._progress)
        return progress if progress.wanted == self._wanted else Progress(server=progress.server)

    def work(self, stopping: threading.Event) -> datetime:
        """Do what is due, and return when to call this again.

        Raises `Stopped` once ``stopping`` is set, and `OSError`.
        """
        now = self._clock.now()
        due = self._due(now)
        if due > now:
            return due
        with self._locked() as held:
            if not held:
                return now + _BUSY * (1 + self._jitter())
            # Another process may have worked just now:
            # 1. This process finds in the files that the renewal is due.
            # 2. The process that holds the lock stores the renewed certificate, and unlocks.
            # 3. This process gets the lock.
            # So what is due is concluded from the files again, with the lock held.
            due = self._due(now)
            if due > now:
                return due
            self._attempt(now, stopping)
            return max(self._due(now), now + _BUSY)

    # -- what is due, and when -------------------------------------------------------------------

    def certificate(self) -> CertificateChain | None:
        """Return the certificate in the file, if it is for the names that are wanted."""
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
        """Decide when to renew ``chain``: as the CA suggests (RFC 9773), else by its age."""
        renew = progress.renew if progress.certificate == _serial(chain) else None
        ask = None
        if now < chain.expires:
            try:
                suggestion = client.suggestion(chain.certificates[0])
            except ACMEError as error:
                _log.warning(
                    "the CA did not say when to renew the certificate for %s: %s; "
                    "it will be asked again",
                    self._names,
                    error,
                )
                ask = now + ASK_AGAIN
            else:
                if suggestion is not None and suggestion.start < chain.expires:
                    ask = now + suggestion.pause
                    if renew is None or not suggestion.start <= renew <= suggestion.end:
                        window = suggestion.end - suggestion.start
                        renew = suggestion.start + window * self._jitter()
        if renew is None:
            # A third of the life is left, and a random bit more, so that servers that were started
            # together do not renew together.
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
        """Keep other processes from working; False if one of them works already."""
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
            self.challenges.clear()  # a process that was killed may have left some
            try:
                progress = self._advance(now, stopping)
            finally:
                self.challenges.clear()
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, there must be another attempt
            expected = isinstance(error, ACMEError | OSError)
            pause = error.pause if isinstance(error, ACMEError) else None
            progress = replace(self.progress, wanted=self._wanted).failed(
                str(error), now, self._jitter(), pause
            )
            self._report(error, progress, exc_info=not expected)
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
            "%s issued a certificate for %s; it expires on %s and will be renewed from %s on",
            self.settings.host,
            self._names,
            date_text(chain.expires),
            date_text(progress.renew or chain.expires),
        )
        return progress

    def _install(self, content: bytes) -> CertificateChain:
        from rocket_tls._certificates.loading import load_chain

        issued = CertificateData(content, content)
        try:
            chain = load_chain(issued, issued.read())
        except CertificateError as error:
            raise ACMEError(
                f"{self.settings.host} issued a certificate that cannot be used: {error}"
            ) from error
        if chain.names != frozenset(self.settings.names):
            raise ACMEError(
                f"{self.settings.host} issued a certificate for "
                f"{', '.join(sorted(chain.names)) or 'no name'} instead"
            )
        replace_file(self.files.certificate, content, mode=0o600)
        return chain

    # -- the log -----------------------------------------------------------------------------------

    @property
    def _names(self) -> str:
        return ", ".join(self.settings.names)

    def _report(self, error: Exception, progress: Progress, *, exc_info: bool) -> None:
        chain = self.certificate()
        _log.error(
            "no new certificate for %s: %s; %s; the next attempt is %s",
            self._names,
            error,
            f"the present one stays in service and expires on {date_text(chain.expires)}"
            if chain is not None
            else "there is no certificate for these names yet",
            "due now" if progress.retry is None else f"on {date_text(progress.retry)}",
            exc_info=exc_info,
        )


def _serial(chain: CertificateChain) -> str:
    return f"{chain.certificates[0].serial_number:x}"
