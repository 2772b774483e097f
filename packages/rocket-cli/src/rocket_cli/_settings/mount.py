"""A directory that is served at a URL path."""

from __future__ import annotations

from typing import NamedTuple


class Mount(NamedTuple):
    """A directory and the URL path that it is served at."""

    path: str
    directory: str

    def __str__(self) -> str:
        return f"{self.path}={self.directory}"


def parse_mount(text: str) -> Mount:
    """Read ``/PATH=DIR``, or ``DIR``, which is served at ``/``. Raises `ValueError`.

    A text with a leading slash and an equals sign is the former. A directory with such a name is
    written ``/=DIR``.
    """
    path, equals, directory = text.partition("=")
    if not (text.startswith("/") and equals):
        path, directory = "/", text
    if not directory:
        raise ValueError(f"{text!r} names no directory: use /PATH=DIR, or DIR to serve it at /")
    return Mount(path.removesuffix("/") or "/", directory)
