"""The limits for the time in which the server waits for a client."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Limits for each phase in which the client has the next move.

    All but ``minimum_rate`` are in seconds. Raises `ValueError` for a limit that is not positive.
    """

    handshake: float = 10.0
    """Seconds for the whole TLS handshake, with the PROXY header before it."""
    head: float = 30.0
    """Seconds for the whole head of a request, however many pieces it arrives in."""
    keep_alive: float = 75.0
    """Seconds until the first byte of the first request, or of the next one: the connection is
    idle. The default is longer than the 60 s of common load balancers, which otherwise would use a
    connection that is just being closed."""
    minimum_rate: float = 240.0
    """Bytes per second below which the client is too slow with a body or a response, over the last
    minute, or over the last ``stall`` seconds where that is longer."""
    grace: float = 30.0
    """Seconds before ``minimum_rate`` counts."""
    stall: float = 60.0
    """Seconds without a single byte of a body or a response moving."""
    silence: float = 600.0
    """Seconds without a single byte moving either way on a connection that the application has
    taken over. Most websockets send a ping more often."""
    linger: float = 2.0
    """Seconds for the client to close the connection after the last response (RFC 9112, 9.6)."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(f"time-out {field.name} must be greater than 0")
