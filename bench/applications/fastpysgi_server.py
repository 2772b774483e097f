"""fastpysgi, which has one thread.

python -m bench.applications.fastpysgi_server APPLICATION PORT [CERTIFICATE KEY]
"""

from __future__ import annotations

import sys

import fastpysgi

from bench.applications.loading import load


def main() -> None:
    """Serve until killed."""
    target, port, *certificate = sys.argv[1:]
    server = fastpysgi.server
    server.backlog = 4096
    server.tcp_nodelay = 1
    if certificate:
        server.tls_list = [tuple(certificate)]
    fastpysgi.run(load(target), host="127.0.0.1", port=int(port))


if __name__ == "__main__":
    main()
