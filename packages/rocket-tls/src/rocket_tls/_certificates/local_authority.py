"""Certificates for development, from a certificate authority in a directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rocket_tls._errors import CertificateError

if TYPE_CHECKING:
    from rocket_tls._certificates.issuing import Pair


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """The files of a certificate that a `LocalAuthority` has issued.

    Attributes:
        certificate: the server's certificate, in PEM form.
        key: its private key, in PEM form, readable by its owner alone.
    """

    certificate: Path
    key: Path


class LocalAuthority:
    """A certificate authority for one's own machine.

    Clients that trust its root certificate trust every certificate it issues. Keys are of the curve
    P-256. What was made before is used again, and made anew within 30 days of its expiry: the root
    after ten years, others after 397 days. Several processes may share a directory.
    """

    def __init__(self, directory: Path) -> None:
        """Open the authority kept in ``directory``, or make one there.

        A directory that does not exist is made, for its owner alone. Raises `CertificateError` when
        it cannot be written to.
        """
        self._directory = directory
        self._root = IssuedCertificate(directory / "root.pem", directory / "root-key.pem")
        with self._locked():
            self._open_root()

    @property
    def certificate(self) -> Path:
        """The root certificate, in PEM form, for clients to trust."""
        return self._root.certificate

    def issue(self, names: Iterable[str]) -> IssuedCertificate:
        """A certificate for ``names``: host names, ``*.`` and a host name, and IP addresses.

        Raises `CertificateError` for anything else, and when the directory cannot be written to.
        """
        from rocket_tls._certificates.issuing import (
            make_leaf,
            read_alternatives,
            stem_of,
            store,
            stored,
        )

        alternatives = read_alternatives(names)
        stem = stem_of(alternatives)
        issued = IssuedCertificate(
            self._directory / f"{stem}.pem", self._directory / f"{stem}-key.pem"
        )
        with self._locked():
            root = self._open_root()
            if stored(issued, root.certificate) is None:
                store(issued, make_leaf(root, alternatives))
        return issued

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes out, and explain what the system refuses."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._directory, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)
        except OSError as error:
            raise CertificateError(
                f"cannot keep certificates in {self._directory} ({error.strerror}); "
                "name a directory that this user may write to"
            ) from error

    def _open_root(self) -> Pair:
        from rocket_tls._certificates.issuing import make_root, store, stored

        pair = stored(self._root)
        if pair is None:
            pair = make_root()
            store(self._root, pair)
        return pair
