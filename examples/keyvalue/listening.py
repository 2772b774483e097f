"""The common part of the servers of both styles: the address, time-outs and signals."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from math import inf

from rocket_core import AddressError, BindError, Listener, Server, Timeouts, Worker


def run(worker: Callable[[], Worker]) -> None:
    """Serve at the address on the command line, until SIGTERM or SIGINT."""
    try:
        listener = Listener(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:6379")
        # Clients of this protocol usually keep their connections open, so no idle one is closed.
        server = Server(worker, [listener], timeouts=Timeouts(keep_alive=inf))
        for signal_ in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_, lambda *_: server.drain(10))
        server.start()
    except (AddressError, BindError) as error:
        sys.exit(str(error))
    print(f"Listening on {listener.address}", flush=True)  # noqa: T201 - tells the user where to connect
    server.wait()
