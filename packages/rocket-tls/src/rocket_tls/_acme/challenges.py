"""Pending challenges of a CA that speaks ACME, in files that any process answers from."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

from rocket_tls._acme.settings import Challenge
from rocket_tls._files import replace_file

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,256}", re.ASCII)
_SERVER_NAME: Final = re.compile(r"[a-z0-9_-][a-z0-9._-]{0,254}", re.ASCII)


class Challenges:
    """The pending challenges in a directory that several processes share.

    Only the process that holds the lock of the directory writes the files. Every process answers
    the CA from them without a lock, because a file is replaced as a whole. The directory of
    a kind of challenge exists only while challenges of that kind are pending.
    """

    def __init__(self, directory: Path) -> None:
        self._tokens = directory / Challenge.HTTP_01.value
        self._certificates = directory / Challenge.TLS_ALPN_01.value
        self._certificates_path = str(self._certificates)

    # -- any process, any thread -----------------------------------------------------------------

    def key_authorization(self, token: str) -> str | None:
        """Return the content of the resource for ``token`` (RFC 8555, section 8.3), if any."""
        if not _TOKEN.fullmatch(token):
            return None
        try:
            return (self._tokens / token).read_text(encoding="ascii")
        except OSError:
            return None

    def expects_validation(self) -> bool:
        """Return whether a CA may validate in a handshake now: one call of `os.stat`."""
        return os.path.exists(self._certificates_path)  # noqa: PTH110 - for each new connection

    def validation_certificate(self, server_name: str) -> bytes | None:
        """Return the certificate that proves the control of a name (RFC 8737, section 3), if any.

        Its key is with it, in PEM form.
        """
        if not _SERVER_NAME.fullmatch(server_name):
            return None
        try:
            return (self._certificates / f"{server_name}.pem").read_bytes()
        except OSError:
            return None

    # -- the process that holds the lock ---------------------------------------------------------

    def put_token(self, token: str, key_authorization: str) -> None:
        """Add a pending challenge http-01. Raises `OSError`, and `ValueError` for a bad token."""
        if not _TOKEN.fullmatch(token):
            raise ValueError("the CA sent a token that is not valid")
        self._put(self._tokens / token, key_authorization.encode("ascii"))

    def put_certificate(self, server_name: str, pem: bytes) -> None:
        """Add a pending challenge tls-alpn-01. Raises `OSError`."""
        self._put(self._certificates / f"{server_name}.pem", pem)

    def clear(self) -> None:
        """Remove all challenges."""
        for each in (self._tokens, self._certificates):
            shutil.rmtree(each, ignore_errors=True)

    @staticmethod
    def _put(path: Path, content: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, content, mode=0o600)
