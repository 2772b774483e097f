"""The data that a handshake and the choice of a certificate exchange."""

from __future__ import annotations

import ssl

from rocket_core import Peer
from rocket_tls._context.alpn import Purpose


class ServerSide(ssl.SSLObject):
    """The server's side of a TLS connection, as OpenSSL hands it to the SNI callback.

    Attributes:
        began: when the client connected, by `time.monotonic`; None for just now.
        local: the address that the client has reached, set before the handshake.
        purpose: the purpose of the handshake, set before OpenSSL reads the ClientHello.
        server_name: the host name that the client asks for (RFC 6066, section 3); None before the
            ClientHello has arrived, and if the client asks for none.
        refusal: the reason, where no certificate was chosen.
    """

    began: float | None = None
    local: Peer | None = None
    purpose: Purpose = Purpose.SERVICE
    server_name: str | None = None
    refusal: str | None = None
