"""What ``serve`` does, and ``check`` up to where it would listen."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import nullcontext

from rocket_cli._access_log import open_access_log
from rocket_cli._banner import banner
from rocket_cli._command import Chosen
from rocket_cli._listeners import location, start
from rocket_cli._log import STANDARD, announce, check_log, configure_log
from rocket_cli._renewal import renew, reopen_logs
from rocket_cli._serving import find_site, make_server
from rocket_cli._signals import caught_signals, wait_for_end


def run(chosen: Chosen) -> None:
    """Serve until a signal ends it. Raises `CommandError` when it cannot."""
    site = find_site(chosen)
    configure_log(chosen)
    access_log = open_access_log(chosen)
    server = make_server(chosen, site, access_log)
    with access_log or nullcontext(), caught_signals() as events:
        start(server)
        if site.found:
            announce(chosen, [site.found])
        announce(chosen, banner(site.name, chosen["threads"], server.listeners))
        wait_for_end(
            server,
            events,
            chosen["graceful-timeout"],
            {
                signal.SIGUSR1: lambda: reopen_logs(access_log),
                signal.SIGHUP: lambda: renew(server.listeners, access_log),
            },
        )


def rehearse(chosen: Chosen) -> Iterator[str]:
    """Do what `run` does before it listens, and tell about it. Raises `CommandError`."""
    site = find_site(chosen)
    configure_log(chosen, STANDARD)
    for name in ("error-log", "access-log"):
        check_log(chosen, name)
    server = make_server(chosen, site, None)
    if site.found:
        yield site.found
    where = ", ".join(map(location, server.listeners))
    yield f"OK: would serve {site.name} at {where}"
