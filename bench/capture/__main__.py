"""Make docs/pictures/top.svg: rocket-cli top while thousands of slow clients come and go.

python -m bench.capture [--clients COUNT]

It serves examples/flask with eight threads, to which some ordinary clients send requests all the
time. `rocket-cli top` runs in a terminal of its own, whose screens become the picture. It takes
about half a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from typing import Final

from bench.capture.animation import animation
from bench.capture.slow_clients import FILE
from bench.capture.steady_load import SteadyLoad
from bench.capture.terminal import Picture, Terminal
from bench.errors import BenchError
from bench.measure import allow_descriptors
from bench.paths import EXAMPLE, ROOT

PICTURE: Final = ROOT / "docs/pictures/top.svg"
_COLUMNS, _LINES = 112, 24
_THREADS: Final = 8

_BEFORE: Final = 4.0
_WARMING: Final = 1.0
"""Seconds in which the application answers its first requests, which take longer."""
_CONNECTING: Final = 6.0
_HELD: Final = 6.0
_AFTER: Final = 3.0

_LARGE: Final = 32 * 1024 * 1024


def _command(name: str) -> str:
    command = shutil.which(name, path=sysconfig.get_path("scripts"))
    if command is None:
        raise BenchError(f"{name} is not installed beside this Python")
    return command


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def _server(port: int, folder: Path) -> Iterator[Path]:
    """The notes application, with an admin socket, whose path is returned."""
    admin = folder / "admin"
    files = folder / "files"
    files.mkdir()
    with (files / Path(FILE).name).open("wb") as file:
        file.truncate(_LARGE)
    command = [_command("rocket-cli"), "serve", "app:app", "--bind", f"127.0.0.1:{port}"]
    command += ["--threads", str(_THREADS), "--admin", str(admin)]
    command += ["--static", f"/downloads={files}"]
    variables = {**os.environ, "NOTES_DATA": str(folder / "data")}
    process = subprocess.Popen(command, cwd=EXAMPLE, env=variables, stderr=subprocess.DEVNULL)
    try:
        _await(admin)
        yield admin
    finally:
        process.terminate()
        process.wait(60)


def _await(admin: Path) -> None:
    deadline = time.monotonic() + 30
    while not admin.exists():
        if time.monotonic() > deadline:
            raise BenchError("the server did not start within 30 s")
        time.sleep(0.05)


@dataclass(frozen=True)
class Recording:
    """What was seen.

    Attributes:
        pictures: the screens, each with the seconds until the next.
        fullest: the number of the last screen before the slow clients leave.
        words: what happened.
    """

    pictures: list[tuple[float, Picture]]
    fullest: int
    words: str


def record(clients: int) -> Recording:
    """Watch the server while slow clients come and go."""
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="rocket-top-") as name, _server(port, Path(name)) as at:
        top = Terminal(
            [_command("rocket-cli"), "top", "--admin", str(at)], _COLUMNS, _LINES, os.environ
        )
        with SteadyLoad(port) as load:
            top.watch(_BEFORE)
            slow = _start_slow_clients(port, clients)
            begun = time.monotonic()
            top.watch(_CONNECTING + _HELD)
            ended = time.monotonic()
            report = json.loads(slow.communicate(timeout=60)[0])
            top.watch(_AFTER)
        top.end(b"q")
    if report != {"open": clients, "closed": 0}:
        raise BenchError(f"not all slow clients were served: {report}")
    drawn = list(dropwhile(_is_empty, top.pictures))
    times = [*(when for when, _ in drawn), drawn[-1][0] + 1.0]
    return Recording(
        [(after - when, picture) for (when, picture), after in zip(drawn, times[1:], strict=True)],
        sum(when < ended for when in times) - 1,
        _words(clients, load.times, begun, ended),
    )


def _is_empty(screen: tuple[float, Picture]) -> bool:
    """Whether the program has cleared the screen and not drawn on it yet."""
    return not any(cell.text.strip() for line in screen[1] for cell in line)


def _start_slow_clients(port: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.capture.slow_clients", str(port), str(count)]
    return subprocess.Popen(
        [*command, str(_CONNECTING)],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _words(clients: int, times: list[tuple[float, float]], begun: float, ended: float) -> str:
    warm = times[0][0] + _WARMING
    calm = sorted(took for when, took in times if warm < when < begun)
    busy = sorted(took for when, took in times if begun <= when < ended)
    return (
        f"The screen of rocket-cli top while {clients:,} slow clients connect, stay for some "
        "seconds and leave: most of them send the head of a request byte by byte, some an upload, "
        "and some do not read the response. They are in the states head, body and sending, and "
        f"hold none of the {_THREADS} threads. {len(busy)} ordinary requests were answered "
        f"meanwhile, half of them within {_milliseconds(busy, 0.5)} and 99 % within "
        f"{_milliseconds(busy, 0.99)}; before that, it was {_milliseconds(calm, 0.5)} and "
        f"{_milliseconds(calm, 0.99)}."
    )


def _milliseconds(times: list[float], share: float) -> str:
    return f"{times[min(int(len(times) * share), len(times) - 1)] * 1000:.1f} ms"


def main() -> None:
    """Record the screens, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=5000)
    arguments = parser.parse_args()
    if allow_descriptors(2 * arguments.clients + 1000) < 2 * arguments.clients + 1000:
        raise SystemExit("the system does not allow so many open files")
    found = record(arguments.clients)
    title = f"rocket-cli top while {arguments.clients:,} slow clients come and go"
    source = animation(found.pictures, still=found.fullest, title=title, description=found.words)
    PICTURE.write_text(source, encoding="utf-8")
    print(found.words)
    print(f"{PICTURE.relative_to(ROOT)}: {len(found.pictures)} screens, {len(source):,} bytes")


if __name__ == "__main__":
    main()
