"""Certificates from an authority that speaks ACME, such as Let's Encrypt."""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import ssl
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

from rocket_tls._acme.clock import Clock
from rocket_tls._acme.manager import ACMEManager, Stopped
from rocket_tls._acme.settings import LETS_ENCRYPT, ACMESettings, Challenge
from rocket_tls._certificates.sources import CertificateFiles
from rocket_tls._errors import ACMEError

_log = logging.getLogger("rocket_tls.acme")

_LIBRARIES: Final = ("acme", "josepy", "requests")
_AFTER_A_FAULT: Final = timedelta(minutes=5)
_STOPPING: Final = 5.0
"""Seconds for a request in flight to end."""


@dataclass(frozen=True, slots=True)
class ACMEStatus:
    """What has come of an `ACME`, by any of the processes that share its directory.

    Attributes:
        expires: when the certificate ceases to be valid; None: there is none.
        renews: when it is renewed; None: as soon as there is one, or now.
        failures: how often obtaining it has failed in a row.
        error: what the last failure was; empty without one.
        retries: when it is tried again after that.
    """

    expires: datetime | None
    renews: datetime | None
    failures: int
    error: str
    retries: datetime | None


class ACME:
    """A certificate that is obtained from an authority and renewed in time (RFC 8555).

    It is a source for a `CertificateStore`, which serves it within a second of its issue. Until
    there is one, clients are refused in their handshake rather than shown a certificate that
    nobody vouches for.

    A thread, between `start` and `stop`, sleeps until the next thing is due. It renews when the
    authority suggests to (RFC 9773), or else when a third of the certificate's life is left. When
    that fails, it is tried again after 3 minutes, then after twice as long each time up to 6 hours,
    or when the authority says; the certificate that is there stays in service.

    Several processes may share the directory, each with an `ACME` of its own: one at a time does
    the work, and all of them answer the authority.
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
        """Ask for nothing yet. Whoever does agrees to the terms of the authority.

        Args:
            directory: where the account, the certificate and pending challenges are kept. It will
                be made, for its owner alone.
            names: host names and IP addresses that the certificate is for.
            email: where the authority may send messages about it.
            server: URL of the authority's directory.
            server_ca: a PEM file of authorities to trust in connecting to ``server``; None: those
                that `requests` trusts.
            challenge: how the authority sees that the names are this server's. `TLS_ALPN_01` needs
                a `TLSListener` with this source that port 443 leads to; `HTTP_01` an HTTP server on
                port 80 that answers from `challenge`.
            external_account: the id of a key, and the key in base64url, by which an authority finds
                an account that was made elsewhere (RFC 8555, section 7.3.4).

        Raises:
            ACMEError: the package `acme` is not installed, or ``directory`` cannot be written to.
            ValueError: an argument is not what it must be.
        """
        if isinstance(names, str):
            raise TypeError("names is a string; use a list of them")
        missing = [each for each in _LIBRARIES if importlib.util.find_spec(each) is None]
        if missing:
            raise ACMEError(
                f"{missing[0]} is not installed, which ACME needs; "
                "pip install 'rocket-tls[acme]' brings it"
            )
        settings = ACMESettings(
            names=tuple(names),
            email=email,
            server=server,
            server_ca=server_ca,
            challenge=_member(challenge),
            external_account=external_account,
        )
        _check_directory(directory)
        self._clock = Clock()
        self._manager = ACMEManager(settings, directory, self._clock, secrets.SystemRandom().random)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Obtain the certificate, and renew it from now on, in a thread. After a fork, if any."""
        if self._thread is not None:
            return
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._stopping,), name="rocket-acme", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread, within 5 seconds; a request that takes longer is given up."""
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
                due = self._manager.turn(stopping)
            except Stopped:
                return
            except Exception:  # noqa: BLE001 - whatever it is, certificates must be renewed
                _log.exception("ACME in %s failed", self._manager.files.certificate.parent)
                due = self._clock.now() + _AFTER_A_FAULT
            self._clock.wait(stopping, due)

    # -- what it is asked, by any thread ---------------------------------------------------------

    @property
    def status(self) -> ACMEStatus:
        """How things are, as its files tell."""
        chain, progress = self._manager.certificate(), self._manager.progress
        return ACMEStatus(
            expires=None if chain is None else chain.expires,
            renews=progress.renew,
            failures=progress.failures,
            error=progress.error,
            retries=progress.retry,
        )

    def challenge(self, token: str) -> str | None:
        """What ``/.well-known/acme-challenge/TOKEN`` holds at present; None: nothing.

        A file of a hundred bytes is read. (RFC 8555, section 8.3)
        """
        return self._manager.challenges.key_authorization(token)

    # -- what a CertificateStore asks --------------------------------------------------------------

    def members(self) -> Sequence[CertificateFiles]:
        """The file of the certificate, once there is one."""
        files = self._manager.files
        return (files,) if files.certificate.exists() else ()

    @property
    def in_handshakes(self) -> bool:
        """Whether the authority may validate a name in a handshake now."""
        return self._manager.challenges.in_handshakes

    def validation(self, server_name: str) -> ssl.SSLContext | None:
        """What the authority is shown when it validates a name in a handshake."""
        return self._manager.challenges.context(server_name)


def _check_directory(directory: Path) -> None:
    present = next(each for each in (directory, *directory.absolute().parents) if each.exists())
    if not present.is_dir() or not os.access(present, os.W_OK | os.X_OK):
        raise ACMEError(
            f"certificates cannot be kept in {directory}; "
            "name a directory that this user may write to"
        )


def _member(challenge: Challenge | str) -> Challenge:
    try:
        return Challenge(challenge)
    except ValueError:
        names = ", ".join(repr(each.value) for each in Challenge)
        raise ValueError(f"{challenge!r} is none of {names}") from None
