"""cheroot: python -m bench.applications.cheroot_server APPLICATION PORT THREADS [CERT KEY]."""

from __future__ import annotations

import sys

from cheroot import wsgi
from cheroot.ssl.builtin import BuiltinSSLAdapter

from bench.applications.loading import load


def main() -> None:
    """Serve until killed."""
    target, port, threads, *certificate = sys.argv[1:]
    server = wsgi.Server(
        ("127.0.0.1", int(port)),
        load(target),
        numthreads=int(threads),
        max=int(threads),
        request_queue_size=4096,
        timeout=300,
    )
    server.keep_alive_conn_limit = 20_000  # of ten, by default; it closes what is beyond
    if certificate:
        server.ssl_adapter = BuiltinSSLAdapter(*certificate)
    server.start()


if __name__ == "__main__":
    main()
