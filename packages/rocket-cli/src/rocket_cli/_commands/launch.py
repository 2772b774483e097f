"""The work of the commands ``serve`` and ``check``, which import it only when they run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from rocket_cli._application.site import find_site
from rocket_cli._commands.doubts import doubts
from rocket_cli._errors import CommandError
from rocket_cli._logging.server_log import STANDARD, check_log, configure_log
from rocket_cli._processes.code_watcher import Watch, require_watchfiles
from rocket_cli._processes.observer import check_observation, observers
from rocket_cli._processes.signals import caught_signals
from rocket_cli._processes.task import Task
from rocket_cli._processes.titles import set_title
from rocket_cli._serving.certificates import make_acme
from rocket_cli._serving.listeners import location
from rocket_cli._serving.server import make_server
from rocket_cli._settings.chosen import Chosen
from rocket_cli._sockets.bound_sockets import BoundSocket
from rocket_cli._supervisor.children import Forked
from rocket_cli._supervisor.open_files import raise_open_files
from rocket_cli._supervisor.signal_orders import SIGNALS
from rocket_cli._supervisor.supervisor import Supervisor
from rocket_cli._supervisor.working_directory import WorkingDirectory


def run(chosen: Chosen) -> int:
    """Serve until a signal ends the server; return the exit code.

    Raises `CommandError` if the server cannot start.
    """
    _check_reload(chosen)
    raise_open_files()
    with caught_signals(SIGNALS, ()) as events:
        try:
            return Supervisor(chosen, events, _observers).run()
        except Forked as forked:
            task, channel = forked.task, forked.channel
    set_title(task.name, chosen)
    return task.run(channel)


def _observers(chosen: Chosen, present: Sequence[BoundSocket]) -> list[Task]:
    if not chosen["reload"]:
        return observers(chosen, present)
    files = [] if chosen.file is None else [str(chosen.file)]
    if chosen.env_file is not None:
        files.append(str(chosen.env_file.path))
    return [Watch(files), *observers(chosen, present)]


def _check_reload(chosen: Chosen) -> None:
    if chosen["preload"] and chosen["reload-grace"] is not None:
        raise CommandError(
            f"with {chosen.origin('preload')} a reload replaces all processes, "
            f"so {chosen.origin('reload-grace')} cannot keep the old ones: choose one of them"
        )
    if not chosen["reload"]:
        return
    if chosen["preload"]:
        raise CommandError(
            f"{chosen.origin('preload')} imports the application only once, "
            f"so {chosen.origin('reload')} cannot reload it: choose one of them"
        )
    require_watchfiles()


def dry_run(chosen: Chosen, *, strict: bool) -> Iterator[str]:
    """Do what ``serve`` does before it listens; yield the lines to print.

    Raises `CommandError` for whatever would keep ``serve`` from starting, and, if ``strict`` says
    so, for `doubts`.
    """
    WorkingDirectory().enter(chosen)
    site = find_site(chosen, welcomes=False)
    if site.error is not None:
        raise site.error
    configure_log(chosen, STANDARD)
    _check_reload(chosen)
    for name in ("error-log", "access-log"):
        check_log(chosen, name)
    check_observation(chosen)
    server = make_server(chosen, site, None, acme=make_acme(chosen))
    found = list(doubts(chosen, server.listeners, os.environ))
    if found and strict:
        raise CommandError("; ".join(found))
    yield from (f"Warning: {sentence}" for sentence in found)
    if site.found:
        yield site.found
    where = ", ".join(map(location, server.listeners))
    yield f"OK: would serve {site.name} at {where}"
