"""The worker that serves files only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocket_wsgi._own_answers import only_files
from rocket_wsgi._worker import WSGIWorker

if TYPE_CHECKING:
    from rocket_wsgi._access_log.access_log import AccessLog
    from rocket_wsgi._static.files import StaticFiles


class FileWorker(WSGIWorker):
    """Serves the files of one directory over HTTP/1.1 and HTTP/1.0."""

    def __init__(self, files: StaticFiles, *, access_log: AccessLog | None = None) -> None:
        """Serve ``files``.

        Args:
            files: the files, which are served at the path ``/``.
            access_log: the log that gets a line for each request. None: there is no log.

        Raises:
            TypeError: ``files`` is not an instance of `StaticFiles`.
        """
        super().__init__(only_files, static={"/": files}, access_log=access_log)
