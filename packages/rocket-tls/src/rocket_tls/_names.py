"""The names that a certificate is for: host names and IP addresses."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography import x509

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_HOST_NAME: Final = re.compile(
    rf"(?=.{{1,253}}\Z)(?:\*\.)?{_LABEL}(?:\.{_LABEL})*",
    re.ASCII,
)
"""A host name in lower case, perhaps with ``*`` as its first label. Underscores, which RFC 1123
does not allow, are usual in private networks."""


def canonical_name(name: str) -> str | None:
    """Return a host name or an IP address as certificates have it; None if it is neither.

    A host name becomes lower case, and ASCII where it is internationalized (RFC 5890).
    """
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        host = name.lower()
    try:
        host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    return host if _HOST_NAME.fullmatch(host) else None


def general_name(name: str) -> x509.DNSName | x509.IPAddress:
    """Return a canonical name as a subject alternative name (RFC 5280, section 4.2.1.6)."""
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
