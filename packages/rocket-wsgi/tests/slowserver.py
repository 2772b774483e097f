"""A server of an application in a process of its own, for clients that are slow in any way."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

from rocket_core import Server, Timeouts
from rocket_core.testing import NarrowListener, ServerProcess, report_to_parent
from rocket_wsgi import WSGIWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

THREADS = 4
WHOLE = bytes(200_000)
PIECE = bytes(50_000)
PIECES = 1000
FILE_SIZE = 10_000_000


class SlowServer(ServerProcess):
    """Serves the application of `main` with `THREADS` threads, which are replaced as they wait."""

    def __init__(self, timeouts: dict[str, float], settings: dict[str, Any], **server: Any) -> None:
        """``settings`` are those of the worker."""
        super().__init__(
            f"import slowserver; slowserver.main({timeouts!r}, {settings!r}, {server!r})"
        )


# -- in the other process --------------------------------------------------------------------------


def main(timeouts: dict[str, float], settings: dict[str, Any], options: dict[str, Any]) -> None:
    """Serve until standard input ends, and answer each of its lines with a report."""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(FILE_SIZE)

        def application(environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
            start("200 OK", [])
            match environ["PATH_INFO"]:
                case "/whole":
                    return [WHOLE]
                case "/pieces":
                    return (PIECE for _ in range(PIECES))
                case "/file":
                    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](open(file.name, "rb"))  # noqa: PTH123, SIM115
                    return wrapped
            return [b"%d" % len(environ["wsgi.input"].read())]

        with Server(
            lambda: WSGIWorker(application, **settings),
            [NarrowListener()],
            min_threads=THREADS,
            max_threads=THREADS,
            timeouts=Timeouts(**timeouts),
            **options,
        ) as server:
            report_to_parent(server)
