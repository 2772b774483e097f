"""A floor: the call of an application alone, in a loop.

python -m bench.applications.call_loop APPLICATION PATH SECONDS
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults

from bench.applications.loading import load

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication, WSGIEnvironment


def call(application: WSGIApplication, environ: WSGIEnvironment) -> None:
    """One call. Raises `ValueError` when the answer is not 200."""
    found: list[str] = []

    def start_response(status: str, headers: object, exc_info: object = None) -> Any:
        del headers, exc_info
        found.append(status)

    result = application(environ, start_response)
    b"".join(result)
    if hasattr(result, "close"):
        result.close()
    if found != ["200 OK"]:
        raise ValueError(f"the application answered {found}")


def main() -> None:
    """Call for some seconds, then report as a line of JSON."""
    target, path, seconds = sys.argv[1:]
    application = load(target)
    template: WSGIEnvironment = {"PATH_INFO": path}
    setup_testing_defaults(template)
    call(application, template.copy())
    requests = 0
    cpu, began = time.process_time(), time.monotonic()
    while (elapsed := time.monotonic() - began) < float(seconds):
        call(application, template.copy())
        requests += 1
    cpu = time.process_time() - cpu
    print(json.dumps({"requests": requests, "seconds": elapsed, "cpu": cpu}))


if __name__ == "__main__":
    main()
