"""Certificates from a CA that speaks ACME, such as Let's Encrypt."""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import threading
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from rocket_tls._acme.clock import Clock
from rocket_tls._acme.manager import ACMEManager, Stopped
from rocket_tls._acme.settings import LETS_ENCRYPT, ACMESettings, Challenge
from rocket_tls._acme.status import ACMEStatus
from rocket_tls._certificates.certificate_files import CertificateFiles
from rocket_tls._errors import ACMEError
from rocket_tls._texts import member_of

_log = logging.getLogger("rocket_tls.acme")

_LIBRARIES: Final = ("acme", "josepy", "requests")
_AFTER_A_FAULT: Final = timedelta(minutes=5)
_STOPPING: Final = 5.0
"""Seconds in which a request to the CA may still end."""


class ACME:
    """A certificate that is obtained from a CA and renewed in time (RFC 8555).

    It is a source for a `CertificateStore`, which has the certificate in service within a second
    of its issue. Until there is one, clients are refused in their handshake: a certificate that
    no CA vouches for would teach people to accept such certificates.

    Between `start` and `stop`, a thread sleeps until the next thing is due. It renews the
    certificate when the CA suggests (RFC 9773), or else when a third of its life is left.
    After a failure there is another attempt in 3 minutes, then after twice as long each time up to
    6 hours, or when the CA says; the present certificate stays in service.

    Several processes may share the directory, each with an `ACME` of its own: one at a time does
    the work, and all of them answer the CA.
    """

    def __init__(
        self,
        directory: Path,
        names: Iterable[str],
        *,
        email: str | None = None,
        server: str = LETS_ENCRYPT,
        server_ca: Path | None = None,
        challenge: Challenge | str = Challenge.TLS_ALPN_01,
        external_account: tuple[str, str] | None = None,
    ) -> None:
        """Check the arguments; nothing is requested before `start`.

        To obtain a certificate is to accept the terms of service of the CA.

        Args:
            directory: where the account, the certificate and pending challenges are kept. It is
                created for its owner alone.
            names: host names and IP addresses that the certificate is for.
            email: where the CA may send messages about the certificate.
            server: the URL of the CA's directory.
            server_ca: a PEM file with the CAs to trust in connecting to ``server``; None
                for those that `requests` trusts.
            challenge: how the CA verifies the control of the names, or the value of that.
                `TLS_ALPN_01` needs a `TLSListener` with this source that port 443 leads to;
                `HTTP_01` needs an HTTP server on port 80 that answers from `challenge`.
            external_account: the id of a key, and the key in base64url, by which the CA
                finds an account that was created elsewhere (RFC 8555, section 7.3.4).

        Raises:
            ACMEError: the package `acme` is not installed, or ``directory`` cannot be written to.
            TypeError: ``names`` is a string.
            ValueError: an argument is not valid.
        """
        if isinstance(names, str):
            raise TypeError("names is a string; use a list of them")
        missing = [each for each in _LIBRARIES if importlib.util.find_spec(each) is None]
        if missing:
            raise ACMEError(
                f"{missing[0]} is not installed, which ACME needs; "
                "install it with: pip install 'rocket-tls[acme]'"
            )
        settings = ACMESettings(
            names=tuple(names),
            email=email,
            server=server,
            server_ca=server_ca,
            challenge=member_of(Challenge, challenge),
            external_account=external_account,
        )
        _check_directory(directory)
        self._clock = Clock()
        self._manager = ACMEManager(settings, directory, self._clock, secrets.SystemRandom().random)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # -- life, one thread at a time --------------------------------------------------------------

    def start(self) -> None:
        """Obtain the certificate, and renew it from now on, in a thread.

        A process that forks calls this after that: threads do not survive a fork.
        """
        if self._thread is not None:
            return
        # `stop` may give up on a thread that waits for the CA:
        # 1. The event of that thread is set, and `stop` returns after some seconds.
        # 2. A new thread starts.
        # 3. The old thread goes on, and must find its own event set.
        # So each thread has an event of its own.
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._stopping,), name="rocket-acme", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread within 5 seconds; a request that takes longer is abandoned."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            thread.join(_STOPPING)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                due = self._manager.work(stopping)
            except Stopped:
                return
            except Exception:  # noqa: BLE001 - whatever it is, certificates must be renewed
                _log.exception(
                    "ACME in %s failed; the next attempt is in %d minutes",
                    self._manager.files.certificate.parent,
                    _AFTER_A_FAULT.total_seconds() // 60,
                )
                due = self._clock.now() + _AFTER_A_FAULT
            self._clock.wait(stopping, due)

    # -- questions, by any thread ----------------------------------------------------------------

    @property
    def status(self) -> ACMEStatus:
        """The present state, as the files in the directory tell it."""
        chain, progress = self._manager.certificate(), self._manager.progress
        return ACMEStatus(
            expires=None if chain is None else chain.expires,
            renews=progress.renew,
            failures=progress.failures,
            error=progress.error,
            retries=progress.retry,
        )

    def challenge(self, token: str) -> str | None:
        """Return the content of ``/.well-known/acme-challenge/TOKEN``; None if there is none.

        This reads a file of a hundred bytes. (RFC 8555, section 8.3)
        """
        return self._manager.challenges.key_authorization(token)

    # -- what a CertificateStore asks; see Source and HandshakeValidator ---------------------------

    def pairs(self) -> Sequence[CertificateFiles]:
        """Return the file of the certificate, once there is one."""
        files = self._manager.files
        return (files,) if files.certificate.exists() else ()

    def expects_validation(self) -> bool:
        """Return whether the CA may validate a name in a handshake now."""
        return self._manager.challenges.expects_validation()

    def validation_certificate(self, server_name: str) -> bytes | None:
        """Return the certificate that proves the control of a name, with its key, if any."""
        return self._manager.challenges.validation_certificate(server_name)


def _check_directory(directory: Path) -> None:
    present = next(each for each in (directory, *directory.absolute().parents) if each.exists())
    if not present.is_dir() or not os.access(present, os.W_OK | os.X_OK):
        raise ACMEError(
            f"certificates cannot be kept in {directory}; "
            "name a directory that this user may write to"
        )
