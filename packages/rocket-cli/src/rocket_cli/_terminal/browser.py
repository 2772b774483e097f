"""Opening the site in a browser (``--open``)."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

_log = logging.getLogger("rocket_cli")

_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - nothing is bound to it
"""The addresses that stand for every address of this machine, and the loopback address for each."""


def reachable(location: str) -> str | None:
    """Return a URL for a browser on this machine; None for a Unix socket."""
    url = urlsplit(location)
    if url.hostname is None:
        return None
    here = _HERE.get(url.hostname)
    return location if here is None else f"{url.scheme}://{here}:{url.port}"


def open_browser(locations: Iterable[str]) -> None:
    """Open the first of ``locations`` that is a URL in a browser.

    The browser is the default one, or the one in the variable BROWSER. A process of its own opens
    it, because that can take long.
    """
    url = next((url for each in locations if (url := reachable(each)) is not None), None)
    if url is None:
        _log.warning("no browser is opened: browsers cannot connect to a Unix socket")
        return
    subprocess.Popen(  # noqa: S603 - the URL is made of a listening address
        [sys.executable, "-m", "webbrowser", url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
