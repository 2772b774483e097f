"""How long the server waits for a client, phase by phase."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Deadlines of the phases in which the client has the next move.

    All but ``minimum_rate`` are seconds. Raises `ValueError` for one that is not positive.
    """

    handshake: float = 10.0
    """For the whole TLS handshake, with a proxy's header before it."""
    head: float = 30.0
    """For a whole request head, however many pieces it arrives in."""
    keep_alive: float = 75.0
    """For the first byte of the next request: longer than the 60 s of common load balancers, which
    would otherwise send a request into a connection that is just being closed."""
    minimum_rate: float = 240.0
    """Bytes per second below which a body or a response is too slow, over the last minute, or over
    the last ``stall`` seconds where those are more."""
    grace: float = 30.0
    """Before ``minimum_rate`` counts."""
    stall: float = 60.0
    """Without a single byte of a body or a response moving."""
    silence: float = 600.0
    """Without a single byte moving either way on a connection that the application has taken over.
    Most websockets are pinged more often."""
    linger: float = 2.0
    """For the client to close after the last response (RFC 9112, 9.6)."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(f"time-out {field.name} must be greater than 0")
