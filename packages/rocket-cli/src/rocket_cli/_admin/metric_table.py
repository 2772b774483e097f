"""The metrics, and the values that they are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from rocket_cli._admin.counters import CLASSES, TIMED_CLASSES
from rocket_cli._admin.reply import Answer
from rocket_core import CloseReason, State
from rocket_wsgi.extending import OWN_STATUSES

BUCKETS: Final = tuple(
    quarter << exponent - 2
    for exponent in range(6, 28)
    for quarter in ((4, 6) if exponent < 20 else (4, 5, 6, 7) if exponent < 27 else (4,))
)
"""Upper limits of the buckets in microseconds: 64 µs to 134 s.

There are two between one power of two and the next, and four from a second on: users wait for these
times, and alerts are about them. All are limits of the processes' own buckets, too.
"""

_STATES: Final = tuple(each.value for each in State if each is not State.CLOSED)
_REASONS: Final = tuple(each.value for each in CloseReason)
_OWN_STATUSES: Final = tuple(map(str, OWN_STATUSES))
_TLS_REASONS: Final = (
    "answers not taken",
    "certificate required",
    "certificate verify failed: certificate has expired",
    "certificate verify failed: unable to get local issuer certificate",
    "http request",
    "no TLS",
    "no certificate could be chosen",
    "no certificate yet",
    "no protocol in common",
    "no shared cipher",
    "no validation pending",
    "server name not ASCII",
    "sslv3 alert certificate unknown",
    "timeout",
    "tlsv1 alert unknown ca",
    "unexpected eof while reading",
    "unreadable client certificate",
    "unsupported protocol",
)
"""The usual reasons. OpenSSL has many more."""

_CODES: Final = ("1000", "1001", "1002", "1005", "1006", "1007", "1009", "1011", "1013")
"""The close codes of websockets that the server gives, or sees most often."""

_HTTP2_CODES: Final = (
    "COMPRESSION_ERROR",
    "ENHANCE_YOUR_CALM",
    "FLOW_CONTROL_ERROR",
    "FRAME_SIZE_ERROR",
    "INTERNAL_ERROR",
    "PROTOCOL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
)
"""The error codes with which the server ends connections of HTTP/2."""

_OUTCOMES: Final = {
    "HTTP/2": (*_HTTP2_CODES, *_REASONS),
    "deferred answer": _REASONS,
    "event stream": _REASONS,
    "websocket": _CODES,
}
"""How shared connections of each kind end, as far as that is known beforehand."""

Values = Iterator[tuple[list[str], Any]]
"""Pairs of the values of the labels and the value of the metric."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """The data that all metrics of one scrape are made of.

    Attributes:
        stats: the ``stats`` of each process.
        whole: the `summary` of these.
        counters: the counters of all processes, including processes that have ended.
        supervisor: the answer of the supervisor about its processes.
    """

    stats: Sequence[Answer]
    whole: Answer
    counters: Answer
    supervisor: Answer


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric.

    Attributes:
        name: the name, without the suffix that Prometheus appends for the type.
        family: the type.
        help: the text for Prometheus about what the metric counts or measures.
        labels: the names of the labels.
        values: takes the values from a scrape.
    """

    name: str
    family: Callable[..., Metric]
    help: str
    labels: tuple[str, ...]
    values: Callable[[Scrape], Values]

    def collect(self, scrape: Scrape) -> Metric:
        """Return the metric with the values of ``scrape``."""
        made: Any = self.family(self.name, self.help, labels=list(self.labels))
        for labels, value in self.values(scrape):
            if self.family is HistogramMetricFamily:
                made.add_metric(labels, buckets=_cumulative(value), sum_value=value["sum"])
            else:
                made.add_metric(labels, value)
        metric: Metric = made
        return metric


def _counter(key: str) -> Callable[[Scrape], Values]:
    return lambda scrape: iter([([], scrape.counters.get(key, 0))])


def _counters(key: str, names: Iterable[str] = ()) -> Callable[[Scrape], Values]:
    """Take the counters of an object; those of ``names`` are there from the start, with 0."""
    present = dict.fromkeys(names, 0)
    return lambda scrape: (
        ([name], count)
        for name, count in sorted({**present, **scrape.counters.get(key, {})}.items())
    )


def _supervised(key: str) -> Callable[[Scrape], Values]:
    return lambda scrape: iter([([], scrape.supervisor[key])])


def _level(key: str) -> Callable[[Scrape], Values]:
    return lambda scrape: iter([([], scrape.whole[key])])


def _threads(key: str) -> Callable[[Scrape], Values]:
    return lambda scrape: iter([([], scrape.whole["threads"].get(key, 0))])


def _times(key: str) -> Callable[[Scrape], Values]:
    nothing: dict[str, Any] = {"sum": 0.0, "buckets": {}}
    return lambda scrape: iter([([], scrape.counters.get(key, nothing))])


def _times_by_class(scrape: Scrape) -> Values:
    nothing: dict[str, Any] = {"sum": 0.0, "buckets": {}}
    found = scrape.counters.get("service_times", {})
    return (([name], found.get(name, nothing)) for name in TIMED_CLASSES)


def _failed_certificates(scrape: Scrape) -> Values:
    """Return the number of each listener in the process that has most of them."""
    found: dict[str, int] = {}
    for each in scrape.stats:
        for listener, count in each["failed_certificates"].items():
            found[listener] = max(found.get(listener, 0), count)
    return (([listener], count) for listener, count in sorted(found.items()))


def _connections(scrape: Scrape) -> Values:
    found = {**dict.fromkeys(_STATES, 0), **scrape.whole["connections"]}
    return (([state], count) for state, count in sorted(found.items()))


def _descriptors(scrape: Scrape) -> Values:
    """Return the use of descriptors by the process that is nearest to its limit."""
    shares = [
        each["descriptors"]["open"] / each["descriptors"]["limit"]
        for each in scrape.stats
        if each["descriptors"]["limit"] > 0
    ]
    yield [], max(shares, default=0.0)


def _shared(scrape: Scrape) -> Values:
    found = scrape.whole["shared"]
    return (
        ([kind, state], found.get(kind, {}).get(state, 0))
        for kind in sorted({*_OUTCOMES, *found})
        for state in ("parked", "active")
    )


def _streams(scrape: Scrape) -> Values:
    shared = scrape.whole["shared"].values()
    return iter([([], sum(counts.get("streams", 0) for counts in shared))])


def _messages(key: str) -> Callable[[Scrape], Values]:
    def values(scrape: Scrape) -> Values:
        found = scrape.counters.get("messages", {})
        return (([kind], found.get(kind, {}).get(key, 0)) for kind in sorted({*_OUTCOMES, *found}))

    return values


def _outcomes(scrape: Scrape) -> Values:
    found = scrape.counters.get("outcomes", {})
    for kind in sorted({*_OUTCOMES, *found}):
        present = dict.fromkeys(_OUTCOMES.get(kind, ()), 0)
        for outcome, count in sorted({**present, **found.get(kind, {})}.items()):
            yield [kind, outcome], count


def _generations(scrape: Scrape) -> Values:
    found = Counter(str(each["generation"]) for each in scrape.stats)
    return (([generation], count) for generation, count in sorted(found.items()))


def _certificates(scrape: Scrape) -> Values:
    """Return the expiry of each certificate; the earliest, if processes have different ones."""
    found: dict[tuple[str, str], float] = {}
    for each in (certificate for stats in scrape.stats for certificate in stats["certificates"]):
        key = each["listener"], ",".join(each["names"])
        found[key] = min(found.get(key, each["expires"]), each["expires"])
    return ((list(key), expires) for key, expires in sorted(found.items()))


def _build(scrape: Scrape) -> Values:
    for each in scrape.stats[:1]:
        gil = "on" if each["gil"] else "off"
        found = {name: each[name] for name in ("version", "build", "python")}
        yield [], {**found, "gil": gil}


def _cumulative(times: Answer) -> list[tuple[str, float]]:
    counts = {int(limit): count for limit, count in times["buckets"].items()}
    found = [
        (str(limit / 1e6), sum(count for each, count in counts.items() if each <= limit))
        for limit in BUCKETS
    ]
    return [*found, ("+Inf", sum(counts.values()))]


DEFINITIONS: Final = (
    Definition(
        "rocket_requests",
        CounterMetricFamily,
        "Requests that were handed to a thread.",
        (),
        _counter("requests"),
    ),
    Definition(
        "rocket_queue_time_seconds",
        HistogramMetricFamily,
        "Time that requests waited for a thread.",
        (),
        _times("queue_time"),
    ),
    Definition(
        "rocket_service_time_seconds",
        HistogramMetricFamily,
        "Time that a thread spent on a connection: mostly one request, or several sent at once; by "
        "the class of the response's status, none without a response.",
        ("status",),
        _times_by_class,
    ),
    Definition(
        "rocket_responses",
        CounterMetricFamily,
        "Responses, by class of status: 1xx to 5xx; not those to health checks of the server.",
        ("status",),
        _counters("responses", CLASSES),
    ),
    Definition(
        "rocket_own_responses",
        CounterMetricFamily,
        "Responses that the server gave in place of the application, by status: 503 if it has no "
        "thread or room, 504 if a request has exceeded its time, 500 if the application has "
        "failed.",
        ("status",),
        _counters("own_responses", _OWN_STATUSES),
    ),
    Definition(
        "rocket_requests_waiting",
        GaugeMetricFamily,
        "Requests that currently wait for a thread.",
        (),
        _level("queue"),
    ),
    Definition(
        "rocket_threads",
        GaugeMetricFamily,
        "Threads that run the application.",
        (),
        _threads("count"),
    ),
    Definition(
        "rocket_threads_max",
        GaugeMetricFamily,
        "Maximum number of threads, not counting stalled ones.",
        (),
        _threads("max"),
    ),
    Definition(
        "rocket_threads_busy",
        GaugeMetricFamily,
        "Threads that currently serve a request.",
        (),
        _threads("busy"),
    ),
    Definition(
        "rocket_threads_stalled",
        GaugeMetricFamily,
        "Threads that wait for a client, serve a websocket, or exceeded the request time-out.",
        (),
        _threads("stalled"),
    ),
    Definition(
        "rocket_gil_wait_seconds",
        GaugeMetricFamily,
        "Time that a thread waits for the GIL, sampled now; the longest of all processes.",
        (),
        _level("gil_wait"),
    ),
    Definition(
        "rocket_connections",
        GaugeMetricFamily,
        "Open connections, by state.",
        ("state",),
        _connections,
    ),
    Definition(
        "rocket_connections_accepted",
        CounterMetricFamily,
        "Connections that were accepted.",
        (),
        _counter("accepted"),
    ),
    Definition(
        "rocket_connections_closed",
        CounterMetricFamily,
        "Connections that were closed, by reason.",
        ("reason",),
        _counters("closes", _REASONS),
    ),
    Definition(
        "rocket_connections_refused",
        CounterMetricFamily,
        "Connections that were closed at once because their peer is not an allowed proxy.",
        (),
        _counter("refused"),
    ),
    Definition(
        "rocket_client_connections_refused",
        CounterMetricFamily,
        "Connections that were closed at once because their client had too many, or opened too "
        "many.",
        (),
        _counter("refused_clients"),
    ),
    Definition(
        "rocket_requests_limited",
        CounterMetricFamily,
        "Requests that were answered 429 because their client had sent too many.",
        (),
        _counter("limited"),
    ),
    Definition(
        "rocket_requests_lined",
        CounterMetricFamily,
        "Requests that had to wait because their client had as many running as it may.",
        (),
        _counter("lined"),
    ),
    Definition(
        "rocket_requests_in_lines",
        GaugeMetricFamily,
        "Requests that wait so now.",
        (),
        _level("in_lines"),
    ),
    Definition(
        "rocket_shared_connections",
        GaugeMetricFamily,
        "Connections of HTTP/2, websockets, event streams and deferred answers that hold no "
        "thread, or have one that works for them; state is parked or active.",
        ("kind", "state"),
        _shared,
    ),
    Definition(
        "rocket_streams",
        GaugeMetricFamily,
        "Open streams of HTTP/2: requests that arrive, wait for a thread, are served, or whose "
        "response is sent.",
        (),
        _streams,
    ),
    Definition(
        "rocket_shared_connections_closed",
        CounterMetricFamily,
        "Closed websockets, by close code; ended connections of HTTP/2, event streams and deferred "
        "answers, by reason.",
        ("kind", "code"),
        _outcomes,
    ),
    Definition(
        "rocket_messages_received",
        CounterMetricFamily,
        "Messages that clients of websockets have sent.",
        ("kind",),
        _messages("received"),
    ),
    Definition(
        "rocket_messages_sent",
        CounterMetricFamily,
        "Messages to clients of websockets; events and comments to those of event streams.",
        ("kind",),
        _messages("sent"),
    ),
    Definition(
        "rocket_messages_dropped",
        CounterMetricFamily,
        "Messages that were not sent because the client was too slow, or had just left.",
        ("kind",),
        _messages("dropped"),
    ),
    Definition(
        "rocket_accept_errors",
        CounterMetricFamily,
        "Failed attempts to accept a connection.",
        (),
        _counter("accept_errors"),
    ),
    Definition(
        "rocket_tls_errors",
        CounterMetricFamily,
        "TLS errors, by reason.",
        ("reason",),
        _counters("tls_errors", _TLS_REASONS),
    ),
    Definition(
        "rocket_certificate_expiry_timestamp_seconds",
        GaugeMetricFamily,
        "Expiry of the certificate, in seconds since 1970.",
        ("listener", "names"),
        _certificates,
    ),
    Definition(
        "rocket_certificates_failed",
        GaugeMetricFamily,
        "Certificates that could not be loaded when they were last tried; previous ones stay.",
        ("listener",),
        _failed_certificates,
    ),
    Definition(
        "rocket_output_held_bytes",
        GaugeMetricFamily,
        "Memory for responses that clients have not received yet.",
        (),
        _level("held"),
    ),
    Definition(
        "rocket_resident_memory_bytes",
        GaugeMetricFamily,
        "Resident memory of the worker processes; shared memory counts in each process.",
        (),
        _level("memory"),
    ),
    Definition(
        "rocket_cpu_seconds",
        CounterMetricFamily,
        "CPU time of the worker processes.",
        (),
        _counter("cpu"),
    ),
    Definition(
        "rocket_processes",
        GaugeMetricFamily,
        "Worker processes that serve, by generation.",
        ("generation",),
        _generations,
    ),
    Definition(
        "rocket_process_restarts",
        CounterMetricFamily,
        "Processes that were started to replace one that ended unexpectedly.",
        (),
        _supervised("restarts"),
    ),
    Definition(
        "rocket_processes_wanted",
        GaugeMetricFamily,
        "Worker processes that are to serve.",
        (),
        _supervised("wanted"),
    ),
    Definition(
        "rocket_process_starts_failed",
        CounterMetricFamily,
        "Processes that could not be started, or ended before they were ready.",
        (),
        _supervised("failed_starts"),
    ),
    Definition(
        "rocket_reloads_failed",
        CounterMetricFamily,
        "Reloads, and replacements of the supervisor, that have failed.",
        (),
        _supervised("failed_reloads"),
    ),
    Definition(
        "rocket_log_lines_lost",
        CounterMetricFamily,
        "Lines of worker processes that could not be written to the access log or the server's "
        "log.",
        ("log",),
        _counters("log_lines_lost", ("access", "server")),
    ),
    Definition(
        "rocket_descriptors_used_ratio",
        GaugeMetricFamily,
        "Open file descriptors, as a share of the limit, of the process with the largest share.",
        (),
        _descriptors,
    ),
    Definition(
        "rocket_start_time_seconds",
        GaugeMetricFamily,
        "When the supervisor started, in seconds since 1970.",
        (),
        _supervised("started"),
    ),
    Definition(
        "rocket_build",
        InfoMetricFamily,
        "Versions of Rocket and Python, whether Rocket is compiled, and whether there is a GIL.",
        (),
        _build,
    ),
)
