"""Handing bytes to OpenSSL, which Python has read files only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_DESCRIPTORS: Final = Path("/proc/self/fd")


@contextmanager
def readable(content: bytes) -> Iterator[str]:
    """The path of a file with ``content``, for this user alone and for the time being."""
    if hasattr(os, "memfd_create") and _DESCRIPTORS.exists():
        # Nothing is written to a disk, and no directory has to be writable.
        with os.fdopen(os.memfd_create("rocket-tls"), "wb") as file:
            file.write(content)
            file.flush()
            yield str(_DESCRIPTORS / str(file.fileno()))
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.name
