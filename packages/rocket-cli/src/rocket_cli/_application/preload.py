"""The application in the memory of the supervisor, which its processes share."""

from __future__ import annotations

import gc
import logging
import signal
import threading
from collections.abc import Callable

from rocket_cli._commands.settings_command import Chosen
from rocket_cli._processes.signals import Events
from rocket_cli._serving.composing import Site, find_site

_log = logging.getLogger("rocket_cli")


def preloaded(chosen: Chosen, events: Events, leave: Callable[[signal.Signals], None]) -> Site:
    """Load what is to be served, before a fork. Raises `CommandError`.

    That may take its time: ``leave``, which ends the process, is called at a signal that says so.
    """
    with events.obeyed(leave):
        site = find_site(chosen)
    others = [each.name for each in threading.enumerate() if each is not threading.main_thread()]
    if others:
        _log.warning(
            "importing the application has started threads, which the processes that serve do not "
            "have: %s; do without --preload, or start them later",
            ", ".join(others),
        )
    gc.collect()
    gc.freeze()  # or a collection would write to what the processes share
    return site
