"""bjoern, which has one thread: python -m bench.applications.bjoern_server APPLICATION PORT."""

from __future__ import annotations

import sys

import bjoern

from bench.applications.loading import load


def main() -> None:
    """Serve until killed."""
    target, port = sys.argv[1:]
    bjoern.run(load(target), "127.0.0.1", int(port))


if __name__ == "__main__":
    main()
