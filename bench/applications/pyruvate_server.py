"""pyruvate: python -m bench.applications.pyruvate_server APPLICATION PORT THREADS."""

from __future__ import annotations

import sys

import pyruvate

from bench.applications.loading import load


def main() -> None:
    """Serve until killed."""
    target, port, threads = sys.argv[1:]
    pyruvate.serve(load(target), f"127.0.0.1:{port}", int(threads))  # it keeps no connection


if __name__ == "__main__":
    main()
