"""The server that settings describe."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from rocket_cli._application.broken_page import broken
from rocket_cli._application.discovery import discover
from rocket_cli._application.loading import load, load_function
from rocket_cli._application.patches import PatchedError, require_unpatched
from rocket_cli._application.welcome_page import welcome
from rocket_cli._commands.settings_command import Chosen
from rocket_cli._errors import CommandError
from rocket_cli._serving.certificates import answers_over_http
from rocket_cli._serving.listeners import make_listeners
from rocket_cli._settings.setting import Part
from rocket_cli._settings.target import Target
from rocket_core import Listener, Networks, Server, Timeouts
from rocket_wsgi import SERVER, AccessLog, Executor, RequestIds, StaticFiles, WSGIWorker

if TYPE_CHECKING:
    from rocket_tls import ACME


@dataclass(frozen=True, slots=True)
class Site:
    """The application that is served, and how it was found.

    Attributes:
        name: a description for the operator.
        application: the application.
        found: a line for the operator about an application that was searched for.
        error: the reason why the application could not be loaded; ``application`` shows it.
        since: the time (`time.time`) when loading began, if its code is to be watched.
    """

    name: str
    application: WSGIApplication
    found: str | None = None
    error: CommandError | None = None
    since: float | None = None


def find_site(chosen: Chosen) -> Site:
    """Load the application that the settings name. Raises `CommandError`.

    With ``reload``, an application that cannot be loaded is replaced by a page with the error.
    SERVER_SOFTWARE is set in the environment, because applications read it to find out whether a
    server runs them; an inherited value is that of another server.
    """
    os.environ["SERVER_SOFTWARE"] = SERVER
    if not chosen["reload"]:
        return _find_site(chosen)
    # To see whether the compiled form of a module is up to date, Python compares its size, and its
    # time in whole seconds (PEP 3147). A file that changes twice in a second can defeat that.
    sys.dont_write_bytecode = True
    since = time.time()
    try:
        return replace(_find_site(chosen), since=since)
    except PatchedError:
        raise  # in such a process, the page could not be served either
    except CommandError as error:
        return Site("a page that shows the error", broken(error), error=error, since=since)


def _find_site(chosen: Chosen) -> Site:
    target = chosen["app"]
    directory = next((each.directory for each in chosen["static"] if each.path == "/"), None)
    if directory is not None:
        if target is not None:
            raise CommandError(
                f"{chosen.origin('static')}: {directory} at / leaves no path for {target}: "
                f"choose another path, such as /static={directory}"
            )
        return Site(f"the files of {directory}", _no_path)
    sys.path.insert(0, str(Path.cwd()))
    if target is not None:
        return Site(str(target), _load(target))
    found = discover(Path.cwd())
    if found is None:
        nothing = f"Found no application in {Path.cwd()}; name one: rocket-cli serve MODULE:APP"
        return Site("the welcome page", welcome, nothing)
    return Site(str(found.target), _load(found.target), f"Found {found.kind}: {found.target}")


def _load(target: Target) -> WSGIApplication:
    try:
        application = load(target)
    except CommandError:
        require_unpatched(str(target))  # patched modules may be the cause of the failure
        raise
    require_unpatched(str(target))
    return application


def _no_path(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer ``OPTIONS *``, which has no path and therefore no file (RFC 9110, section 9.3.7)."""
    del environ
    start_response("204 No Content", [("Allow", "GET, HEAD, OPTIONS")])
    return []


def make_server(
    chosen: Chosen,
    site: Site,
    access_log: AccessLog | None,
    *,
    listeners: Sequence[Listener] | None = None,
    acme: ACME | None = None,
    multiprocess: bool = False,
) -> Server:
    """Make the server of the settings, without binding an address. Raises `CommandError`.

    Without ``listeners`` it has those of the settings. ``acme`` answers challenges over HTTP.
    ``multiprocess`` tells the application that other processes serve it, too (PEP 3333).
    """
    threads = chosen["threads"]
    return Server(
        _worker_factory(chosen, site, access_log, acme, multiprocess=multiprocess),
        make_listeners(chosen, acme) if listeners is None else listeners,
        min_threads=threads.least,
        max_threads=threads.most,
        timeouts=Timeouts(**chosen.arguments(Part.TIMEOUTS)),
        **chosen.arguments(Part.SERVER),
    )


def _worker_factory(
    chosen: Chosen,
    site: Site,
    access_log: AccessLog | None,
    acme: ACME | None,
    *,
    multiprocess: bool,
) -> Callable[[], WSGIWorker]:
    options = chosen.arguments(Part.WORKER)
    if chosen["executor-threads"] is not None:
        options["executor"] = Executor(chosen["executor-threads"])
    if paths := frozenset(chosen["reserved"]):
        options["reserved"] = lambda environ: environ["PATH_INFO"] in paths
    if chosen["request-ids"]:
        options["request_ids"] = _request_ids(**chosen.arguments(Part.REQUEST_IDS))
    if acme is not None and answers_over_http(chosen):
        options["challenges"] = acme.challenge
    if chosen["at-thread-end"] is not None:
        options["at_thread_end"] = load_function(chosen["at-thread-end"])
    if static := _mounts(chosen):
        options["static"] = static

    def make() -> WSGIWorker:
        return WSGIWorker(
            site.application, multiprocess=multiprocess, access_log=access_log, **options
        )

    try:
        make()
    except ValueError as error:  # an invalid path of static files, which only the worker checks
        raise CommandError(f"{chosen.origin('static')}: {error}") from error
    return make


def _request_ids(*, echo: bool, trusted: list[str] | None = None) -> RequestIds:
    if trusted is None:
        return RequestIds(echo=echo)
    networks = Networks(trusted)
    return RequestIds(trusted=lambda peer: peer.host in networks, echo=echo)


def _mounts(chosen: Chosen) -> dict[str, StaticFiles]:
    mounts: dict[str, StaticFiles] = {}
    for mount in chosen["static"]:
        if mount.path in mounts:
            raise CommandError(
                f"{chosen.origin('static')}: two directories have the path {mount.path}: "
                "choose another path for one of them"
            )
        try:
            mounts[mount.path] = StaticFiles(mount.directory, **chosen.arguments(Part.FILES))
        except NotADirectoryError as error:
            raise CommandError(f"{chosen.origin('static')}: {error}") from error
    return mounts
