"""Have the fuzzing client of Autobahn try all it can on an echo server of websockets.

python autobahn.py WSTEST [CASES ...]

WSTEST is the program of that name, of the package autobahntestsuite. The reports are written into
the directory ``reports``. The exit status is 1 if any case has failed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rocket_core import Listener, Server, TCPAddress
from rocket_wsgi import WebSocket, WSGIWorker

GROUPS = (
    ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"),
    ("12.*",),
    ("13.*",),
)
"""The cases, in groups that are tried side by side. Each takes minutes."""

GOOD = frozenset({"OK", "NON-STRICT", "INFORMATIONAL"})

DECLINED = ("13.3.", "13.5.")
"""The cases that offer only what the server declines: that it compress with a smaller window."""


class Echo:
    """Answers each message with itself."""

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        """Answer."""
        ws.send(data)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Accept every websocket."""
    environ["rocket.websocket"].accept(Echo(), max_message=32 << 20)
    start_response("200 OK", [])
    return []


def start(wstest: str, number: int, cases: tuple[str, ...], url: str) -> subprocess.Popen[bytes]:
    """Start a client that tries ``cases``."""
    specification = {
        "outdir": f"reports/{number}",
        "servers": [{"agent": "rocket", "url": url}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    path = Path(f"{number}.json")
    path.write_text(json.dumps(specification), encoding="utf-8")
    command = [wstest, "-m", "fuzzingclient", "-s", str(path)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - as told


def read(number: int) -> dict[str, dict[str, str]]:
    """Return the result of each case of a group that was tried."""
    path = Path(f"reports/{number}/index.json")
    cases: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))["rocket"]
    return cases


def is_good(case: str, result: dict[str, str]) -> bool:
    """Return whether the server has passed a case."""
    wanted = {"UNIMPLEMENTED"} if case.startswith(DECLINED) else GOOD
    return result["behavior"] in wanted and result["behaviorClose"] in GOOD


def main(wstest: str, *chosen: str) -> None:
    """Try the chosen cases, or all."""
    groups = (chosen,) if chosen else GROUPS
    with Server(lambda: WSGIWorker(application), [Listener("127.0.0.1:0")]) as server:
        address = server.listeners[0].address
        assert isinstance(address, TCPAddress)
        url = f"ws://127.0.0.1:{address.port}"
        clients = [start(wstest, number, cases, url) for number, cases in enumerate(groups)]
        statuses = [client.wait() for client in clients]
    if any(statuses):
        sys.exit(f"the clients have ended with {statuses}")
    results = {case: result for n in range(len(groups)) for case, result in read(n).items()}
    bad = {case: result for case, result in results.items() if not is_good(case, result)}
    for case, result in bad.items():
        sys.stdout.write(
            f"case {case}: {result['behavior']}, its close: {result['behaviorClose']}\n"
        )
    sys.stdout.write(f"{len(results)} cases, {len(bad)} of them bad\n")
    sys.exit(bool(bad or not results))


if __name__ == "__main__":
    main(*sys.argv[1:])
