"""The data that a handshake and the choice of a certificate exchange."""

from __future__ import annotations

import ssl

from rocket_core import Peer


class ServerSide(ssl.SSLObject):
    """The server's side of a TLS connection, as OpenSSL hands it to the SNI callback.

    Attributes:
        began: when the client connected, by `time.monotonic`; None for just now.
        local: the address that the client has reached, set before the handshake.
        hello: the record with the ClientHello, set before OpenSSL reads it, if what the client
            offers decides how it is answered; otherwise None.
        server_name: the host name that the client asks for (RFC 6066, section 3); None before the
            ClientHello has arrived, and if the client asks for none.
        refusal: the reason, where the client was refused.
    """

    began: float | None = None
    local: Peer | None = None
    hello: bytes | None = None
    server_name: str | None = None
    refusal: str | None = None
