"""The interface of the original Rocket web server, for programs that were written for it.

::

    from rocket_wsgi.compat import Rocket

    Rocket(("127.0.0.1", 8000), "wsgi", {"wsgi_app": application}).start()

A program that imports a module of the original's is given this one in its place, before it does::

    import sys
    import rocket_wsgi.compat

    sys.modules["rocket3"] = rocket_wsgi.compat

What differs from the original is meant to: an interface that cannot listen, or whose certificate
cannot be used, fails the constructor; ``app_info`` is not modified; SIGTERM lets requests finish.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rocket_core import (
    BACKLOG,
    Connection,
    Lifecycle,
    LifecycleError,
    Listener,
    Peer,
    Server,
    State,
    TCPAddress,
    Timeouts,
)
from rocket_wsgi._access_log.access_log import AccessLog
from rocket_wsgi._clock import SERVER
from rocket_wsgi._compat.early_listener import EarlyListener
from rocket_wsgi._compat.forwarded_errors import ForwardedErrors
from rocket_wsgi._file_worker import FileWorker
from rocket_wsgi._site import Site
from rocket_wsgi._static.files import StaticFiles
from rocket_wsgi._version import __version__
from rocket_wsgi._worker import WSGIWorker

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from rocket_wsgi._types import Environ

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
HTTP_SERVER_SOFTWARE: Final = SERVER

SERVER_NAME: str = socket.gethostname()
"""What applications find in ``SERVER_NAME``; set it before a `Rocket` is made."""

SOCKET_TIMEOUT: float | None = None
"""Seconds without a byte of a body or a response moving, after which a client is cut; set it before
a `Rocket` is made. None: as `rocket_core.Timeouts` has it."""

has_ssl: Final = importlib.util.find_spec("rocket_tls") is not None
"""Whether rocket-tls is installed, which HTTPS interfaces need."""

MIN_THREADS: Final = 10
MAX_THREADS: Final = 1024
"""What "unlimited" means."""

STOP_TIME: Final = 30.0
"""Seconds that requests in flight are given to finish."""

Interface = tuple[Any, ...]
"""``(host, port)`` or, with files in PEM form, ``(host, port, key, certificate)``, to which the
authorities that issue clients' certificates may be added."""


class _Site(Site):
    """A site with the given value of ``SERVER_NAME``."""

    def __init__(self, application: WSGIApplication, name: str, log: AccessLog | None) -> None:
        super().__init__(application, access_log=log)
        self._name = name

    def make_template(self, local: Peer, secure: bool) -> Environ:
        """Make the template of an environ with the given ``SERVER_NAME``."""
        template = super().make_template(local, secure)
        template["SERVER_NAME"] = self._name
        return template


class _Worker(WSGIWorker):
    """A worker that sets the environ keys of the original, too."""

    def serve(self, connection: Connection) -> State:
        """Name the client's certificate, if there is one, as the original did, too."""
        environ = connection.context.environ
        if "SSL_CLIENT_CERT" in environ:
            environ["SSL_CLIENT_RAW_CERT"] = environ["SSL_CLIENT_CERT"]
        return super().serve(connection)


class Rocket:
    """A server for one application, as the original Rocket had it.

    Attributes:
        server: what it is made of; for statistics, and the addresses it listens on.
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
        """Listen on all interfaces; clients are accepted once it is started.

        Args:
            interfaces: one tuple or several: host and port and, for HTTPS, the paths of the private
                key and of the certificate, in this order; behind these, the path of the
                certificates of authorities for clients that show a certificate of their own, which
                they need not. None: they are not asked.
            method: ``wsgi``, or ``fs`` for the files of a directory.
            app_info: ``{"wsgi_app": application}``; for ``fs``, ``{"document_root": path}``, with
                ``"display_index": True`` to list directories.
            min_threads: threads that are always there; 10 by default.
            max_threads: threads there may be; 1,024 by default, and for 0.
            queue_size: connections the system keeps for each interface before they are accepted.
            timeout: seconds that an idle connection is kept.
            handle_signals: whether SIGTERM stops the server, at the second time at once, and
                SIGUSR1 restarts it, where it is started on the main thread.

        Raises:
            BindError: an interface cannot be listened on.
            TypeError: ``app_info`` has no application or directory, or a host or port is of another
                type.
            ImportError: an interface has a certificate, and rocket-tls is not installed.
            ValueError: an argument is none of what is offered; a certificate that cannot be used
                raises the `CertificateError` of rocket-tls.
        """
        info = app_info or {}
        make_worker: Callable[[], WSGIWorker]
        if method == "fs":
            files = _files(info)
            make_worker = lambda: FileWorker(files, access_log=self._access_log)  # noqa: E731
        elif method == "wsgi":
            application = _application(info)
            make_worker = lambda: _Worker(  # noqa: E731
                _Site(application, self._server_name, self._access_log)
            )
        else:
            raise ValueError(f"method {method!r} is not known; use 'wsgi' or 'fs'")
        self._access_log: AccessLog | None = None
        self._server_name = SERVER_NAME
        self._stop_time = STOP_TIME
        maximum = max_threads or MAX_THREADS
        self.server = Server(
            make_worker,
            [_listener(each, queue_size or BACKLOG) for each in _several(interfaces)],
            min_threads=min(MIN_THREADS, maximum) if min_threads is None else max(min_threads, 1),
            max_threads=maximum,
            timeouts=(
                Timeouts(keep_alive=timeout)
                if SOCKET_TIMEOUT is None
                else Timeouts(keep_alive=timeout, stall=SOCKET_TIMEOUT)
            ),
        )
        self._handle_signals = handle_signals
        self._lock = threading.Lock()
        """Held by whoever restarts the server."""
        self._stopping = False
        self._restarting = False
        self._before: dict[int, Any] = {}
        self._errors = ForwardedErrors("Rocket.Errors")
        self._bind()

    def _bind(self) -> None:
        try:
            for listener in self.server.listeners:
                listener.bind()
        except BaseException:
            self._unbind()
            raise

    def _unbind(self) -> None:
        for listener in self.server.listeners:
            listener.close()

    # -- for programs ----------------------------------------------------------------------------

    def start(self, background: bool = False) -> None:
        """Serve: until it is stopped, or with ``background`` in threads of its own.

        Ctrl+C stops it, where this waits on the main thread. Raises `LifecycleError` when it runs
        already, `BindError` when it was stopped and an address is taken meanwhile.
        """
        if self.server.lifecycle not in (Lifecycle.NEW, Lifecycle.STOPPED):
            raise LifecycleError(f"cannot start a Rocket that is {self.server.lifecycle.value}")
        self._stopping = False
        self._begin()
        try:
            self._run()
            if background:
                threading.Thread(target=self._wait, name="rocket-wait", daemon=True).start()
                return
            self._wait()
        except KeyboardInterrupt:
            self.stop()
        except BaseException:
            self._end()
            raise
        self._end()

    def stop(self, stoplogging: bool = False) -> None:
        """Stop, and wait until requests in flight are finished, for up to 30 seconds.

        Any thread may call this, and any signal handler. It can be started again afterwards.

        Args:
            stoplogging: whether to shut down all logging of the process, too.
        """
        self._stopping = True
        if self.server.lifecycle is Lifecycle.NEW:
            self._unbind()
        self.server.drain(self._stop_time)
        self.server.wait()
        self._end()
        if stoplogging:
            logging.shutdown()

    def restart(self) -> None:
        """Stop as `stop` does, and start again; a `start` that waits goes on waiting.

        Raises `LifecycleError` when it does not run.
        """
        with self._lock:
            if self.server.lifecycle is not Lifecycle.RUNNING:
                raise LifecycleError(
                    f"cannot restart a Rocket that is {self.server.lifecycle.value}"
                )
            self.server.drain(self._stop_time)
            self.server.wait()
            self._run()

    # -- the rest --------------------------------------------------------------------------------

    def _run(self) -> None:
        self._restarting = False
        self.server.start()
        if self._stopping:  # it was, before there was anything to stop
            self.server.drain(self._stop_time)

    def _wait(self) -> None:
        """Wait for the end, and restart where a signal asked for that."""
        while True:
            self.server.wait()
            with self._lock:
                if self.server.lifecycle is not Lifecycle.STOPPED:
                    continue  # `restart` was called
                if self._stopping or not self._restarting:
                    return
                self._run()

    def _begin(self) -> None:
        log = logging.getLogger("Rocket.Requests")
        if log.isEnabledFor(logging.INFO):
            self._access_log = AccessLog(log)
        self._errors.attach()
        self._catch_signals()

    def _end(self) -> None:
        log, self._access_log = self._access_log, None
        if log is not None:
            log.close()
        self._errors.detach()
        if threading.current_thread() is threading.main_thread():
            while self._before:
                signal.signal(*self._before.popitem())

    def _catch_signals(self) -> None:
        if not self._handle_signals or (threading.current_thread() is not threading.main_thread()):
            return
        self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda *_: self._on_stop())
        if hasattr(signal, "SIGUSR1"):
            self._before[signal.SIGUSR1] = signal.signal(
                signal.SIGUSR1, lambda *_: self._on_restart()
            )

    def _on_stop(self) -> None:
        if self._stopping:
            self.server.stop()
            return
        self._stopping = True
        self.server.drain(self._stop_time)

    def _on_restart(self) -> None:
        self._restarting = True
        self.server.drain(self._stop_time)


Rocket3 = Rocket


class CherryPyWSGIServer(Rocket):
    """A `Rocket` that is made as CherryPy's server is."""

    def __init__(  # noqa: PLR0917 - callers rely on the order
        self,
        bind_addr: Interface | Sequence[Interface],
        wsgi_app: WSGIApplication,
        numthreads: int = 10,
        server_name: str | None = None,
        max: int = -1,  # noqa: A002 - CherryPy calls it so
        request_queue_size: int = 5,
        timeout: float = 10,
        shutdown_timeout: float = 5,
    ) -> None:
        """Listen on all interfaces. Raises as `Rocket`.

        Args:
            bind_addr: as ``interfaces`` of `Rocket`.
            wsgi_app: the application.
            numthreads: threads that are always there.
            server_name: what applications find in ``SERVER_NAME``; None: that of this module.
            max: threads there may be; 1,024 where it is 0 or less.
            request_queue_size: as ``queue_size`` of `Rocket`.
            timeout: seconds that an idle connection is kept.
            shutdown_timeout: seconds that requests in flight are given to finish.
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


def _files(info: Mapping[str, Any]) -> StaticFiles:
    root = info.get("document_root")
    if not isinstance(root, str | os.PathLike):
        raise TypeError(
            f"app_info has no directory but {root!r}; use {{'document_root': 'path', ...}}"
        )
    return StaticFiles(root, listing=bool(info.get("display_index")))


def _application(info: Mapping[str, Any]) -> WSGIApplication:
    if info.get("futures"):
        raise ValueError("app_info has 'futures', which is not offered; leave it out")
    application: WSGIApplication | None = info.get("wsgi_app")
    if not callable(application):
        raise TypeError(
            f"app_info has no WSGI application but {application!r}; use {{'wsgi_app': application}}"
        )
    return application


def _several(interfaces: Interface | Sequence[Interface]) -> Sequence[Interface]:
    if isinstance(interfaces, tuple) and not all(isinstance(each, tuple) for each in interfaces):
        return [interfaces]
    return interfaces


def _listener(interface: Interface, backlog: int) -> Listener:
    wanted = "use (host, port) or, with paths, (host, port, key, certificate[, authorities])"
    if len(interface) not in (2, 4, 5):
        raise ValueError(f"interface {interface!r} is malformed; {wanted}")
    host, port, key, certificate, authorities = (*interface, None, None, None)[:5]
    if not isinstance(host, str) or not isinstance(port, int):
        raise TypeError(f"interface {interface!r} is malformed; {wanted}")
    address = TCPAddress(host, port)
    if key is None and certificate is None:
        if authorities:
            raise ValueError(
                f"interface {interface!r} has authorities, but no certificate; {wanted}"
            )
        return EarlyListener(address, backlog=backlog)
    if key is None or certificate is None:
        raise ValueError(f"interface {interface!r} lacks its key or its certificate; {wanted}")
    try:
        tls: Any = importlib.import_module("rocket_tls")
    except ImportError as error:
        raise ImportError(
            f"interface {interface!r} has a certificate, which needs rocket-tls: in a clone of "
            "Rocket, run pip install ./packages/rocket-core ./packages/rocket-tls"
        ) from error
    kind: Any = type("EarlyTLSListener", (EarlyListener, tls.TLSListener), {})
    settings: dict[str, Any] = {}
    if authorities:
        settings["settings"] = tls.TLSSettings(
            client_certificates="optional", client_ca=Path(authorities)
        )
    listener: Listener = kind(address, Path(certificate), Path(key), backlog=backlog, **settings)
    return listener
