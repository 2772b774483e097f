"""The files that hold a certificate and its key."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rocket_tls._errors import UnreadableError

Signature = tuple[tuple[int, ...] | None, ...]
"""What changes whenever one of the files is replaced or written to."""


class Content(NamedTuple):
    """What the files hold, in PEM form (RFC 7468)."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The paths of a certificate, followed by its chain, and of its private key.

    They may be the same.
    """

    certificate: Path
    key: Path

    def signature(self) -> Signature:
        """Two calls of `os.stat`: cheap enough for each new connection."""
        return (_signature(self.certificate), _signature(self.key))

    def read(self) -> Content:
        """Read both files. Raises `CertificateError`."""
        return Content(_read("certificate", self.certificate), _read("key", self.key))


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    # The time of the last change of status also tells of permissions that were put right, and of
    # tools that set the time of modification back.
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _read(kind: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(
            f"{kind} file {path} cannot be read ({error.strerror}); "
            "name a PEM file that this user may read"
        ) from error
