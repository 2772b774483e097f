"""A certificate authority for development, in a directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rocket_tls._errors import CertificateError
from rocket_tls._local_authority.issued_certificate import IssuedCertificate

if TYPE_CHECKING:
    from rocket_tls._local_authority.issuing import KeyedCertificate


class LocalAuthority:
    """A certificate authority for one's own machine.

    A client that trusts its root certificate trusts every certificate that it issues. The keys are
    of the curve P-256. The root is valid for ten years, the others for 397 days. A certificate is
    used again until 30 days before its expiry, and then replaced. Several processes may share a
    directory: each takes a lock (flock) on it while it reads and writes.
    """

    def __init__(self, directory: Path) -> None:
        """Open the CA in ``directory``, or create one there.

        A directory that does not exist is created for its owner alone. Raises `CertificateError`
        if this user cannot write to it.
        """
        self._directory = directory
        self._root = IssuedCertificate(directory / "root.pem", directory / "root-key.pem")
        with self._locked():
            self._open_root()

    @property
    def certificate(self) -> Path:
        """The file with the root certificate that clients must trust, in PEM form."""
        return self._root.certificate

    def issue(self, names: Iterable[str]) -> IssuedCertificate:
        """Return a certificate for ``names``.

        A name is a host name, which may have ``*`` as its first label, or an IP address. Raises
        `CertificateError` for anything else, and if the directory cannot be written to.
        """
        from rocket_tls._local_authority import issuing

        alternatives = issuing.alternative_names(names)
        stem = issuing.file_stem(alternatives)
        issued = IssuedCertificate(
            self._directory / f"{stem}.pem", self._directory / f"{stem}-key.pem"
        )
        with self._locked():
            root = self._open_root()
            if issuing.load(issued, root.certificate) is None:
                issuing.store(issued, issuing.make_leaf(root, alternatives))
        return issued

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes out of the directory, and explain what the system refuses."""
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

    def _open_root(self) -> KeyedCertificate:
        from rocket_tls._local_authority import issuing

        root = issuing.load(self._root)
        if root is None:
            root = issuing.make_root()
            issuing.store(self._root, root)
        return root
