"""The context in service, replaced when its files are."""

from __future__ import annotations

import logging
import ssl
from typing import NamedTuple

from rocket_tls._context import context_for
from rocket_tls._errors import CertificateError, UnreadableError
from rocket_tls._files import CertificateFiles, Signature

_log = logging.getLogger("rocket_tls.certificate")


class _Loaded(NamedTuple):
    signature: Signature
    context: ssl.SSLContext


class ReloadingContext:
    """The context for the next connection.

    Needs no lock: what is loaded is replaced as a whole, and should an older load overtake a newer
    one, its signature is no longer that of the files, so the next connection loads again.
    """

    def __init__(self, files: CertificateFiles) -> None:
        """Load ``files``. Raises `CertificateError`."""
        self._files = files
        self._complaint: tuple[Signature, str] | None = None
        self.reload()

    def reload(self) -> None:
        """Load the files, changed or not.

        Raises `CertificateError`; then the context in service stays.
        """
        signature = self._files.signature()
        self._loaded = _Loaded(signature, context_for(self._files))

    def current(self) -> ssl.SSLContext:
        """The context, loaded anew if its files have changed.

        Files that cannot be used leave the old context in service, and are complained of in the
        log once.
        """
        signature = self._files.signature()
        if signature != self._loaded.signature:
            self._follow(signature)
        return self._loaded.context

    def _follow(self, signature: Signature) -> None:
        context = self._loaded.context
        try:
            context = context_for(self._files)
            self._complaint = None
            _log.info("certificate file %s was replaced and is in service", self._files.certificate)
        except UnreadableError as error:
            # Not remembered: the next connection tries again, as running out of descriptors, or
            # a directory that may not be searched, passes without a change of the files.
            self._complain(signature, error)
            return
        except CertificateError as error:
            self._complain(signature, error)
        self._loaded = _Loaded(signature, context)

    def _complain(self, signature: Signature, error: CertificateError) -> None:
        complaint = (signature, str(error))
        if complaint != self._complaint:
            self._complaint = complaint
            _log.error("%s (the previous certificate stays in service)", error)
