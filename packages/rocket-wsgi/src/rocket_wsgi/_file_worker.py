"""The worker for servers of static files only."""

from __future__ import annotations

from wsgiref.types import StartResponse, WSGIEnvironment

from rocket_wsgi._access_log.access_log import AccessLog
from rocket_wsgi._static.answers import ALLOW
from rocket_wsgi._static.files import StaticFiles
from rocket_wsgi._worker import WSGIWorker


class FileWorker(WSGIWorker):
    """Serves the files of one directory over HTTP/1.1 and HTTP/1.0, without an application."""

    def __init__(
        self, files: StaticFiles, *, access_log: AccessLog | None = None, compress: bool = False
    ) -> None:
        """Serve ``files`` at the path ``/``.

        Args:
            files: the directory to serve.
            access_log: receives a line for each request; None for no log.
            compress: whether to compress files as `Site` describes it.

        Raises:
            TypeError: ``files`` is not a `StaticFiles` object.
        """
        super().__init__(files_only, static={"/": files}, access_log=access_log, compress=compress)


def files_only(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """The application of a server that serves only files, which are mounted at ``/``.

    It answers ``OPTIONS *``, the only request that has no path (RFC 9110, section 9.3.7).
    """
    del environ
    start_response("204 No Content", [ALLOW])
    return []
