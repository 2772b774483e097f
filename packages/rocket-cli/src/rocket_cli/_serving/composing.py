"""The server that settings describe."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.types import WSGIApplication

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
from rocket_wsgi import Site as WSGISite
from rocket_wsgi.extending import only_files

if TYPE_CHECKING:
    from rocket_tls import ACME


@dataclass(frozen=True, slots=True)
class Site:
    """What is served.

    Attributes:
        name: what it is, for a person to read.
        application: the application.
        found: what to say about where it comes from.
        error: why the application is not served, but a page that says so.
        since: where it is to be watched, when its loading began, by `time.time`.
    """

    name: str
    application: WSGIApplication
    found: str | None = None
    error: CommandError | None = None
    since: float | None = None


def find_site(chosen: Chosen) -> Site:
    """Load what is to be served. Raises `CommandError`.

    With ``reload`` it is a page that says what is wrong, where the application cannot be loaded.
    Applications ask the variable SERVER_SOFTWARE whether they are served or developed: what may
    have been inherited tells of another server.
    """
    os.environ["SERVER_SOFTWARE"] = SERVER
    if not chosen["reload"]:
        return _find_site(chosen)
    # It is told by its time in whole seconds and its size whether a compiled module is up to date
    # (PEP 3147), which is too little for one that is changed while it is written.
    sys.dont_write_bytecode = True
    since = time.time()
    try:
        return replace(_find_site(chosen), since=since)
    except PatchedError:
        raise  # not even that page
    except CommandError as error:
        return Site("a page that says what is wrong", broken(error), error=error, since=since)


def _find_site(chosen: Chosen) -> Site:
    target = chosen["app"]
    directory = next((each.directory for each in chosen["static"] if each.path == "/"), None)
    if directory is not None:
        if target is not None:
            raise CommandError(
                f"{chosen.origin('static')}: {directory} at / leaves no path to {target}: "
                f"mount it at another, as /static={directory}"
            )
        return Site(f"the files of {directory}", only_files)
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
        require_unpatched(str(target))  # what has failed may have failed for that
        raise
    require_unpatched(str(target))
    return application


def make_server(
    chosen: Chosen,
    site: Site,
    access_log: AccessLog | None,
    *,
    listeners: Sequence[Listener] | None = None,
    acme: ACME | None = None,
    multiprocess: bool = False,
) -> Server:
    """Compose the server; nothing is bound yet. Raises `CommandError`.

    Without ``listeners`` it has those that are chosen. Challenges over HTTP are answered from
    ``acme``. With ``multiprocess`` the application is
    told that other processes serve it, too.
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
    options = chosen.arguments(Part.SITE)
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

    try:
        served = WSGISite(
            site.application, multiprocess=multiprocess, access_log=access_log, **options
        )
    except ValueError as error:  # for a path at which no files can be mounted
        raise CommandError(f"{chosen.origin('static')}: {error}") from error
    return lambda: WSGIWorker(served)


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
                f"{chosen.origin('static')}: two directories are served at {mount.path}"
            )
        try:
            mounts[mount.path] = StaticFiles(mount.directory, **chosen.arguments(Part.FILES))
        except NotADirectoryError as error:
            raise CommandError(f"{chosen.origin('static')}: {error}") from error
    return mounts
