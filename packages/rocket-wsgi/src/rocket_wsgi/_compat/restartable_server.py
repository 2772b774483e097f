"""The life of the original Rocket's server: start, stop and restart, in any order.

Theory of operation. Three kinds of threads meet here: the thread in `RestartableServer.start`,
which waits for the end of the server (or the thread ``rocket-wait`` in its place); threads that
call `stop` or `restart`; and the main thread, on which signal handlers run. A signal handler takes
no lock: it notes what is wanted, in ``_stopping`` or ``_restarting``, and drains the server, which
wakes the waiting thread; this one then starts the server again, or returns. ``_lock`` is held by
the thread that restarts the server, and guards the decision to do so.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

from rocket_core import Lifecycle, LifecycleError, Server
from rocket_wsgi._access_log.access_log import AccessLog
from rocket_wsgi._compat.forwarded_errors import ForwardedErrors
from rocket_wsgi._compat.signals import StopAndRestartSignals


class RestartableServer:
    """A server whose listeners are bound at once, and which can be stopped and started again.

    Attributes:
        server: the server, for its statistics and the addresses of its listeners.
    """

    def __init__(self, server: Server, *, stop_time: float, handle_signals: bool) -> None:
        """Bind the listeners of ``server``, all or none. Raises `BindError`.

        Args:
            server: the server, whose worker uses ``self._access_log``.
            stop_time: seconds for which running requests may finish when the server stops.
            handle_signals: whether SIGTERM stops the server, and SIGUSR1 restarts it, if the server
                is started on the main thread. A second SIGTERM stops it at once.
        """
        self.server: Final = server
        self._stop_time = stop_time
        self._access_log: AccessLog | None = None
        self._lock = threading.Lock()
        self._stopping = False
        self._restarting = False
        self._errors = ForwardedErrors("Rocket.Errors")
        self._signals = (
            StopAndRestartSignals(self._on_stop, self._on_restart) if handle_signals else None
        )
        try:
            for listener in server.listeners:
                listener.bind()
        except BaseException:
            self._close_listeners()
            raise

    def start(self, background: bool = False) -> None:
        """Serve until the server is stopped, or with ``background`` in separate threads.

        Ctrl+C stops the server if this waits on the main thread.

        Raises:
            LifecycleError: the server is already running.
            BindError: the server was stopped, and an address is in use meanwhile.
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
        """Stop, and wait until running requests have finished, up to the time set for that.

        Any thread and any signal handler may call this. The server can be started again.

        Args:
            stoplogging: whether to shut down the logging of the whole process as well.
        """
        self._stopping = True
        if self.server.lifecycle is Lifecycle.NEW:
            self._close_listeners()
        self.server.drain(self._stop_time)
        self.server.wait()
        self._end()
        if stoplogging:
            logging.shutdown()

    def restart(self) -> None:
        """Stop like `stop`, and start again. A call of `start` that waits continues to wait.

        Raises `LifecycleError` if the server is not running.
        """
        with self._lock:
            if self.server.lifecycle is not Lifecycle.RUNNING:
                raise LifecycleError(
                    f"cannot restart a Rocket that is {self.server.lifecycle.value}"
                )
            self.server.drain(self._stop_time)
            self.server.wait()
            self._run()

    def _close_listeners(self) -> None:
        for listener in self.server.listeners:
            listener.close()

    def _run(self) -> None:
        """Start the server, and stop it again if that was asked for meanwhile.

        1. Thread A is about to start the server.
        2. Thread B calls `stop`: ``_stopping`` is true, and the server has nothing to drain.
        3. A starts the server, reads ``_stopping``, and drains it.
        """
        self._restarting = False
        self.server.start()
        if self._stopping:
            self.server.drain(self._stop_time)

    def _wait(self) -> None:
        """Wait for the end of the server, and start it again if a signal has asked for that."""
        while True:
            self.server.wait()
            with self._lock:
                # 1. Thread B, in `restart`, drains the server and waits for it.
                # 2. The server stops, which wakes this thread as well as B.
                # 3. B starts the server and releases the lock; this thread sees that it runs.
                if self.server.lifecycle is not Lifecycle.STOPPED:
                    continue
                if self._stopping or not self._restarting:
                    return
                self._run()

    def _begin(self) -> None:
        log = logging.getLogger("Rocket.Requests")
        if log.isEnabledFor(logging.INFO):
            self._access_log = AccessLog(log)
        self._errors.attach()
        if self._signals is not None:
            self._signals.install()

    def _end(self) -> None:
        log, self._access_log = self._access_log, None
        if log is not None:
            log.close()
        self._errors.detach()
        if self._signals is not None:
            self._signals.remove()

    # -- signal handlers, on the main thread -----------------------------------------------------

    def _on_stop(self) -> None:
        if self._stopping:
            self.server.stop()
            return
        self._stopping = True
        self.server.drain(self._stop_time)

    def _on_restart(self) -> None:
        self._restarting = True
        self.server.drain(self._stop_time)
