"""What the benchmark makes of its samples: leads, targets, and the text of the page."""

from __future__ import annotations

import re
import sys

import pytest

from systemtests.processes import ROOT

sys.path.append(str(ROOT))

from bench import page, report, targets
from bench.errors import BenchError, UnavailableError
from bench.results import Result, Results, Row
from bench.runner import estimate
from bench.servers import COMPILED_MISSING, COMPILED_PYTHON, ROCKET_COMPILED
from bench.workloads import ALL

PAGE = ROOT / "docs/benchmarks/README.md"


def result(name: str, rows: dict[str, list[float]], key: str = "cpu_us") -> Result:
    """A workload with one metric in each round."""
    made = [Row(row, "1.0", [{key: each} for each in values]) for row, values in rows.items()]
    return Result(name, "wsgi", f"Title of {name}", "", [key], rows=made)


def run(*results: Result) -> Results:
    return Results({"date": "today"}, 3, 1, list(results))


VARIED = result(
    "hello-varied",
    {
        "rocket, compiled": [20.0, 22.0, 18.0],
        "rocket": [40.0, 44.0, 36.0],
        "granian": [30.0, 33.0, 27.0],
        "bjoern": [10.0, 11.0, 9.0],
    },
)


def test_more_than_one_is_a_lead_whatever_the_metric_counts() -> None:
    compiled, pure, granian, _ = VARIED.rows
    assert report.lead(compiled, granian, "cpu_us") == pytest.approx(1.5)
    assert report.lead(pure, granian, "cpu_us") == pytest.approx(0.75)
    rates = result("x", {"rocket": [300.0], "granian": [200.0]}, "rate").rows
    assert report.lead(rates[0], rates[1], "rate") == pytest.approx(1.5)


def test_no_lead_without_a_common_round_or_over_a_cost_of_nothing() -> None:
    ours, other = result("x", {"rocket": [1.0], "other": [0.0]}).rows
    assert report.lead(ours, other, "cpu_us") is None
    assert report.lead(ours, Row("none"), "cpu_us") is None


def test_others_are_compared_with_both_builds_the_compiled_one_first() -> None:
    assert [row.name for row in report.builds(VARIED)] == ["rocket, compiled", "rocket"]
    missing = result("x", {"rocket, compiled": [], "rocket": [1.0]})
    assert [row.name for row in report.builds(missing)] == ["rocket"]
    headings = report.table(VARIED).splitlines()[0]
    assert "rocket, compiled ÷ this" in headings
    assert "| rocket ÷ this" in headings
    other = result("redis", {"key-value example": [1.0], "redis-server": [2.0]})
    assert [row.name for row in report.builds(other)] == ["key-value example"]


def test_the_summary_has_the_leads_of_both_builds() -> None:
    assert "| Title of hello-varied | 1.50 / 0.75 | 0.50 / 0.25 |" in report.summary(
        run(VARIED), "wsgi", "cpu_us"
    )


def test_losses_are_those_of_one_build() -> None:
    lost = [
        (each.row.name, round(each.lead, 2))
        for each in report.losses(run(VARIED), "wsgi", "rocket")
    ]
    assert lost == [("granian", 1.33), ("bjoern", 4.0)]
    compiled = report.losses(run(VARIED), "wsgi", "rocket, compiled")
    assert [each.row.name for each in compiled] == ["bjoern"]


def test_a_target_is_held_against_the_best_option_with_as_many_threads() -> None:
    rows = {
        "rocket, compiled": [10.0],
        "rocket": [12.0],
        "granian": [20.0],
        "granian, runtime-mode st": [16.0],
        "granian, 1 thread": [5.0],
        "granian, mount": [5.0],
    }
    check = targets.ahead("static", 1.5, targets.is_granian)
    outcome = check(run(result("static", rows)))
    assert outcome == targets.Outcome("1.60 (granian, runtime-mode st)", reached=True)
    pure = targets.ahead("static", 1.5, targets.is_granian, ours=targets.PURE)
    assert pure(run(result("static", rows))) == targets.Outcome(
        "1.33 (granian, runtime-mode st)", reached=False
    )


def test_neither_build_is_a_rival_of_the_other() -> None:
    latencies = result(
        "load-1000", {"rocket, compiled": [2.0], "rocket": [1.0], "bjoern": [3.0]}, "p99_ms"
    )
    check = targets.ahead("load-1000", 1.0, lambda _: True, key="p99_ms")
    assert check(run(latencies)) == targets.Outcome("1.50 (bjoern)", reached=True)


def test_processor_time_is_limited_by_the_cheapest_of_the_others() -> None:
    rows = {"rocket, compiled": [115.0], "TLS loop": [100.0], "TLS loop, 1 thread": [110.0]}
    check = targets.at_most("tls-fresh", 1.1, lambda name: name.startswith("TLS loop"))
    assert check(run(result("tls-fresh", rows))) == targets.Outcome(
        "1.15 (TLS loop)", reached=False
    )


def test_figures_of_two_workloads_are_compared_by_their_medians() -> None:
    many = result("many", {"rocket, compiled": [80.0, 90.0, 85.0]}, "rate")
    few = result("few", {"rocket, compiled": [100.0, 90.0, 110.0]}, "rate")
    cells = (("many", targets.OURS, "rate"), ("few", targets.OURS, "rate"))
    assert targets.times(*cells, least=0.85)(run(many, few)) == targets.Outcome(
        "0.85", reached=True
    )


def test_a_figure_is_limited_by_itself_or_by_what_it_is_beyond_another() -> None:
    waiting = result("waiting", {"rocket": [5.0, 6.0, 7.0]}, "idle_kib")
    plain = result("plain", {"rocket": [1.5]}, "idle_kib")
    cells = [(name, targets.PURE, "idle_kib") for name in ("waiting", "plain")]
    check = targets.no_more(cells[0], 5.0)
    assert check(run(waiting)) == targets.Outcome("6.00", reached=False)
    beyond = targets.no_more(cells[0], 4.5, beyond=cells[1])
    assert beyond(run(waiting, plain)) == targets.Outcome("4.50", reached=True)
    assert beyond(run(waiting)) is None


def test_a_threaded_python_server_that_is_ahead_is_named() -> None:
    rates = result("body", {"rocket, compiled": [100.0], "cheroot": [110.0]}, "rate")
    check = targets.nobody_ahead(targets.THREADED_PYTHON)
    assert check(run(rates)) == targets.Outcome(
        "cheroot 1.10 in body, of 1 workloads", reached=False
    )


def test_a_target_without_the_compiled_build_is_not_measured() -> None:
    pure = result("hello-varied", {"rocket, compiled": [], "rocket": [1.0], "bjoern": [1.0]})
    assert "not measured" in targets.table(run(pure))
    assert "reached |" not in targets.table(run(pure))


def test_every_target_is_about_rows_that_are_measured() -> None:
    everything = [
        result(
            each.name,
            {contender.name: [1.0] for contender in each.contenders},
            "p99_ms" if "p99_ms" in each.compared else "cpu_us",
        )
        for each in ALL
    ]
    for each in everything:
        for row in each.rows:
            row.samples = [dict.fromkeys(report.METRICS, 1.0)]
    assert "not measured" not in targets.table(run(*everything))


def test_every_number_of_the_page_comes_from_the_results() -> None:
    """Apart from the marked parts, the page has no decimal fraction."""
    text = re.sub(
        r"<!-- begin (.*?) -->.*?<!-- end \1 -->", "", PAGE.read_text("utf-8"), flags=re.DOTALL
    )
    assert not re.findall(r"\d\.\d", text.replace("HTTP/1.1", ""))


def test_the_page_is_filled_with_the_results() -> None:
    text = page.fill(PAGE.read_text("utf-8"), run(VARIED), [("hello.svg", "Hello")])
    assert "![Hello](hello.svg)" in text
    assert "- **rocket, compiled**: - requests/s, 20.0 µs" in text
    assert "1.50 times granian, 0.50 times bjoern" in text
    assert "each request another: 0.6 times bjoern: 0.50 (bjoern)" in text


def test_a_page_without_a_mark_is_refused() -> None:
    with pytest.raises(BenchError, match="begin headline"):
        page.fill("", run(VARIED), [])


def test_the_reason_for_which_the_compiled_build_is_missing_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(COMPILED_PYTHON, raising=False)
    monkeypatch.setenv(COMPILED_MISSING, "no compiler")
    with pytest.raises(UnavailableError, match="not available: no compiler"):
        ROCKET_COMPILED.version()


def test_a_whole_run_takes_about_half_an_hour() -> None:
    assert estimate(ALL, rounds=3, seconds=1) < 35 * 60
