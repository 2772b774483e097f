"""The certificate that is wanted from an ACME server, and how to ask for it."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rocket_tls._names import canonical_name

LETS_ENCRYPT: Final = "https://acme-v02.api.letsencrypt.org/directory"
"""The URL of the directory of Let's Encrypt (RFC 8555, section 7.1.1)."""

_EMAIL: Final = re.compile(r"[!-~]+@[!-~]+", re.ASCII)


class Challenge(Enum):
    """The way in which a CA verifies that this server controls a name."""

    HTTP_01 = "http-01"
    """The CA fetches a resource over plain HTTP, from port 80 (RFC 8555, section 8.3)."""
    TLS_ALPN_01 = "tls-alpn-01"
    """The CA performs a TLS handshake on port 443 (RFC 8737)."""


@dataclass(frozen=True, slots=True)
class ACMESettings:
    """The arguments of `ACME`, checked. Raises `ValueError` for an argument that is not valid."""

    names: tuple[str, ...]
    email: str | None
    server: str
    server_ca: Path | None
    challenge: Challenge
    external_account: tuple[str, str] | None = field(repr=False)

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("a certificate needs a name; give a host name or an IP address")
        names = dict.fromkeys(map(_checked_name, self.names))
        object.__setattr__(self, "names", tuple(names))
        if self.email is not None and not _EMAIL.fullmatch(self.email):
            raise ValueError(
                f"{self.email!r} is not an email address; use one such as me@example.org"
            )
        parts = urlsplit(self.server)
        if parts.scheme != "https" or not parts.hostname:
            raise ValueError(
                f"{self.server!r} is not an ACME server; use the https:// URL of its directory"
            )
        if self.external_account is not None:
            _check_external_account(*self.external_account)

    @property
    def host(self) -> str:
        """The CA's host name, for messages."""
        return urlsplit(self.server).hostname or self.server


def _checked_name(name: str) -> str:
    if name.startswith("*."):
        raise ValueError(
            f"{name!r}: wildcards cannot be validated over HTTP or TLS; name each host, "
            "or use a certificate from files"
        )
    canonical = canonical_name(name)
    # Public CAs issue for the host names of RFC 1123, which have no underscore.
    if canonical is None or "_" in canonical:
        raise ValueError(f"{name!r} is not a valid name; use a host name or an IP address")
    return canonical


def _check_external_account(key_id: str, mac_key: str) -> None:
    try:
        decoded = base64.b64decode(mac_key + "=" * (-len(mac_key) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not key_id or not decoded:
        raise ValueError(
            "external_account is not valid; give the id of a key and the key, in base64url, as the "
            "CA gave them"
        )
