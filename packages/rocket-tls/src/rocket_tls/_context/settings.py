"""What a listener offers its clients, apart from certificates."""

# The annotations are objects, not strings (PEP 563), because `typing.get_type_hints` would look up
# the names of a class in the public module that its `__module__` names.

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from rocket_tls._context.alpn import checked_protocols
from rocket_tls._texts import member_of

if TYPE_CHECKING:
    from rocket_tls._context.trust import Trust


class Profile(Enum):
    """A configuration that Mozilla recommends (Server Side TLS, version 6.0)."""

    MODERN = "modern"
    """TLS 1.3 only."""
    INTERMEDIATE = "intermediate"
    """TLS 1.2 and 1.3, for a server that is open to any client."""


class ClientCertificates(Enum):
    """Whether clients present a certificate (mutual TLS)."""

    OFF = "off"
    """The server does not ask for one."""
    OPTIONAL = "optional"
    """A client may present one. If it cannot be verified, the handshake fails."""
    REQUIRED = "required"
    """A client must present one."""


class _Offer(NamedTuple):
    version: ssl.TLSVersion
    ciphers: str


_INTERMEDIATE: Final = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)
_OFFERS: Final = {
    # TLS 1.3 does not use these ciphers, but OpenSSL wants some.
    Profile.MODERN: _Offer(ssl.TLSVersion.TLSv1_3, _INTERMEDIATE),
    Profile.INTERMEDIATE: _Offer(ssl.TLSVersion.TLSv1_2, _INTERMEDIATE),
}
_PRIORITIZE_CHACHA: Final = 1 << 21
"""OpenSSL's SSL_OP_PRIORITIZE_CHACHA, for which Python has no name."""

_VERSIONS: Final = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
_VERIFY_MODES: Final = {
    ClientCertificates.OFF: ssl.CERT_NONE,
    ClientCertificates.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientCertificates.REQUIRED: ssl.CERT_REQUIRED,
}


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """What a listener offers its clients.

    There is no compression and no renegotiation (RFC 9325, sections 3.3 and 3.5). The ciphers of
    TLS 1.3 and the groups of the key exchange are those of OpenSSL.

    Attributes:
        profile: the configuration that the other settings change, or its value.
        min_version: the oldest version of TLS, 1.2 or 1.3; None for that of the profile.
        ciphers: the ciphers of TLS 1.2, as OpenSSL writes them; None for those of the profile.
        client_certificates: whether clients present a certificate, or the value of that.
        client_ca: a PEM file with the CAs that issue clients' certificates.
        client_crl: a PEM file with certificate revocation lists, one of each CA that
            itself issues clients' certificates; None to check no revocation.
        protocols: the names of the protocols among which ALPN (RFC 7301) chooses, the most
            preferred first, such as ``["h2", "http/1.1"]``; a client that offers others only is
            refused, and one that does not offer any is served. If a cipher of TLS 1.2 is not
            allowed for HTTP/2 (RFC 9113, section 9.2.2), ``h2`` is for TLS 1.3 only. None: the
            server speaks a protocol without such a name, or HTTP/1.1. ALPN then chooses
            ``http/1.1`` if the client offers it, and no client is refused.

    Raises:
        TypeError: ``protocols`` is a string.
        ValueError: a setting is unknown, or does not go with another one.
    """

    profile: Profile | str = Profile.INTERMEDIATE
    min_version: ssl.TLSVersion | None = None
    ciphers: str | None = None
    client_certificates: ClientCertificates | str = ClientCertificates.OFF
    client_ca: Path | None = None
    client_crl: Path | None = None
    protocols: Sequence[str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "profile", member_of(Profile, self.profile))
        object.__setattr__(
            self, "client_certificates", member_of(ClientCertificates, self.client_certificates)
        )
        if self.min_version is not None and self.min_version not in _VERSIONS:
            raise ValueError("min_version must be ssl.TLSVersion.TLSv1_2 or TLSv1_3")
        if self.protocols is not None:
            object.__setattr__(self, "protocols", checked_protocols(self.protocols))
        asked = self.client_certificates is not ClientCertificates.OFF
        if asked and self.client_ca is None:
            raise ValueError("client_certificates needs client_ca, the file of their CAs")
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

    def make_context(self, trust: "Trust | None") -> ssl.SSLContext:
        """Return a context with these settings, but without a certificate and protocols.

        Raises `ssl.SSLError`.
        """
        offer = _OFFERS[Profile(self.profile)]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self.min_version or offer.version
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        # The server chooses in the order above; but a client that prefers ChaCha20, because it has
        # no instructions for AES, gets that.
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | _PRIORITIZE_CHACHA
        context.set_ciphers(self.ciphers or offer.ciphers)
        # By default OpenSSL makes two tickets in TLS 1.3, and making one takes six percent of the
        # whole handshake. Each resumption brings the client another ticket.
        context.num_tickets = 1
        context.verify_mode = _VERIFY_MODES[ClientCertificates(self.client_certificates)]
        if trust is not None:
            trust.load_into(context)
        return context
