"""Whether a server answers, asked before anybody else can ask it."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from http.client import HTTPException, HTTPResponse
from typing import Final
from urllib.parse import quote

from rocket_cli._errors import CommandError
from rocket_core import Server

PATIENCE: Final = 30.0
"""Seconds for the answer."""


def check_health(server: Server, paths: Iterable[str]) -> None:
    """Ask ``server`` itself, which need not accept yet, for each of ``paths``.

    Raises `CommandError` unless each is answered, with a status below 500: what an application
    makes of a request that comes from nowhere, such as 400, does not tell that it is broken.
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
                raise CommandError(f"the health check {path} is not answered: {reason}") from error
        if status >= 500:
            raise CommandError(f"the health check {path} is answered {status}")


def _get(sock: socket.socket, path: str) -> int:
    request = f"GET {quote(path)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    sock.sendall(request.encode())
    with HTTPResponse(sock) as response:
        response.begin()
        response.read()
        return response.status
