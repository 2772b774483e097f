"""Renewing what a running server uses."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from rocket_core import Listener
from rocket_wsgi import AccessLog

_log = logging.getLogger("rocket_cli")


def reopen_log(access_log: AccessLog | None) -> None:
    """Go on in a new file of the same name, if the access log has a file."""
    if access_log is not None:
        access_log.reopen()
        _log.info("the access log is reopened")


def renew(listeners: Iterable[Listener], access_log: AccessLog | None) -> None:
    """Load the certificates anew, and reopen the log.

    A certificate that cannot be used is logged, and the previous one stays.
    """
    reopen_log(access_log)
    for listener in listeners:
        if listener.scheme == "https":
            _reload(listener)


def _reload(listener: Listener) -> None:
    from rocket_tls import CertificateError, TLSListener

    if isinstance(listener, TLSListener):
        try:
            listener.reload()
        except CertificateError as error:
            _log.error("%s: the previous certificate stays: %s", listener.address, error)
        else:
            _log.info("%s: the certificate is loaded anew", listener.address)
