"""Importing the application in the supervisor, whose memory the worker processes share."""

from __future__ import annotations

import gc
import logging
import threading
from contextlib import AbstractContextManager

from rocket_cli._application.site import Site, find_site
from rocket_cli._settings.chosen import Chosen

_log = logging.getLogger("rocket_cli")


def preloaded(
    chosen: Chosen, signals_obeyed: AbstractContextManager[None], *, welcomes: bool
) -> Site:
    """Load what is to be served, before the supervisor forks: see `find_site`.

    Loading may take long. ``signals_obeyed`` is entered meanwhile, so that signals can end the
    process.
    """
    with signals_obeyed:
        site = find_site(chosen, welcomes=welcomes)
    # Those of Rocket, such as that of a `RedisBus`, are started again in each process.
    others = [
        each.name
        for each in threading.enumerate()
        if each is not threading.main_thread() and not each.name.startswith("rocket-")
    ]
    if others:
        _log.warning(
            "--preload: the application started threads at import, which the worker processes do "
            "not have: %s; start them later, or remove --preload",
            ", ".join(others),
        )
    gc.collect()
    gc.freeze()  # so that a garbage collection does not write to, and thereby copy, shared memory
    return site
