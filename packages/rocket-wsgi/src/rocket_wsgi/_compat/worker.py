"""The worker whose applications find the client's certificate as with the original Rocket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocket_wsgi._worker import WSGIWorker

if TYPE_CHECKING:
    from rocket_core import Connection, State


class CompatibleWorker(WSGIWorker):
    """A worker that adds the variables of the original Rocket to the environ."""

    def serve(self, connection: Connection) -> State:
        """Add the original's name of the client certificate, and serve the request."""
        environ = connection.context.environ
        if "SSL_CLIENT_CERT" in environ:
            environ["SSL_CLIENT_RAW_CERT"] = environ["SSL_CLIENT_CERT"]
        return super().serve(connection)
