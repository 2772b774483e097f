"""What ``serve`` does, and ``check`` up to where it would listen."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import nullcontext

import click

from rocket_cli._banner import banner
from rocket_cli._command import Chosen
from rocket_cli._listeners import location, start
from rocket_cli._log import check_access_log, configure_log, open_access_log
from rocket_cli._renewal import renew, reopen_log
from rocket_cli._serving import find_site, make_server
from rocket_cli._setting import Part
from rocket_cli._signals import caught_signals, wait_for_end
from rocket_wsgi import AccessLog


def run(chosen: Chosen) -> None:
    """Serve until a signal ends it. Raises `CommandError` when it cannot."""
    site = find_site(chosen)
    configure_log(chosen["log-level"])
    access_log = _open_access_log(chosen)
    server = make_server(chosen, site, access_log)
    with access_log or nullcontext(), caught_signals() as events:
        start(server)
        if site.found:
            click.echo(site.found, err=True)
        for line in banner(site.name, chosen["threads"], server.listeners):
            click.echo(line, err=True)
        wait_for_end(
            server,
            events,
            chosen["graceful-timeout"],
            {
                signal.SIGUSR1: lambda: reopen_log(access_log),
                signal.SIGHUP: lambda: renew(server.listeners, access_log),
            },
        )


def rehearse(chosen: Chosen) -> Iterator[str]:
    """Do what `run` does before it listens, and tell about it. Raises `CommandError`."""
    site = find_site(chosen)
    configure_log(chosen["log-level"])
    path = chosen["access-log"]
    if path is not None:
        check_access_log(path, chosen.origin("access-log"))
    server = make_server(chosen, site, None)
    if site.found:
        yield site.found
    where = ", ".join(map(location, server.listeners))
    yield f"OK: would serve {site.name} at {where}"


def _open_access_log(chosen: Chosen) -> AccessLog | None:
    path = chosen["access-log"]
    if path is None:
        return None
    options = chosen.arguments(Part.ACCESS_LOG)
    return open_access_log(path, chosen.origin("access-log"), **options)
