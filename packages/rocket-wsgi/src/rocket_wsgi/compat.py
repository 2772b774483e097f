"""The interface of the original Rocket web server, for programs that were written for it.

::

    from rocket_wsgi.compat import Rocket

    Rocket(("127.0.0.1", 8000), "wsgi", {"wsgi_app": application}).start()

A program that imports a module of the original Rocket itself gets this module if it is registered
under that name before::

    import sys
    import rocket_wsgi.compat

    sys.modules["rocket3"] = rocket_wsgi.compat

The differences from the original are intended: the constructor raises an error for an interface
that cannot listen, or whose certificate cannot be used; ``app_info`` is not modified; and requests
may finish after SIGTERM.
"""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from wsgiref.types import WSGIApplication

from rocket_core import BACKLOG, Server, Timeouts
from rocket_wsgi._clock import SERVER
from rocket_wsgi._compat.app_info import application_of, files_of
from rocket_wsgi._compat.interfaces import Interface, make_listeners
from rocket_wsgi._compat.named_site import NamedSite
from rocket_wsgi._compat.restartable_server import RestartableServer
from rocket_wsgi._compat.worker import CompatibleWorker
from rocket_wsgi._file_worker import FileWorker
from rocket_wsgi._version import __version__
from rocket_wsgi._worker import WSGIWorker

__all__ = [
    "HTTP_SERVER_SOFTWARE",
    "SERVER_NAME",
    "SERVER_SOFTWARE",
    "SOCKET_TIMEOUT",
    "CherryPyWSGIServer",
    "Rocket",
    "Rocket3",
    "__version__",
    "has_ssl",
]

SERVER_SOFTWARE: Final = SERVER
"""The value of ``SERVER_SOFTWARE`` in the environ."""
HTTP_SERVER_SOFTWARE: Final = SERVER
"""The value of the field ``Server``."""

SERVER_NAME: str = socket.gethostname()
"""The value of ``SERVER_NAME`` in the environ. To change it, assign before a `Rocket` is made."""

SOCKET_TIMEOUT: float | None = None
"""Seconds after which a connection is closed if no byte of a body or a response moves.

To change it, assign before a `Rocket` is made. None stands for the default of
`rocket_core.Timeouts`.
"""

has_ssl: Final = importlib.util.find_spec("rocket_tls") is not None
"""Whether rocket-tls is installed, which HTTPS interfaces need."""

MIN_THREADS: Final = 10
"""The default of ``min_threads``."""

MAX_THREADS: Final = 1024
"""The value of ``max_threads`` for an unlimited number of threads."""

STOP_TIME: Final = 30.0
"""Seconds for which running requests may finish when the server stops."""


class Rocket(RestartableServer):
    """A server for one application, with the interface of the original Rocket.

    Attributes:
        server: the server, for its statistics and the addresses of its listeners.
    """

    def __init__(  # noqa: PLR0917 - callers rely on the order
        self,
        interfaces: Interface | Sequence[Interface] = ("127.0.0.1", 8000),
        method: str = "wsgi",
        app_info: Mapping[str, Any] | None = None,
        min_threads: int | None = None,
        max_threads: int | None = None,
        queue_size: int | None = None,
        timeout: float = 600,
        handle_signals: bool = True,
    ) -> None:
        """Listen on all interfaces. Clients are accepted when the server has been started.

        Args:
            interfaces: one tuple, or several: the host and port and, for HTTPS, the paths of the
                private key and of the certificate, in this order. A fifth element is the path of
                the certificates of authorities (CAs): clients are asked for a certificate, which
                stays optional. Without it, clients are not asked.
            method: ``wsgi``, or ``fs`` for the files of a directory.
            app_info: ``{"wsgi_app": application}``; for ``fs``, ``{"document_root": path}``, with
                ``"display_index": True`` to list directories.
            min_threads: the minimum number of threads; 10 by default.
            max_threads: the maximum number of threads; 1,024 by default, and for 0.
            queue_size: the maximum number of connections per interface that wait to be accepted
                (the backlog).
            timeout: seconds after which an idle connection is closed.
            handle_signals: whether SIGTERM stops the server, and SIGUSR1 restarts it, if the server
                is started on the main thread. A second SIGTERM stops it at once.

        Raises:
            BindError: an interface cannot be listened on.
            TypeError: ``app_info`` has no application or directory, or a host or port has the wrong
                type.
            ImportError: an interface has a certificate, and rocket-tls is not installed.
            ValueError: an argument has an invalid value; for a certificate that cannot be used, the
                `CertificateError` of rocket-tls.
        """
        make_worker = self._choose_worker(method, app_info or {})
        self._server_name = SERVER_NAME
        maximum = max_threads or MAX_THREADS
        server = Server(
            make_worker,
            make_listeners(interfaces, queue_size or BACKLOG),
            min_threads=min(MIN_THREADS, maximum) if min_threads is None else max(min_threads, 1),
            max_threads=maximum,
            timeouts=(
                Timeouts(keep_alive=timeout)
                if SOCKET_TIMEOUT is None
                else Timeouts(keep_alive=timeout, stall=SOCKET_TIMEOUT)
            ),
        )
        super().__init__(server, stop_time=STOP_TIME, handle_signals=handle_signals)

    def _choose_worker(self, method: str, info: Mapping[str, Any]) -> Callable[[], WSGIWorker]:
        if method == "fs":
            files = files_of(info)
            return lambda: FileWorker(files, access_log=self._access_log)
        if method == "wsgi":
            application = application_of(info)
            return lambda: CompatibleWorker(
                NamedSite(application, self._server_name, self._access_log)
            )
        raise ValueError(f"method {method!r} is unknown; use 'wsgi' or 'fs'")


Rocket3 = Rocket


class CherryPyWSGIServer(Rocket):
    """A `Rocket` with the arguments of CherryPy's server."""

    def __init__(  # noqa: PLR0917 - callers rely on the order
        self,
        bind_addr: Interface | Sequence[Interface],
        wsgi_app: WSGIApplication,
        numthreads: int = 10,
        server_name: str | None = None,
        max: int = -1,  # noqa: A002 - CherryPy's name
        request_queue_size: int = 5,
        timeout: float = 10,
        shutdown_timeout: float = 5,
    ) -> None:
        """Listen on all interfaces. Raises the same errors as `Rocket`.

        Args:
            bind_addr: the ``interfaces`` of `Rocket`.
            wsgi_app: the application.
            numthreads: the minimum number of threads.
            server_name: the value of ``SERVER_NAME`` in the environ; None for this module's
                `SERVER_NAME`.
            max: the maximum number of threads; 1,024 for 0 or less.
            request_queue_size: the ``queue_size`` of `Rocket`.
            timeout: seconds after which an idle connection is closed.
            shutdown_timeout: seconds for which running requests may finish when the server stops.
        """
        super().__init__(
            bind_addr,
            "wsgi",
            {"wsgi_app": wsgi_app},
            min_threads=numthreads,
            max_threads=max if max > 0 else None,
            queue_size=request_queue_size,
            timeout=timeout,
        )
        self._stop_time = shutdown_timeout
        if server_name is not None:
            self._server_name = server_name
