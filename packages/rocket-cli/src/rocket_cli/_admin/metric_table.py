"""The metrics there are, and what each is taken from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

BUCKETS: Final = tuple(1 << exponent for exponent in range(6, 28))
"""Upper limits of the buckets that are shown, in microseconds: 64 µs to 134 s."""

Answer = Mapping[str, Any]
Values = Iterator[tuple[list[str], Any]]
"""Values of labels, and what there is of these."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """What all metrics are made of.

    Attributes:
        stats: what the processes have told.
        whole: that of all processes together.
        counters: what all processes have counted, those included that have ended.
        restarts: processes that were started in the place of one that died.
    """

    stats: Sequence[Answer]
    whole: Answer
    counters: Answer
    restarts: int


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric.

    Attributes:
        name: its name, without what Prometheus appends for its type.
        family: its type.
        help: what it counts or measures.
        labels: what its values differ by.
        values: takes them from a scrape.
    """

    name: str
    family: Callable[..., Metric]
    help: str
    labels: tuple[str, ...]
    values: Callable[[Scrape], Values]

    def collect(self, scrape: Scrape) -> Metric:
        """The metric as it is now."""
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


def _counters(key: str) -> Callable[[Scrape], Values]:
    return lambda scrape: (
        ([name], count) for name, count in sorted(scrape.counters.get(key, {}).items())
    )


def _level(key: str) -> Callable[[Scrape], Values]:
    return lambda scrape: iter([([], scrape.whole[key])])


def _threads(key: str) -> Callable[[Scrape], Values]:
    return lambda scrape: iter([([], scrape.whole["threads"].get(key, 0))])


def _times(key: str) -> Callable[[Scrape], Values]:
    nothing: dict[str, Any] = {"sum": 0.0, "buckets": {}}
    return lambda scrape: iter([([], scrape.counters.get(key, nothing))])


def _connections(scrape: Scrape) -> Values:
    return (([state], count) for state, count in sorted(scrape.whole["connections"].items()))


def _generations(scrape: Scrape) -> Values:
    found = Counter(str(each["generation"]) for each in scrape.stats)
    return (([generation], count) for generation, count in sorted(found.items()))


def _certificates(scrape: Scrape) -> Values:
    """The earliest end of each certificate, should processes have loaded different ones."""
    found: dict[tuple[str, str], float] = {}
    for each in (certificate for stats in scrape.stats for certificate in stats["certificates"]):
        key = each["listener"], ",".join(each["names"])
        found[key] = min(found.get(key, each["expires"]), each["expires"])
    return ((list(key), expires) for key, expires in sorted(found.items()))


def _build(scrape: Scrape) -> Values:
    for each in scrape.stats[:1]:
        gil = "on" if each["gil"] else "off"
        yield [], {"version": each["version"], "python": each["python"], "gil": gil}


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
        "Requests handed to a thread.",
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
        "Time that a thread spent on a connection: mostly one request, or several sent at once.",
        (),
        _times("service_time"),
    ),
    Definition(
        "rocket_requests_waiting",
        GaugeMetricFamily,
        "Requests that wait for a thread now.",
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
        "Threads there may be, besides those that wait for a client.",
        (),
        _threads("max"),
    ),
    Definition(
        "rocket_threads_busy",
        GaugeMetricFamily,
        "Threads that serve a request now.",
        (),
        _threads("busy"),
    ),
    Definition(
        "rocket_threads_stalled",
        GaugeMetricFamily,
        "Threads that wait for a client, serve a websocket or overran the time limit.",
        (),
        _threads("stalled"),
    ),
    Definition(
        "rocket_gil_wait_seconds",
        GaugeMetricFamily,
        "Time that a thread waits for the GIL, sampled now; of the process where it is longest.",
        (),
        _level("gil_wait"),
    ),
    Definition(
        "rocket_connections",
        GaugeMetricFamily,
        "Open connections by what they wait for.",
        ("state",),
        _connections,
    ),
    Definition(
        "rocket_connections_accepted",
        CounterMetricFamily,
        "Connections accepted.",
        (),
        _counter("accepted"),
    ),
    Definition(
        "rocket_connections_closed",
        CounterMetricFamily,
        "Connections closed, by the reason.",
        ("reason",),
        _counters("closes"),
    ),
    Definition(
        "rocket_connections_refused",
        CounterMetricFamily,
        "Connections closed at once, because their peer is none of the proxies.",
        (),
        _counter("refused"),
    ),
    Definition(
        "rocket_accept_errors",
        CounterMetricFamily,
        "How many times accepting a connection failed.",
        (),
        _counter("accept_errors"),
    ),
    Definition(
        "rocket_tls_errors",
        CounterMetricFamily,
        "How many times TLS failed, by the reason.",
        ("reason",),
        _counters("tls_errors"),
    ),
    Definition(
        "rocket_certificate_expiry_timestamp_seconds",
        GaugeMetricFamily,
        "When the certificate expires, in seconds since 1970.",
        ("listener", "names"),
        _certificates,
    ),
    Definition(
        "rocket_output_held_bytes",
        GaugeMetricFamily,
        "Memory for responses that clients have not taken yet.",
        (),
        _level("held"),
    ),
    Definition(
        "rocket_resident_memory_bytes",
        GaugeMetricFamily,
        "Memory of the processes that serve, what they share counted in each.",
        (),
        _level("memory"),
    ),
    Definition(
        "rocket_cpu_seconds",
        CounterMetricFamily,
        "Processor time of the processes that serve.",
        (),
        _counter("cpu"),
    ),
    Definition(
        "rocket_processes",
        GaugeMetricFamily,
        "Processes that serve, by their generation.",
        ("generation",),
        _generations,
    ),
    Definition(
        "rocket_process_restarts",
        CounterMetricFamily,
        "Processes started in the place of one that ended by itself.",
        (),
        lambda scrape: iter([([], scrape.restarts)]),
    ),
    Definition(
        "rocket_build",
        InfoMetricFamily,
        "What serves.",
        (),
        _build,
    ),
)
