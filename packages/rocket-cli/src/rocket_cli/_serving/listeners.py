"""The listeners that the settings describe, and their URLs."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rocket_cli._errors import CommandError
from rocket_cli._serving.certificates import has_certificate, make_store
from rocket_cli._serving.http2 import check_cleartext, tls_protocols
from rocket_cli._settings.bind import Bind
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.setting import Part
from rocket_cli._sockets.bound_sockets import BoundSocket, location_of
from rocket_core import Address, Listener

if TYPE_CHECKING:
    from rocket_tls import ACME, CertificateStore, TLSListener


def make_listeners(
    chosen: Chosen, acme: ACME | None = None, sockets: Sequence[BoundSocket] | None = None
) -> list[Listener]:
    """Return listeners on ``sockets`` or, if that is None, unbound ones for the settings.

    All listeners with TLS share the certificates, including those of ``acme``. Raises
    `CommandError`, also for HTTPS without a certificate.
    """
    places: list[tuple[Bind, Address | socket.socket]]
    if sockets is not None:
        places = [(each.bind, each.socket) for each in sockets]
    else:
        places = [(bind, bind.address) for bind in chosen["bind"]]
    if not places:
        raise CommandError(f"{chosen.origin('bind')}: no address is given: give at least one")
    certificate = has_certificate(chosen)
    check_cleartext(
        chosen, [bind for bind, _ in places if not bind.secure(certificate=certificate)]
    )
    store = None
    listeners: list[Listener] = []
    for bind, where in places:
        if not bind.secure(certificate=certificate):
            listeners.append(Listener(where, **chosen.arguments(Part.LISTENER)))
            continue
        if not certificate:
            raise CommandError(
                f"{chosen.origin('bind')}: {bind} needs a certificate: give --tls-cert, too; "
                "rocket-cli cert makes a certificate for development"
            )
        store = store or make_store(chosen, acme)
        listeners.append(_secure_listener(where, store, chosen))
    return listeners


def _secure_listener(
    where: Address | socket.socket, store: CertificateStore, chosen: Chosen
) -> TLSListener:
    from rocket_tls import CertificateError, TLSListener, TLSSettings

    try:
        settings = TLSSettings(
            protocols=tls_protocols(chosen), **chosen.arguments(Part.TLS_SETTINGS)
        )
    except ValueError as error:
        raise CommandError(f"{chosen.origin('tls-client-certificates')}: {error}") from error
    try:
        return TLSListener(where, store, settings=settings, **chosen.arguments(Part.LISTENER))
    except CertificateError as error:  # the certificate authorities of clients
        raise CommandError(f"{chosen.origin('tls-client-ca')}: {error}") from error


def location(listener: Listener) -> str:
    """Return where clients reach a listener: a URL, or ``unix:PATH``."""
    return location_of(listener.address, listener.scheme)


def tls_listeners(listeners: Sequence[Listener]) -> list[TLSListener]:
    """Return those of ``listeners`` that use TLS."""
    found = [each for each in listeners if each.scheme == "https"]
    if not found:
        return []
    from rocket_tls import TLSListener

    return [each for each in found if isinstance(each, TLSListener)]
