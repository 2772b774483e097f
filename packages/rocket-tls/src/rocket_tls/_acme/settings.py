"""Which certificate is wanted, and from whom."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

LETS_ENCRYPT: Final = "https://acme-v02.api.letsencrypt.org/directory"

_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    re.ASCII,
)
_EMAIL: Final = re.compile(r"[!-~]+@[!-~]+", re.ASCII)


class Challenge(Enum):
    """How an authority sees that a name is under this server's control."""

    HTTP_01 = "http-01"
    """It fetches a resource over plain HTTP, from port 80 (RFC 8555, section 8.3)."""
    TLS_ALPN_01 = "tls-alpn-01"
    """It shakes hands over TLS, on port 443 (RFC 8737)."""


@dataclass(frozen=True, slots=True)
class ACMESettings:
    """As `ACME` explains them. Raises `ValueError` for what cannot be."""

    names: tuple[str, ...]
    email: str | None
    server: str
    server_ca: Path | None
    challenge: Challenge
    external_account: tuple[str, str] | None = field(repr=False)

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("a certificate for no name; give a host name or an IP address")
        names = dict.fromkeys(map(_checked_name, self.names))
        object.__setattr__(self, "names", tuple(names))
        if self.email is not None and not _EMAIL.fullmatch(self.email):
            raise ValueError(
                f"{self.email!r} is no address of mail; use one such as me@example.org"
            )
        parts = urlsplit(self.server)
        if parts.scheme != "https" or not parts.hostname:
            raise ValueError(
                f"{self.server!r} is no ACME server; use the https:// URL of its directory"
            )
        if self.external_account is not None:
            _check_binding(*self.external_account)

    @property
    def host(self) -> str:
        """The authority's host name, for messages."""
        return urlsplit(self.server).hostname or self.server


def _checked_name(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    if name.startswith("*."):
        raise ValueError(
            f"{name!r}: wildcards cannot be had over HTTP or TLS; name each host, "
            "or use a certificate from files"
        )
    try:
        host = name.lower() if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        host = ""
    if not _HOST_NAME.fullmatch(host):
        raise ValueError(f"{name!r} is no name; use a host name or an IP address")
    return host


def _check_binding(key_id: str, mac_key: str) -> None:
    try:
        decoded = base64.b64decode(mac_key + "=" * (-len(mac_key) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not key_id or not decoded:
        raise ValueError(
            "external_account is the id of a key and the key, in base64url, as the authority gave "
            "them"
        )
