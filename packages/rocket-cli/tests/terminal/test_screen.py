"""The screen of top at several sizes of the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from answering import MESSAGES, SHARED, counters, stats, thread
from rocket_cli._admin.reply import Reply
from rocket_cli._terminal.screen import curve, screen
from rocket_cli._terminal.trend import Look, Trend

SIZES = pytest.mark.parametrize(
    ("width", "height"), [(80, 24), (160, 50), (200, 60), (80, 60), (40, 10)]
)


def trend_of(*processes: dict[str, object], threads: int = 3) -> Trend:
    trend = Trend()
    trend.add(Look(0.0, Reply([stats(counters=counters(0, closes={}))]), Reply([])))
    found = [thread(seconds=10.0 - n, request=f"GET /{n}") for n in range(threads)]
    answer = {"process": 100, "generation": 1, "threads": found}
    trend.add(Look(1.0, Reply(list(processes)), Reply([answer])))
    return trend


def drawn(trend: Trend, width: int, height: int, trouble: str = "", paused: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, highlight=False)
    console.print(screen(trend, width, height, trouble=trouble, paused=paused), height=height)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    return "\n".join(lines)


@SIZES
def test_fits_the_terminal(width: int, height: int) -> None:
    many = [stats(process=100 + n, counters=counters(1)) for n in range(40)]
    drawn(trend_of(*many, threads=100), width, height)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 50)])
def test_tells_everything(width: int, height: int) -> None:
    sent = counters(70, closes={"served": 70})
    second = stats(process=101, generation=2, counters=sent, in_lines=7)
    text = drawn(trend_of(stats(counters=counters(50, closes={})), second), width, height)
    for expected in (
        "2 processes",
        "120 per second",
        "3.07 ms",  # the median in the application
        "0% in queue",
        "6 of 32 busy",
        "idle",
        "active",
        "served",
        "70/s",
        "GIL wait",
        "30.0 MiB",
        "10.0 s",
        "GET /0",
        "10.0.0.1:4711",
        "4 waiting",
        "7 in lines",
        "q quit",
        "p pause",
    ):
        assert expected in text, text


def test_slowest_request_is_on_the_smallest_screen_among_many_processes() -> None:
    many = [stats(process=100 + n) for n in range(64)]
    text = drawn(trend_of(*many), 80, 24)
    assert "GET /0" in text
    assert "GET /2" in text


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 50)])
def test_websockets_streams_and_answers(width: int, height: int) -> None:
    http2 = {"HTTP/2": {"parked": 4, "active": 1, "streams": 12}}
    many = [stats(process=100 + n, shared=SHARED | http2) for n in range(20)]
    many[0]["counters"] = counters(0, **MESSAGES)
    trend = trend_of(*many)
    assert trend.look is not None
    text = drawn(trend, width, height)
    lines = [" ".join(line.strip("│ ").split()) for line in text.splitlines()]
    assert "parked active received/s sent/s dropped/s closed/s" in lines
    assert "HTTP/2: 240 open 80 20 0 0 0 0" in lines
    assert "websocket 20,000 60 500 4,000 20 100" in lines
    # Of four kinds, the smallest screen leaves out the one with the fewest connections.
    assert ("event stream 0 0 0 0 0 9" in lines) == (height > 24)
    assert "deferred answer 140 0 0 0 0 0" in lines
    assert "GET /0" in text


@pytest.mark.parametrize("width", [112, 160])
def test_bars_are_as_long_as_there_is_room(width: int) -> None:
    found = stats(counters=counters(1, closes={}), connections={"head": 4000, "body": 2000})
    text = drawn(trend_of(found), width, 24)
    bars = {
        name: text.partition(f" {name} ")[2].partition("\n")[0].count("█")
        for name in ("head", "body")
    }
    assert bars["head"] >= 5
    assert bars["body"] == pytest.approx(bars["head"] / 2, abs=0.5)
    assert "…" not in text


def test_small_screen_leaves_out_what_is_shared() -> None:
    text = drawn(trend_of(stats(shared=SHARED)), 80, 20)
    assert "websocket" not in text
    assert "GET /0" in text


def test_trouble_and_pause_are_told() -> None:
    trend = trend_of(stats())
    assert drawn(trend, 80, 24, trouble="no server listens").startswith(
        "trying again: no server listens"
    )
    assert drawn(trend, 80, 24, paused=True).splitlines()[-1].rstrip().endswith("paused")


def test_before_anything_is_known() -> None:
    assert drawn(Trend(), 80, 24, trouble="it is gone").startswith("trying again: it is gone")
    assert "no process answers" in drawn(Trend(), 80, 24)


def test_request_of_a_client_cannot_break_the_screen() -> None:
    trend = trend_of(stats())
    assert trend.look is not None
    trend.look.threads.answers[0]["threads"][0]["request"] = "GET /[/]\x1b[H\n" + "x" * 500
    assert "GET /[/]\ufffd[H\ufffdxx" in drawn(trend, 80, 24)


def test_curve() -> None:
    assert curve([], 5) == ""
    assert curve([0.0, 0.0], 5) == "▁▁"
    assert curve([9.0, 0.0, 5.0, 10.0], 3) == "▁▅█"
