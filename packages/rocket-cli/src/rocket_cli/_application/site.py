"""What the server serves: an application, a page, or files only."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from wsgiref.types import WSGIApplication

from rocket_cli._application.broken_page import broken
from rocket_cli._application.discovery import discover
from rocket_cli._application.load_watch import LoadWatch
from rocket_cli._application.loading import load
from rocket_cli._application.patches import PatchedError, require_unpatched
from rocket_cli._application.welcome_page import welcome
from rocket_cli._errors import CommandError
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.target import Target
from rocket_wsgi import SERVER
from rocket_wsgi.extending import files_only


@dataclass(frozen=True, slots=True)
class Site:
    """What the server serves.

    Attributes:
        name: its name, for the operator.
        application: the WSGI application.
        found: a line that tells where the application was found; None if the settings name it.
        error: the reason why the application is replaced by a page with that reason.
        since: the time, as of `time.time`, when loading began; None without ``reload``.
    """

    name: str
    application: WSGIApplication
    found: str | None = None
    error: CommandError | None = None
    since: float | None = None


def find_site(chosen: Chosen, *, welcomes: bool) -> Site:
    """Load what the settings say is to be served. Raises `CommandError`.

    Where no application is found, the welcome page is served if ``welcomes`` says so. With
    ``reload``, an application that cannot be loaded is replaced by a page with the reason.

    SERVER_SOFTWARE is set, because some applications look there to find out whether a server runs
    them; an inherited value would name another server.
    """
    os.environ["SERVER_SOFTWARE"] = SERVER
    if not chosen["reload"]:
        return _find_site(chosen, welcomes=welcomes)
    # Python compares the modification time, in whole seconds, and the size of a source file to find
    # out whether its compiled module is up to date (PEP 3147). That misses a change made within a
    # second, so no compiled modules are written.
    sys.dont_write_bytecode = True
    since = time.time()
    try:
        return replace(_find_site(chosen, welcomes=welcomes), since=since)
    except PatchedError:
        raise  # the page could not be served, either
    except CommandError as error:
        return Site("a page that says what is wrong", broken(error), error=error, since=since)


def _find_site(chosen: Chosen, *, welcomes: bool) -> Site:
    target = chosen["app"]
    directory = next((each.directory for each in chosen["static"] if each.path == "/"), None)
    if directory is not None:
        if target is not None:
            raise CommandError(
                f"{chosen.origin('static')}: {directory} at / leaves no path to {target}: "
                f"mount it at another path, such as /static={directory}"
            )
        return Site(f"the files of {directory}", files_only)
    sys.path.insert(0, str(Path.cwd()))
    if target is not None:
        return Site(str(target), _load(target))
    found = discover(Path.cwd())
    if found is None and not welcomes:
        raise CommandError(
            f"found no application in {Path.cwd()}: name one, such as rocket-cli serve MODULE:APP; "
            "the welcome page is only for the loopback addresses of a developer's machine"
        )
    if found is None:
        nothing = f"Found no application in {Path.cwd()}; name one: rocket-cli serve MODULE:APP"
        return Site("the welcome page", welcome, nothing)
    return Site(str(found.target), _load(found.target), f"Found {found.kind}: {found.target}")


def _load(target: Target) -> WSGIApplication:
    try:
        with LoadWatch():
            application = load(target)
    except CommandError:
        require_unpatched(str(target))  # the patch may be the reason for the failure
        raise
    require_unpatched(str(target))
    return application
