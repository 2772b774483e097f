"""What a listener offers its clients, apart from certificates."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

if TYPE_CHECKING:
    from rocket_tls._context.trust import Trust


class Profile(Enum):
    """Configurations that Mozilla recommends (Server Side TLS, version 6.0)."""

    MODERN = "modern"
    """TLS 1.3 only."""
    INTERMEDIATE = "intermediate"
    """TLS 1.2 and 1.3, for a server that anybody may visit."""


class ClientCertificates(Enum):
    """Whether clients show a certificate (mutual TLS)."""

    OFF = "off"
    """They are not asked."""
    OPTIONAL = "optional"
    """They may. A certificate that cannot be verified fails the handshake."""
    REQUIRED = "required"
    """They must."""


class _Offer(NamedTuple):
    version: ssl.TLSVersion
    ciphers: str


_INTERMEDIATE: Final = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)
_OFFERS: Final = {
    # Without TLS 1.2 its ciphers are never used; OpenSSL wants some.
    Profile.MODERN: _Offer(ssl.TLSVersion.TLSv1_3, _INTERMEDIATE),
    Profile.INTERMEDIATE: _Offer(ssl.TLSVersion.TLSv1_2, _INTERMEDIATE),
}
_PRIORITIZE_CHACHA: Final = 1 << 21
"""SSL_OP_PRIORITIZE_CHACHA of OpenSSL, for which Python has no name."""

_VERSIONS: Final = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
_MODES: Final = {
    ClientCertificates.OFF: ssl.CERT_NONE,
    ClientCertificates.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientCertificates.REQUIRED: ssl.CERT_REQUIRED,
}


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """What a listener offers its clients.

    Neither compression nor renegotiation (RFC 9325, sections 3.3 and 3.5); HTTP/1.1 by ALPN (RFC
    7301). The ciphers of TLS 1.3, and the groups of the key exchange, are OpenSSL's own.

    Attributes:
        profile: what the other settings begin with, or its name.
        min_version: the oldest version of TLS, 1.2 or 1.3; None: the profile's.
        ciphers: the ciphers of TLS 1.2, as OpenSSL writes them; None: the profile's.
        client_certificates: whether clients show a certificate.
        client_ca: a PEM file with the authorities that issue clients' certificates.
        client_crl: a PEM file with the lists of certificates they have revoked, one of each
            authority that issues clients' certificates itself; None: there is none.

    Raises:
        ValueError: a setting is unknown, or does not go with another one.
    """

    profile: Profile | str = Profile.INTERMEDIATE
    min_version: ssl.TLSVersion | None = None
    ciphers: str | None = None
    client_certificates: ClientCertificates | str = ClientCertificates.OFF
    client_ca: Path | None = None
    client_crl: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "profile", _member(Profile, self.profile))
        object.__setattr__(
            self, "client_certificates", _member(ClientCertificates, self.client_certificates)
        )
        if self.min_version is not None and self.min_version not in _VERSIONS:
            raise ValueError("min_version must be ssl.TLSVersion.TLSv1_2 or TLSv1_3")
        asked = self.client_certificates is not ClientCertificates.OFF
        if asked and self.client_ca is None:
            raise ValueError("client_certificates needs client_ca, the file of their authorities")
        if not asked and (self.client_ca or self.client_crl):
            raise ValueError(
                "client_ca and client_crl need client_certificates, 'optional' or 'required'"
            )
        try:
            self.make_context(None)
        except ssl.SSLError as error:
            raise ValueError(
                f"ciphers {self.ciphers!r} select no cipher that this OpenSSL has; "
                "use the names that `openssl ciphers` prints"
            ) from error

    def make_context(self, trust: Trust | None) -> ssl.SSLContext:
        """A context with these settings and without a certificate. Raises `ssl.SSLError`."""
        offer = _OFFERS[Profile(self.profile)]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self.min_version or offer.version
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        # The order below, but a client without the instructions for AES gets ChaCha20 first.
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | _PRIORITIZE_CHACHA
        context.set_ciphers(self.ciphers or offer.ciphers)
        context.set_alpn_protocols(["http/1.1"])
        context.verify_mode = _MODES[ClientCertificates(self.client_certificates)]
        if trust is not None:
            trust.load_into(context)
        return context


_E = TypeVar("_E", bound=Enum)


def _member(kind: type[_E], value: object) -> _E:
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(repr(each.value) for each in kind)
        raise ValueError(f"{value!r} is none of {names}") from None
