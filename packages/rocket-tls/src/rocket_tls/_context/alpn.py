"""The choice of a connection's protocol by ALPN (RFC 7301). No other module chooses.

The server lists its protocols in the order of its preference, and OpenSSL chooses the first of them
that the client offers, too. The result is `rocket_core.Connection.protocol`.

If a client offers protocols and none of them is the server's, RFC 7301 (section 3.2) demands an
alert. The module `ssl` has OpenSSL go on without ALPN instead, and its SNI callback, which can
refuse a client, is told nothing of the client's protocols. So the connection parses the ClientHello
itself, and `Negotiation.choose_from` says what the callback is to do. Connections do that only
where the protocols were set: without that, the server goes on, because its own protocol, which
rocket-tls does not know, may be the one that the client means.

HTTP/2 forbids many ciphers of TLS 1.2 (RFC 9113, section 9.2.2). A listener has none of them,
unless `TLSSettings.ciphers` names one. Then ``h2`` is offered in TLS 1.3 only, which has no such
ciphers. Otherwise a client could agree on HTTP/2, and end the connection for its cipher.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Final

from rocket_tls._context.client_hello import Offers, offers_of

ACME_TLS: Final = "acme-tls/1"
"""The protocol of a CA that validates the control of a name (RFC 8737)."""

HTTP_2: Final = "h2"

_DEFAULT: Final = ("http/1.1",)

_EPHEMERAL: Final = frozenset({"kx-ecdhe", "kx-dhe"})
"""The key exchanges of OpenSSL that HTTP/2 allows in TLS 1.2."""

_LONG: Final = 8
"""Bytes of a name that are not found by chance in what a client makes by chance."""


def checked_protocols(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of protocols as a tuple.

    Raises `TypeError` for a string, and `ValueError` for names that cannot be offered.
    """
    if isinstance(names, str):
        raise TypeError(f"protocols must be a list of names, such as [{names!r}]")
    for name in names:
        if not (name.isascii() and 0 < len(name) <= 255):
            raise ValueError(
                f"protocols has {name!r}, which is not a name of ALPN: give 1 to 255 ASCII "
                "characters, such as 'h2'"
            )
        if name == ACME_TLS:
            raise ValueError(f"protocols cannot have {name!r}, with which an ACME object deals")
    if not names or len(set(names)) < len(names):
        raise ValueError("protocols must have at least one name, and each of them once")
    return tuple(names)


def validates(offers: Offers) -> bool:
    """Return whether the client is a CA that validates the control of a name.

    It offers exactly one protocol (RFC 8737, section 3).
    """
    return offers.protocols == (ACME_TLS.encode("ascii"),)


def speak(context: ssl.SSLContext, protocols: Sequence[str]) -> None:
    """Have ``context`` choose among ``protocols``, the most preferred first."""
    if protocols:
        context.set_alpn_protocols(list(protocols))


def forbids_http_2(context: ssl.SSLContext) -> bool:
    """Return whether ``context`` has a cipher of TLS 1.2 that HTTP/2 forbids.

    It allows ephemeral keys together with authenticated encryption (RFC 9113, appendix A).
    """
    return any(
        each["protocol"] != "TLSv1.3"
        and not (each["aead"] and each["kea"] in _EPHEMERAL and each["auth"] != "auth-null")
        for each in context.get_ciphers()
    )


class Negotiation:
    """The protocols of a listener, and those among which each client may choose.

    Attributes:
        protocols: the protocols of the listener, the most preferred first.
        reads_hello: whether the answer to a client depends on its offers.
    """

    def __init__(self, protocols: tuple[str, ...] | None, *, http_2_needs_tls_1_3: bool) -> None:
        """Negotiate ``protocols``; None: offer HTTP/1.1, and refuse no client.

        ``http_2_needs_tls_1_3`` says that the ciphers of TLS 1.2 are not all allowed for HTTP/2.
        """
        self.protocols: Final = _DEFAULT if protocols is None else protocols
        self.reads_hello: Final = protocols is not None
        self._without_tls_1_3 = self.protocols
        self._known: list[bytes] = []
        """What no ClientHello contains unless it offers a protocol of the server."""
        if http_2_needs_tls_1_3:
            self._without_tls_1_3 = tuple(each for each in self.protocols if each != HTTP_2)
        else:
            self._known = [_encoded(each) for each in self.protocols if len(each) >= _LONG]

    def choose_from(self, hello: bytes) -> tuple[str, ...] | None:
        """Return the protocols for the client that has sent the ClientHello ``hello``.

        The result is None if the client must be refused, because it offers others only.
        """
        if not self.reads_hello:
            return self.protocols
        # Parsing takes some hundredths of the time of a handshake, and few clients need it.
        for name in self._known:
            if name in hello:
                return self.protocols
        offers = offers_of(hello)
        ours = self.protocols if offers.tls_1_3 else self._without_tls_1_3
        if offers.protocols and not {each.encode("ascii") for each in ours} & {*offers.protocols}:
            return None
        return ours


def _encoded(name: str) -> bytes:
    """Return a name as it is in a list of ALPN: behind its size."""
    return bytes([len(name)]) + name.encode("ascii")
