"""Making listeners, starting them, and saying where they are."""

from __future__ import annotations

import errno

from rocket_cli._bind import Bind
from rocket_cli._command import Chosen
from rocket_cli._errors import CommandError
from rocket_cli._setting import Part
from rocket_core import BindError, Listener, Server, UnixAddress

_ADVICE = {
    errno.EADDRINUSE: "stop what listens there, or choose another with --bind",
    errno.EADDRNOTAVAIL: "--bind takes an address of this machine",
    errno.EACCES: "--bind takes a port, or a path, that this user may listen on",
    errno.ENOENT: "--bind takes a path in a directory that exists",
}


def make_listeners(chosen: Chosen) -> list[Listener]:
    """Listeners, not bound yet. Raises `CommandError`, also for HTTPS without a certificate."""
    if not chosen["bind"]:
        raise CommandError(f"{chosen.origin('bind')}: no address is given: name at least one")
    return [_listener(bind, chosen) for bind in chosen["bind"]]


def _listener(bind: Bind, chosen: Chosen) -> Listener:
    common = chosen.arguments(Part.LISTENER)
    options = chosen.arguments(Part.TLS)
    if not bind.secure(certificate=bool(options)):
        return Listener(bind.address, **common)
    if not options:
        raise CommandError(
            f"{chosen.origin('bind')}: {bind} needs a certificate: give --tls-cert too; "
            "rocket-cli cert makes one for development"
        )
    from rocket_tls import CertificateError, TLSListener, TLSSettings

    try:
        settings = TLSSettings(**chosen.arguments(Part.TLS_SETTINGS))
    except ValueError as error:
        raise CommandError(f"{chosen.origin('tls-client-certificates')}: {error}") from error
    try:
        return TLSListener(bind.address, **options, settings=settings, **common)
    except CertificateError as error:
        raise CommandError(f"{chosen.origin('tls-cert')}: {error}") from error


def start(server: Server) -> None:
    """Start ``server``. Raises `CommandError` when one of its addresses cannot be listened on."""
    try:
        server.start()
    except BindError as error:
        number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
        advice = _ADVICE.get(number or 0, "choose another with --bind")
        raise CommandError(f"{error}; {advice}") from error


def location(listener: Listener) -> str:
    """Where clients reach a bound listener: a URL, or ``unix:PATH``."""
    address = listener.address
    if isinstance(address, UnixAddress):
        return str(address)
    return f"{listener.scheme}://{address}"
