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
from rocket_cli._admin import metric_table
from rocket_cli._admin.metric_table import DEFINITIONS
from rocket_cli._admin.metrics import metrics_application
from rocket_cli._admin.reply import AskError, Reply
from rocket_core import CloseReason, Histogram, State
from rocket_tls import _faults
from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi.extending import OWN_STATUSES

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
    first = stats(
        certificates=[{**CERTIFICATE, "expires": 2e9}],
        failed_certificates={"0.0.0.0:443": 2, "[::]:443": 0},
    )
    second = stats(
        process=101,
        generation=2,
        gil_wait=0.003,
        certificates=[{**CERTIFICATE, "expires": 1.9e9}],
        failed_certificates={"0.0.0.0:443": 1, "[::]:443": 0},
        counters=counters(
            20,
            closes={"served": 1},
            tls_errors={"no shared cipher": 2},
            own_responses={"503": 4},
        ),
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
    assert found['rocket_responses_total{status="2xx"}'] == 130
    assert found['rocket_own_responses_total{status="503"}'] == 4
    assert found['rocket_certificates_failed{listener="0.0.0.0:443"}'] == 2
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
    assert found['rocket_log_lines_lost_total{log="access"}'] == 3
    assert found['rocket_log_lines_lost_total{log="server"}'] == 6
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
    for name in ("1xx", "2xx", "3xx", "4xx", "5xx"):
        assert found[f'rocket_responses_total{{status="{name}"}}'] == 0
        assert found[f'rocket_service_time_seconds_count{{status="{name}"}}'] == 0
    for status in OWN_STATUSES:
        assert found[f'rocket_own_responses_total{{status="{status}"}}'] == 0
    for kind in ("HTTP/2", "websocket", "event stream", "deferred answer"):
        assert found[f'rocket_shared_connections{{kind="{kind}",state="parked"}}'] == 0
        assert found[f'rocket_messages_dropped_total{{kind="{kind}"}}'] == 0
    closed = "rocket_shared_connections_closed_total"
    assert found[f'{closed}{{code="1011",kind="websocket"}}'] == 0
    assert found[f'{closed}{{code="ENHANCE_YOUR_CALM",kind="HTTP/2"}}'] == 0
    assert found['rocket_tls_errors_total{reason="no shared cipher"}'] == 0


def test_usual_reasons_of_failures_of_tls_have_their_names() -> None:
    own = {
        value
        for name, value in vars(_faults).items()
        if name.strip("_").isupper() and isinstance(value, str)
    }
    assert len(own) > 5
    assert own | set(_faults._NAMES.values()) <= set(metric_table._TLS_REASONS)


def test_codes_of_http2_have_their_names() -> None:
    assert set(metric_table._HTTP2_CODES) <= {each.name for each in ErrorCode}


def test_limits_of_buckets_are_those_of_the_processes() -> None:
    """Otherwise times would be counted in a bucket that they exceed."""
    histogram = Histogram()
    histogram.add(200.0)
    own = {round(limit * 1e6) for limit, _ in histogram.buckets()}
    assert own >= set(metric_table.BUCKETS)
    assert list(metric_table.BUCKETS) == sorted(set(metric_table.BUCKETS))
    assert min(each for each in metric_table.BUCKETS if each >= 25e6) < 25.2e6


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
    buckets = [
        value
        for key, value in found.items()
        if key.startswith(f"{name}_bucket") and 'status="2xx"' in key
    ]
    assert buckets == sorted(buckets)
    assert found[f'{name}_bucket{{le="0.002048",status="2xx"}}'] == 0
    assert found[f'{name}_bucket{{le="0.003072",status="2xx"}}'] == 130
    assert found[f'{name}_bucket{{le="+Inf",status="2xx"}}'] == 130
    assert found[f'{name}_count{{status="2xx"}}'] == 130
    assert found[f'{name}_sum{{status="2xx"}}'] == pytest.approx(0.39)
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
    assert found['rocket_service_time_seconds_count{status="5xx"}'] == 0


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
