"""The check that a server answers, before it accepts clients."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from http.client import HTTPException, HTTPResponse
from typing import Final
from urllib.parse import quote

from rocket_cli._errors import CommandError
from rocket_core import Server

PATIENCE: Final = 30.0
"""Seconds to wait for an answer."""


def check_health(server: Server, paths: Iterable[str]) -> None:
    """Request each of ``paths`` from ``server``, which need not accept clients yet.

    Raises `CommandError` unless each is answered with a status below 500. Other errors, such as 400
    for a request without the expected fields, do not mean that the application is broken.
    """
    for path in paths:
        ours, theirs = socket.socketpair()
        server.handle(theirs)
        with ours:
            ours.settimeout(PATIENCE)
            try:
                status = _get(ours, path)
            except (OSError, HTTPException) as error:
                reason = f"{error}" or type(error).__name__
                raise CommandError(f"the health check {path} was not answered: {reason}") from error
        if status >= 500:
            raise CommandError(f"the health check {path} was answered with status {status}")


def _get(sock: socket.socket, path: str) -> int:
    request = f"GET {quote(path)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    sock.sendall(request.encode())
    with HTTPResponse(sock) as response:
        response.begin()
        response.read()
        return response.status
