"""The choice of a connection's protocol by ALPN (RFC 7301). No other module chooses.

The server lists its protocols in the order of its preference, and OpenSSL chooses the first of them
that the client offers, too. If there is none, the handshake goes on without ALPN. The result is
`rocket_core.Connection.protocol`.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from enum import Enum
from typing import Final


class Purpose(Enum):
    """The purpose of a handshake."""

    SERVICE = "service"
    """A client is to be served."""
    VALIDATION = "validation"
    """A CA validates the control of a name, and closes the connection (RFC 8737)."""


ACME_TLS: Final = "acme-tls/1"

_PROTOCOLS: Final = {
    Purpose.SERVICE: ("http/1.1",),
    Purpose.VALIDATION: (ACME_TLS,),
}
"""The protocols that the server speaks, the most preferred first."""


def purpose_of(offered: Sequence[bytes]) -> Purpose:
    """Return what the handshake is for in which a client offers these protocols.

    A CA that validates offers exactly one (RFC 8737, section 3).
    """
    return Purpose.VALIDATION if offered == [ACME_TLS.encode("ascii")] else Purpose.SERVICE


def speak(context: ssl.SSLContext, purpose: Purpose) -> None:
    """Have ``context`` choose among the protocols of handshakes for ``purpose``."""
    context.set_alpn_protocols(list(_PROTOCOLS[purpose]))
