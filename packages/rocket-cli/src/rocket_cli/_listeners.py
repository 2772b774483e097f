"""Listeners for what ``--bind``, ``--tls-cert`` and ``--tls-key`` say."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path

from rocket_core import BindError, Listener, UnixAddress
from rocket_tls import CertificateError, TLSListener

from rocket_cli._bind import Bind, parse_bind
from rocket_cli._errors import CommandError

_ADVICE = {
    errno.EADDRINUSE: "stop what listens there, or choose another with --bind",
    errno.EADDRNOTAVAIL: "--bind takes an address of this machine",
    errno.EACCES: "--bind takes a port, or a path, that this user may listen on",
    errno.ENOENT: "--bind takes a path in a directory that exists",
}


def make_listeners(
    binds: Iterable[str], certificate: Path | None, key: Path | None
) -> list[Listener]:
    """A listener, not bound yet, for each of ``binds``.

    Without a scheme a bind is HTTPS if there is a certificate, otherwise HTTP. Without ``key`` the
    private key is in the file ``certificate``. Raises `CommandError`.
    """
    if key is not None and certificate is None:
        raise CommandError(f"--tls-key {key} needs its certificate: give --tls-cert too")
    return [
        _listener(parse_bind(text, secure=certificate is not None), certificate, key)
        for text in binds
    ]


def _listener(bind: Bind, certificate: Path | None, key: Path | None) -> Listener:
    if not bind.secure:
        return Listener(bind.address)
    if certificate is None:
        raise CommandError(f"--bind https://{bind.address} needs a certificate: give --tls-cert")
    try:
        return TLSListener(bind.address, certificate, key)
    except CertificateError as error:
        raise CommandError(str(error)) from error


def location(listener: Listener) -> str:
    """Where clients reach a bound listener: a URL, or ``unix:PATH``."""
    address = listener.address
    if isinstance(address, UnixAddress):
        return str(address)
    return f"{listener.scheme}://{address}"


def explain(error: BindError) -> CommandError:
    """The error to report when an address cannot be listened on."""
    number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
    advice = _ADVICE.get(number or 0, "choose another with --bind")
    return CommandError(f"{error}; {advice}")
