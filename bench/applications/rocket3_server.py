"""The original Rocket: python -m bench.applications.rocket3_server APPLICATION PORT THREADS."""

from __future__ import annotations

import sys

from rocket3 import Rocket3

from bench.applications.loading import load


def main() -> None:
    """Serve until killed."""
    target, port, threads, *certificate = sys.argv[1:]
    key_first = tuple(reversed(certificate))
    Rocket3(
        ("127.0.0.1", int(port), *key_first),
        app_info={"wsgi_app": load(target)},
        min_threads=int(threads),
        max_threads=int(threads),
    ).start()


if __name__ == "__main__":
    main()
