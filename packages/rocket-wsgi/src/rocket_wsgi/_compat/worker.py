"""The worker whose applications find the client's certificate as with the original Rocket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocket_wsgi._worker import WSGIWorker

if TYPE_CHECKING:
    from rocket_core import Connection, State
    from rocket_wsgi._http2.http2_exchange import HTTP2Exchange
    from rocket_wsgi._types import Environ


class CompatibleWorker(WSGIWorker):
    """A worker that adds the variables of the original Rocket to the environ."""

    def serve(self, connection: Connection) -> State:
        """Add the original's name of the client certificate, and serve the request."""
        _add_certificate(connection.context.environ)
        return super().serve(connection)

    def serve_stream(self, exchange: HTTP2Exchange) -> None:
        """Do the same for a stream."""
        _add_certificate(exchange.request.environ)
        super().serve_stream(exchange)


def _add_certificate(environ: Environ) -> None:
    if "SSL_CLIENT_CERT" in environ:
        environ["SSL_CLIENT_RAW_CERT"] = environ["SSL_CLIENT_CERT"]
