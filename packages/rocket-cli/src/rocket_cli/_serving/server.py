"""The server that settings describe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rocket_cli._application.loading import load_function
from rocket_cli._application.root_path import rooted
from rocket_cli._application.site import Site
from rocket_cli._errors import CommandError
from rocket_cli._serving.certificates import answers_over_http
from rocket_cli._serving.listeners import make_listeners
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.setting import Part
from rocket_core import Listener, Networks, Server, Timeouts
from rocket_wsgi import AccessLog, Executor, RequestIds, StaticFiles, WSGIWorker
from rocket_wsgi import Site as WSGISite

if TYPE_CHECKING:
    from rocket_tls import ACME


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
        free_peers=chosen["trusted-proxies"] or (),
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
    if chosen["around"] is not None:
        options["around"] = load_function(chosen["around"])
    if static := _mounts(chosen):
        options["static"] = static

    application = site.application
    if chosen["root-path"] is not None:
        application = rooted(application, chosen["root-path"])
    try:
        served = WSGISite(application, multiprocess=multiprocess, access_log=access_log, **options)
    except ValueError as error:  # an invalid path of static files, which only the site checks
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
                f"{chosen.origin('static')}: two directories have the path {mount.path}: "
                "choose another path for one of them"
            )
        try:
            mounts[mount.path] = StaticFiles(mount.directory, **chosen.arguments(Part.FILES))
        except NotADirectoryError as error:
            raise CommandError(f"{chosen.origin('static')}: {error}") from error
    return mounts
