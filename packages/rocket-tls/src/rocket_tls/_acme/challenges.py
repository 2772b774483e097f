"""Pending challenges of an authority that speaks ACME, which any process can answer."""

from __future__ import annotations

import os
import re
import shutil
import ssl
from pathlib import Path
from typing import Final

from rocket_tls._files import replace_file

HTTP_01: Final = "http-01"
TLS_ALPN_01: Final = "tls-alpn-01"

PROTOCOL: Final = "acme-tls/1"
"""What a validating authority asks for by ALPN (RFC 8737, section 6.2)."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,256}", re.ASCII)
_SERVER_NAME: Final = re.compile(r"[a-z0-9_-][a-z0-9._-]{0,254}", re.ASCII)


class Challenges:
    """Files of pending challenges. One process writes them, and every process answers from them.

    The directory of a kind exists while challenges of this kind are pending.
    """

    def __init__(self, directory: Path) -> None:
        self._tokens = directory / HTTP_01
        self._certificates = directory / TLS_ALPN_01
        self._certificates_path = str(self._certificates)

    # -- any process ---------------------------------------------------------------------------

    def key_authorization(self, token: str) -> str | None:
        """What the resource of http-01 with this token holds (RFC 8555, section 8.3)."""
        if not _TOKEN.fullmatch(token):
            return None
        try:
            return (self._tokens / token).read_text(encoding="ascii")
        except OSError:
            return None

    @property
    def in_handshakes(self) -> bool:
        """Whether an authority may validate in a handshake now. One call of `os.stat`."""
        return os.path.exists(self._certificates_path)  # noqa: PTH110 - for each new connection

    def context(self, server_name: str) -> ssl.SSLContext | None:
        """What validates the control of a name in a handshake (RFC 8737, section 3)."""
        if not _SERVER_NAME.fullmatch(server_name):
            return None
        path = self._certificates / f"{server_name}.pem"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols([PROTOCOL])
        try:
            context.load_cert_chain(path)
        except OSError:  # which errors of OpenSSL are, too
            return None
        return context

    # -- the process that holds the lock ---------------------------------------------------------

    def put_token(self, token: str, key_authorization: str) -> None:
        """A challenge http-01 is pending. Raises `OSError`; `ValueError` for what is no token."""
        if not _TOKEN.fullmatch(token):
            raise ValueError("the authority's token is none")
        self._put(self._tokens / token, key_authorization.encode("ascii"))

    def put_certificate(self, server_name: str, pem: bytes) -> None:
        """A challenge tls-alpn-01 is pending. Raises `OSError`."""
        self._put(self._certificates / f"{server_name}.pem", pem)

    def clear(self) -> None:
        """No challenge is pending any more."""
        for each in (self._tokens, self._certificates):
            shutil.rmtree(each, ignore_errors=True)

    @staticmethod
    def _put(path: Path, content: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, content, mode=0o600)
