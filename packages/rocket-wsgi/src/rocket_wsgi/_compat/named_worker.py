"""The worker whose applications find a given name of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocket_wsgi._site import Site
from rocket_wsgi._worker import WSGIWorker

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from rocket_core import Connection, Peer, State
    from rocket_wsgi._access_log.access_log import AccessLog
    from rocket_wsgi._types import Environ


class _NamedSite(Site):
    """A site with a given name of the server."""

    def __init__(self, application: WSGIApplication, name: str, log: AccessLog | None) -> None:
        super().__init__(application, access_log=log)
        self._name = name

    def make_template(self, local: Peer, secure: bool) -> Environ:
        """Make the template of an environ, with the given name as ``SERVER_NAME``."""
        template = super().make_template(local, secure)
        template["SERVER_NAME"] = self._name
        return template


class NamedWorker(WSGIWorker):
    """Serves an application, with the original Rocket's variables in the environ."""

    def __init__(self, application: WSGIApplication, name: str, log: AccessLog | None) -> None:
        """Serve ``application``, with ``name`` as ``SERVER_NAME``."""
        super().__init__(_NamedSite(application, name, log))

    def serve(self, connection: Connection) -> State:
        """Add the original's name of the client certificate, and serve the request."""
        environ = connection.context.environ
        if "SSL_CLIENT_CERT" in environ:
            environ["SSL_CLIENT_RAW_CERT"] = environ["SSL_CLIENT_CERT"]
        return super().serve(connection)
