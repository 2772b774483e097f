"""Opening what is served in a browser."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

_log = logging.getLogger("rocket_cli")

_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - nothing is bound to it
"""What stands for every address of this machine, and one of them."""


def reachable(location: str) -> str | None:
    """A URL for a browser on this machine; None for a Unix socket."""
    url = urlsplit(location)
    if url.hostname is None:
        return None
    here = _HERE.get(url.hostname)
    return location if here is None else f"{url.scheme}://{here}:{url.port}"


def open_browser(locations: Iterable[str]) -> None:
    """Have the usual browser, or that of the variable BROWSER, show the first of ``locations``."""
    url = next((url for each in locations if (url := reachable(each)) is not None), None)
    if url is None:
        _log.warning("no browser is opened: it cannot show what is at a Unix socket")
        return
    subprocess.Popen(  # noqa: S603 - the URL is made of an address that is listened on
        [sys.executable, "-m", "webbrowser", url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
