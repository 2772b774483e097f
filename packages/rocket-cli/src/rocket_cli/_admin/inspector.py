"""The answers of a worker process to questions about itself."""

from __future__ import annotations

import linecache
import logging
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import islice
from traceback import walk_stack
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from rocket_cli._admin.protocol import SORTS
from rocket_cli._admin.reply import Answer
from rocket_cli._admin.vitals import build, descriptors, gil_enabled, gil_wait, memory
from rocket_cli._logging.server_log import lost_messages, set_log_level
from rocket_cli._serving.listeners import location, tls_listeners
from rocket_cli._settings.threads import parse_threads
from rocket_cli._version import __version__
from rocket_core import Activity, Histogram, Server

if TYPE_CHECKING:
    from rocket_tls import TLSListener
    from rocket_wsgi import AccessLog

Arguments = Mapping[str, Any]

_log = logging.getLogger("rocket_cli")

MAX_FRAMES: Final = 64
"""The maximum number of frames of a stack in an answer, counted from the innermost."""

_MAX_DEPTH: Final = 5000
"""The maximum number of frames of a stack that are examined."""

_OWN: Final = ("rocket_core.", "rocket_wsgi.", "threading")
"""Beginnings of the names of modules through which a thread comes to the application."""


class Inspector:
    """Answers questions about one process. The answers are JSON objects; any thread may ask.

    Nothing is kept or measured between two questions.
    """

    def __init__(self, server: Server, access_log: AccessLog | None = None) -> None:
        """Answer about ``server``, which serves from now on, and its ``access_log``."""
        self._server = server
        self._access_log = access_log
        self._began = time.monotonic()

    @property
    def handlers(self) -> dict[str, Callable[[Answer], Answer]]:
        """The handlers of questions by name; they raise `ValueError` for an invalid argument."""
        return {
            "stats": self.stats,
            "threads": self.threads,
            "connections": self.connections,
            "log-level": self.log_level,
            "resize-threads": self.resize,
        }

    def counters(self) -> Answer:
        """Return all values that only grow: numbers in (nested) objects, which can be added."""
        statistics = self._server.statistics()
        tls: dict[str, int] = {}
        for listener in tls_listeners(self._server.listeners):
            for reason, count in listener.tls_errors.items():
                tls[reason] = tls.get(reason, 0) + count
        return {
            "accepted": statistics.accepted,
            "accept_errors": statistics.accept_errors,
            "refused": statistics.refused,
            "refused_clients": statistics.refused_clients,
            "limited": statistics.limited,
            "lined": statistics.lined,
            "requests": statistics.requests,
            "closes": statistics.closes,
            "tls_errors": tls,
            "messages": {kind: asdict(counts) for kind, counts in statistics.messages.items()},
            "outcomes": statistics.outcomes,
            "queue_time": _times(statistics.queue_time),
            "service_time": _times(statistics.service_time),
            "service_times": {
                name: _times(times) for name, times in statistics.service_times.items()
            },
            "responses": statistics.responses,
            "own_responses": statistics.own_responses,
            "log_lines_lost": {
                "access": 0 if self._access_log is None else self._access_log.lost,
                "server": lost_messages(),
            },
            "cpu": time.process_time(),
        }

    def stats(self, arguments: Arguments) -> Answer:
        """Return the counters, the present levels, and the resources that the process uses."""
        del arguments
        statistics = self._server.statistics()
        least, most = self._server.threads
        busy = sum(each.peer is not None for each in self._server.activities())
        return {
            "version": __version__,
            "build": build(),
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "gil": gil_enabled(),
            "gil_wait": gil_wait(),
            "uptime": time.monotonic() - self._began,
            "state": self._server.lifecycle.value,
            "memory": memory(),
            "descriptors": descriptors(),
            "threads": {
                "count": statistics.threads,
                "min": least,
                "max": most,
                "busy": busy,
                "stalled": statistics.stalled,
            },
            "queue": statistics.ready,
            "in_lines": statistics.in_lines,
            "held": statistics.held,
            "connections": statistics.connections,
            "shared": {kind: asdict(counts) for kind, counts in statistics.shared.items()},
            "listeners": [location(each) for each in self._server.listeners],
            "certificates": [
                certificate
                for each in tls_listeners(self._server.listeners)
                for certificate in _certificates(each)
            ],
            "failed_certificates": {
                str(each.address): each.certificates.failed
                for each in tls_listeners(self._server.listeners)
            },
            "counters": self.counters(),
        }

    def threads(self, arguments: Arguments) -> Answer:
        """Return what each thread does, the longest busy first; with ``stacks``, its stack, too."""
        now = time.monotonic()
        found = [_activity(each, now) for each in self._server.activities()]
        if arguments.get("stacks", False):
            frames = sys._current_frames()  # noqa: SLF001 - there is no other way
            for each in found:
                if each["client"] is not None and each["ident"] in frames:
                    each["stack"] = _stack(frames[each["ident"]])
            del frames
        return {"threads": found[: arguments.get("limit", len(found))]}

    def connections(self, arguments: Arguments) -> Answer:
        """Return the number of open connections, and ``limit`` of them in the order ``sort``."""
        now = time.time()
        found = self._server.list_connections()
        found.sort(key=SORTS[arguments.get("sort", "age")])
        return {
            "count": len(found),
            "connections": [
                {
                    "peer": str(each.peer),
                    "local": str(each.local),
                    "state": each.state.value,
                    "age": max(now - each.created, 0.0),
                    "requests": each.requests,
                    "held": each.held,
                    "secure": each.secure,
                    "protocol": each.protocol,
                    "kind": each.kind,
                    "active": each.active,
                    "streams": each.streams,
                    "stream_kinds": each.stream_kinds,
                    "messages": None if each.messages is None else asdict(each.messages),
                }
                for each in found[: arguments.get("limit", 100)]
            ],
        }

    def log_level(self, arguments: Arguments) -> Answer:
        """Change the log level to ``level``."""
        level = arguments["level"]
        set_log_level(level)
        return {"level": level}

    def resize(self, arguments: Arguments) -> Answer:
        """Change the number of threads to ``threads``, ``N`` or ``MIN:MAX``."""
        threads = parse_threads(arguments["threads"])
        self._server.resize(threads.least, threads.most)
        _log.info("number of threads changed to %s", threads)
        return {"threads": str(threads)}


def _times(histogram: Histogram) -> Answer:
    """Return a distribution of times, as `rocket_cli._admin.counters` describes it."""
    return {
        "sum": histogram.total,
        "buckets": {
            str(round(limit * 1e6)): count for limit, count in histogram.buckets() if count
        },
    }


def _certificates(listener: TLSListener) -> list[Answer]:
    return [
        {
            "listener": str(listener.address),
            "source": chain.source,
            "names": sorted(chain.names),
            "expires": chain.expires.timestamp(),
        }
        for chain in listener.certificates.chains
    ]


def _activity(activity: Activity, now: float) -> Answer:
    busy = activity.peer is not None
    return {
        "thread": activity.thread,
        "ident": activity.ident,
        "native_id": activity.native_id,
        "client": str(activity.peer) if busy else None,
        "request": activity.doing,
        "seconds": max(now - activity.since, 0.0) if busy else None,
        "state": None if activity.state is None else activity.state.value,
    }


def _stack(frame: FrameType) -> list[Answer]:
    """Return the frames of the application, the outermost first.

    Without frames of the application these are the frames of Rocket.
    """
    # Without the GIL the thread runs on while its frames are read: the chain may change, and need
    # not end. Therefore it is read up to a maximum depth.
    frames = list(islice(walk_stack(frame), _MAX_DEPTH))[::-1]
    foreign = [n for n, (each, _) in enumerate(frames) if not _is_own(each)]
    frames = frames[foreign[0] if foreign else 0 :][-MAX_FRAMES:]
    return [
        {
            "file": each.f_code.co_filename,
            "line": line,
            "function": each.f_code.co_qualname,
            "code": linecache.getline(each.f_code.co_filename, line, each.f_globals).strip(),
        }
        for each, line in frames
    ]


def _is_own(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(_OWN)
