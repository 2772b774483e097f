"""Making listeners, and saying where they are."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from rocket_cli._bind import Bind
from rocket_cli._command import Chosen
from rocket_cli._errors import CommandError
from rocket_cli._setting import Part
from rocket_cli._sockets import BoundSocket
from rocket_core import Address, Listener, UnixAddress
from rocket_tls import CertificateError, TLSListener, TLSSettings


def make_listeners(chosen: Chosen, sockets: Sequence[BoundSocket] | None = None) -> list[Listener]:
    """Listeners on ``sockets`` or, where there are none, not bound yet.

    Raises `CommandError`, also for HTTPS without a certificate.
    """
    if sockets is not None:
        return [_listener(each.bind, each.socket, chosen) for each in sockets]
    if not chosen["bind"]:
        raise CommandError(f"{chosen.origin('bind')}: no address is given: name at least one")
    return [_listener(bind, bind.address, chosen) for bind in chosen["bind"]]


def _listener(bind: Bind, where: Address | socket.socket, chosen: Chosen) -> Listener:
    common = chosen.arguments(Part.LISTENER)
    options = chosen.arguments(Part.TLS)
    if not bind.secure(certificate=bool(options)):
        return Listener(where, **common)
    if not options:
        raise CommandError(
            f"{chosen.origin('bind')}: {bind} needs a certificate: give --tls-cert too"
        )
    try:
        settings = TLSSettings(**chosen.arguments(Part.TLS_SETTINGS))
    except ValueError as error:
        raise CommandError(f"{chosen.origin('tls-client-certificates')}: {error}") from error
    try:
        return TLSListener(where, **options, settings=settings, **common)
    except CertificateError as error:
        raise CommandError(f"{chosen.origin('tls-cert')}: {error}") from error


def location(listener: Listener) -> str:
    """Where clients reach a listener: a URL, or ``unix:PATH``."""
    address = listener.address
    if isinstance(address, UnixAddress):
        return str(address)
    return f"{listener.scheme}://{address}"
