"""The metrics, as the parsers of their formats read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from prometheus_client import openmetrics
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse

from answering import MESSAGES, SHARED, SUPERVISOR, counters, serving, stats, url
from rocket_cli._admin.metric_table import DEFINITIONS
from rocket_cli._admin.metrics import metrics_application
from rocket_cli._admin.reply import AskError, Reply
from rocket_core import CloseReason, State

Samples = dict[str, float]


class Processes:
    """The answers of the processes of a server."""

    def __init__(self, *answers: dict[str, Any], ended: dict[str, Any] | None = None) -> None:
        self.answers = list(answers)
        self.ended = ended or {}
        self.fails = False

    def __call__(self, name: str, arguments: Mapping[str, Any]) -> Reply:
        if self.fails:
            raise AskError("the supervisor is gone")
        if name == "processes":
            return Reply([SUPERVISOR])
        assert name == "stats"
        return Reply(self.answers, self.ended)


CERTIFICATE = {"listener": "0.0.0.0:443", "names": ["a.example", "b.example"], "source": "/x"}


@pytest.fixture
def processes() -> Processes:
    first = stats(certificates=[{**CERTIFICATE, "expires": 2e9}])
    second = stats(
        process=101,
        generation=2,
        gil_wait=0.003,
        certificates=[{**CERTIFICATE, "expires": 1.9e9}],
        counters=counters(20, closes={"served": 1}, tls_errors={"no shared cipher": 2}),
    )
    return Processes(first, second, ended=counters(100))


@pytest.fixture
def site(processes: Processes) -> Iterator[str]:
    with serving(metrics_application(processes)) as server:
        yield url(server)


def samples(text: str) -> Samples:
    found = {}
    for family in parse(text):
        for each in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(each.labels.items()))
            found[f"{each.name}{{{labels}}}" if labels else each.name] = each.value
    return found


def scrape(site: str) -> Samples:
    answer = httpx.get(f"{site}/metrics")
    assert answer.status_code == 200
    return samples(answer.text)


def test_all_processes_are_added_up(site: str) -> None:
    found = scrape(site)
    assert found["rocket_requests_total"] == 130
    assert found["rocket_connections_accepted_total"] == 12
    assert found['rocket_connections_closed_total{reason="client closed"}'] == 4
    assert found['rocket_connections_closed_total{reason="served"}'] == 1
    assert found['rocket_tls_errors_total{reason="no shared cipher"}'] == 2
    assert found["rocket_cpu_seconds_total"] == 4.5
    assert found['rocket_connections{state="idle"}'] == 10
    assert found["rocket_threads"] == 16
    assert found["rocket_threads_max"] == 32
    assert found["rocket_threads_busy"] == 6
    assert found["rocket_threads_stalled"] == 2
    assert found["rocket_requests_waiting"] == 4
    assert found["rocket_output_held_bytes"] == 2000
    assert found["rocket_resident_memory_bytes"] == 60 << 20
    assert found["rocket_gil_wait_seconds"] == 0.003
    assert found['rocket_processes{generation="1"}'] == 1
    assert found['rocket_processes{generation="2"}'] == 1
    assert found["rocket_process_restarts_total"] == 3
    assert found["rocket_process_starts_failed_total"] == 4
    assert found["rocket_reloads_failed_total"] == 5
    assert found["rocket_processes_wanted"] == 2
    assert found["rocket_start_time_seconds"] == 1.7e9
    assert found["rocket_log_lines_lost_total"] == 6
    assert found["rocket_descriptors_used_ratio"] == 0.05
    assert (
        found[
            "rocket_certificate_expiry_timestamp_seconds"
            '{listener="0.0.0.0:443",names="a.example,b.example"}'
        ]
        == 1.9e9
    )
    assert (
        found[
            'rocket_build_info{build="compiled",gil="on",python="CPython 3.13.0",version="0.1.0"}'
        ]
        == 1
    )


def test_series_are_there_before_anything_has_happened(site: str, processes: Processes) -> None:
    """An alert on an increase would miss the first one of a series that begins with 1."""
    processes.answers = [stats(connections={}, counters=counters(0, closes={}))]
    processes.ended = {}
    found = scrape(site)
    for reason in CloseReason:
        assert found[f'rocket_connections_closed_total{{reason="{reason.value}"}}'] == 0
    states = {key for key in found if key.startswith("rocket_connections{")}
    assert 'rocket_connections{state="active"}' in states
    assert len(states) == len(State) - 1


def test_what_is_shared_is_added_up_by_kind(site: str, processes: Processes) -> None:
    for each in processes.answers:
        each["shared"] = SHARED | {"HTTP/2": {"parked": 4, "active": 1, "streams": 12}}
        each["counters"] |= MESSAGES
    processes.ended |= MESSAGES
    found = scrape(site)
    assert found['rocket_shared_connections{kind="websocket",state="parked"}'] == 2000
    assert found['rocket_shared_connections{kind="websocket",state="active"}'] == 6
    assert found['rocket_shared_connections{kind="deferred answer",state="parked"}'] == 14
    assert found['rocket_shared_connections{kind="HTTP/2",state="parked"}'] == 8
    assert not any('state="streams"' in name for name in found)
    assert found["rocket_streams"] == 24
    assert found['rocket_messages_received_total{kind="websocket"}'] == 1500
    assert found['rocket_messages_sent_total{kind="websocket"}'] == 12000
    assert found['rocket_messages_dropped_total{kind="websocket"}'] == 60
    assert found['rocket_shared_connections_closed_total{code="1013",kind="websocket"}'] == 180
    ended = 'rocket_shared_connections_closed_total{code="client closed",kind="event stream"}'
    assert found[ended] == 27


def test_histograms_are_cumulative_and_agree_with_their_count(site: str) -> None:
    found = scrape(site)
    name = "rocket_service_time_seconds"
    buckets = [value for key, value in found.items() if key.startswith(f"{name}_bucket")]
    assert buckets == sorted(buckets)
    assert found[f'{name}_bucket{{le="0.002048"}}'] == 0
    assert found[f'{name}_bucket{{le="0.004096"}}'] == 130
    assert found[f'{name}_bucket{{le="+Inf"}}'] == found[f"{name}_count"] == 130
    assert found[f"{name}_sum"] == pytest.approx(0.39)
    # What is shorter than the first bucket is in it, what is longer than the last not in that.
    assert found['rocket_queue_time_seconds_bucket{le="6.4e-05"}'] == 130


def test_counters_never_fall_when_a_process_is_silent_or_ends(
    site: str, processes: Processes
) -> None:
    before = scrape(site)
    processes.answers[1] = {"process": 101, "generation": 2, "error": "no answer"}
    assert scrape(site)["rocket_requests_total"] == before["rocket_requests_total"]
    del processes.answers[1]
    processes.ended = counters(121)  # it had served one more when it ended
    after = scrape(site)
    assert after["rocket_requests_total"] == before["rocket_requests_total"] + 1


def test_openmetrics_for_clients_that_accept_it(site: str) -> None:
    answer = httpx.get(f"{site}/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.headers["Content-Type"] == openmetrics.exposition.CONTENT_TYPE_LATEST
    parse_openmetrics: Any = openmetrics_parser.text_string_to_metric_families
    names = {family.name for family in parse_openmetrics(answer.text)}
    assert names == {each.name for each in DEFINITIONS}


def test_scrape_before_any_process_serves(site: str, processes: Processes) -> None:
    processes.answers, processes.ended = [], {}
    found = scrape(site)
    assert found["rocket_requests_total"] == 0
    assert found["rocket_service_time_seconds_count"] == 0


def test_processes_that_cannot_be_asked(site: str, processes: Processes) -> None:
    processes.fails = True
    answer = httpx.get(f"{site}/metrics")
    assert answer.status_code == 503
    assert answer.text == "No metrics: the supervisor is gone.\n"


def test_other_paths(site: str) -> None:
    answer = httpx.get(site)
    assert answer.status_code == 404
    assert answer.text == "The metrics are at /metrics.\n"


def test_names_and_units_follow_the_conventions() -> None:
    for each in DEFINITIONS:
        assert re.fullmatch(r"rocket(_[a-z]+)+", each.name)
        assert not each.name.endswith(("_total", "_info", "_count", "_sum"))
        assert each.help.endswith(".")
        assert not re.search(r"milli|micro|minutes|kilo", each.name)
    assert len({each.name for each in DEFINITIONS}) == len(DEFINITIONS)
