"""The worker that serves files, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocket_wsgi._static.files import ALLOW, StaticFiles
from rocket_wsgi._worker import WSGIWorker

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from rocket_wsgi._access_log.access_log import AccessLog


class FileWorker(WSGIWorker):
    """Serves the files of one directory over HTTP/1.1 and HTTP/1.0."""

    def __init__(self, files: StaticFiles, *, access_log: AccessLog | None = None) -> None:
        """Serve ``files``.

        Args:
            files: what is served, at the path ``/``.
            access_log: gets a line for each request; None for no log.

        Raises:
            TypeError: ``files`` is not `StaticFiles`.
        """
        super().__init__(_no_path, static={"/": files}, access_log=access_log)


def _no_path(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer ``OPTIONS *``, the one request that is for no path (RFC 9110, section 9.3.7)."""
    del environ
    start_response("204 No Content", [ALLOW])
    return []
