"""The reports for a terminal."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console, RenderableType

from answering import MESSAGES, SHARED, counters, stats, thread
from rocket_cli._admin.reply import Reply
from rocket_cli._terminal.tables import connections_report, stats_report, threads_report

WIDTHS = pytest.mark.parametrize("width", [80, 200])


def rendered(renderable: RenderableType, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert all(len(line) <= width for line in text.splitlines())
    return text


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


@WIDTHS
def test_stats_of_all_processes(width: int) -> None:
    second = stats(process=101, generation=2, uptime=3700.0, memory=512)
    text = rendered(stats_report(Reply([stats(), second], counters(100))), width)
    found = words(text)
    assert text.startswith(
        "Rocket 0.1.0 (compiled), CPython 3.13.0 (GIL on), 2 processes, up 1h01m"
    )
    assert ["Requests", "120,", "4", "waiting"] in found
    assert ["Responses", "120", "2xx"] in found
    assert ["Threads", "6", "of", "16", "busy,", "2", "stalled"] in found
    assert ["100", "1", "1m05s", "3/8", "2", "8", "10", "30.0", "MiB"] in [x[:9] for x in found]
    assert ["101", "2", "1h01m", "3/8", "2", "8", "10", "512", "B"] in [x[:9] for x in found]
    assert ["idle", "10", "client", "closed", "6"] in found
    assert ["active", "6"] in found


def test_server_without_connections() -> None:
    text = rendered(stats_report(Reply([stats(connections={}, counters=counters(closes={}))])))
    assert ["Connections", "Closed"] in words(text)
    assert ["none", "none"] in words(text)


def test_responses_by_class_with_those_that_alone_are_the_servers() -> None:
    answer = stats(
        counters=counters(
            responses={"1xx": 0, "2xx": 7000, "3xx": 0, "4xx": 2, "5xx": 5},
            own_responses={"400": 2, "503": 4, "504": 1},
        )
    )
    lines = [" ".join(each) for each in words(rendered(stats_report(Reply([answer], {}))))]
    assert "Responses 7,000 2xx, 2 4xx, 5 5xx; of the server: 2 400, 4 503, 1 504" in lines


def test_limits_of_clients_that_have_done_something() -> None:
    lined = counters(lined=40, limited=3, refused_clients=0)
    lines = [
        " ".join(each)
        for each in words(rendered(stats_report(Reply([stats(in_lines=7, counters=lined)], {}))))
    ]
    assert "Requests 10, 2 waiting, 7 in the lines of their clients" in lines
    assert "Limited 40 requests have waited in the line of their client, 3 answered 429" in lines
    assert "Limited" not in rendered(stats_report(Reply([stats()], {})))


def test_times_are_those_of_all_processes() -> None:
    text = rendered(stats_report(Reply([stats()], {})))
    line = next(line for line in text.splitlines() if line.startswith("in the application"))
    assert " ".join(line.split()[3:]) == "2.82 ms 3.02 ms 3.07 ms 3.00 ms 30.0 ms"


@WIDTHS
def test_websockets_streams_and_answers(width: int) -> None:
    http2 = {"HTTP/2": {"parked": 4, "active": 1, "streams": 12}}
    answers = [stats(shared=SHARED | http2, counters=counters(**MESSAGES)) for _ in range(2)]
    lines = [
        " ".join(each) for each in words(rendered(stats_report(Reply(answers, MESSAGES)), width))
    ]
    assert "Kind parked active received sent dropped closed" in lines
    assert "HTTP/2: 24 open 8 2 0 0 0" in lines
    assert "websocket 2,000 6 1,500 12,000 60 1013: 180, 1000: 120" in lines
    assert "deferred answer 14 0 0 0 0" in lines
    assert "event stream 0 0 0 0 0 client closed: 27" in lines


def test_there_is_no_table_without_them() -> None:
    assert "parked" not in rendered(stats_report(Reply([stats()], {})))


def test_certificates() -> None:
    certificate = {"names": ["a.example", "b.example"], "listener": ":443", "source": "/a.pem"}
    now = time.time()
    text = rendered(
        stats_report(
            Reply(
                [
                    stats(
                        certificates=[
                            {**certificate, "expires": now + 40 * 86400 + 60},
                            {**certificate, "expires": now - 1},
                        ]
                    )
                ]
            )
        )
    )
    assert "a.example, b.example  in 40d00h  :443     /a.pem" in text
    assert "a.example, b.example  expired    :443     /a.pem" in text


@WIDTHS
def test_threads_with_stacks(width: int) -> None:
    stack = [
        {"file": "/srv/app.py", "line": 12, "function": "view", "code": "helper()"},
        {"file": "/srv/app.py", "line": 40, "function": "helper", "code": "time.sleep(60)"},
    ]
    idle = thread(client=None, request="", seconds=None, state=None)
    answers = [
        {"process": 100, "generation": 1, "threads": [thread(seconds=1.0), idle]},
        {"process": 101, "generation": 1, "threads": [thread(stack=stack)]},
        {"process": 102, "generation": 1, "error": "no answer"},
    ]
    assert rendered(threads_report(Reply(answers)), width).splitlines() == [
        "12.5 s  GET /slow  from 10.0.0.1:4711",
        "  process 101, rocket-worker-1, thread ID 101",
        "  /srv/app.py:12 view",
        "      helper()",
        "  /srv/app.py:40 helper",
        "      time.sleep(60)",
        "",
        "1.00 s  GET /slow  from 10.0.0.1:4711",
        "  process 100, rocket-worker-1, thread ID 101",
        "",
        "1 idle thread",
    ]


@pytest.mark.parametrize(
    ("state", "shown"),
    [("head", "receiving (head)"), ("idle", "receiving (idle)"), ("active", "active")],
)
def test_thread_that_receives_is_not_idle(state: str, shown: str) -> None:
    receiving = thread(request="", state=state)
    text = rendered(
        threads_report(Reply([{"process": 1, "generation": 1, "threads": [receiving]}]))
    )
    assert f"12.5 s  {shown}  from 10.0.0.1:4711\n" in text
    assert "0 idle threads" in text


def test_text_of_clients_is_not_markup_and_cannot_move_the_cursor() -> None:
    request = "GET /[bold]\x1b[2J\r\x9b"
    answers = [{"process": 1, "generation": 1, "threads": [thread(request=request)]}]
    text = rendered(threads_report(Reply(answers)))
    assert "GET /[bold]\ufffd[2J\ufffd\ufffd" in text


@WIDTHS
def test_connections(width: int) -> None:
    connection = {
        "peer": "10.0.0.1:4711",
        "local": "10.0.0.2:443",
        "state": "sending",
        "age": 75.0,
        "requests": 1234,
        "held": 2048,
        "secure": True,
        "protocol": "h2",
        "kind": "",
        "active": False,
        "messages": None,
        "streams": None,
    }
    reply = Reply([{"process": 100, "generation": 1, "count": 7, "connections": [connection]}])
    found = words(rendered(connections_report(reply), width))
    lines = [" ".join(each) for each in found]
    assert "100 10.0.0.1:4711 10.0.0.2:443 sending 1m15s 1,234 2.00 KiB h2" in lines
    assert lines[-1] == "1 of 7 connections"


def test_shared_connections_with_their_messages() -> None:
    usual = {"local": "a:80", "age": 5.0, "requests": 1, "held": 0, "secure": False}
    usual |= {"protocol": "", "streams": None}
    counts = {"received": 1234, "sent": 5, "dropped": 0}
    connections = [
        {**usual, "peer": "b:1", "state": "shared", "kind": "websocket", "active": False}
        | {"messages": counts, "held": 2048},
        {**usual, "peer": "b:2", "state": "shared", "kind": "event stream", "active": True}
        | {"messages": counts},
        {**usual, "peer": "b:3", "state": "idle", "kind": "", "active": False, "messages": None},
        {**usual, "peer": "b:4", "state": "shared", "kind": "HTTP/2", "active": True}
        | {"messages": {"received": 0, "sent": 0, "dropped": 0}, "streams": 17, "requests": 99}
        | {"stream_kinds": {"running": 14, "deferred answer": 3}},
    ]
    reply = Reply([{"process": 9, "generation": 1, "count": 4, "connections": connections}])
    lines = [" ".join(each) for each in words(rendered(connections_report(reply)))]
    assert "9 b:1 a:80 parked 5s 1 2.00 KiB websocket 1,234 5" in lines
    assert "9 b:2 a:80 active 5s 1 0 B event stream 1,234 5" in lines
    assert "9 b:3 a:80 idle 5s 1 0 B" in lines
    assert "9 b:4 a:80 active 5s 99 0 B HTTP/2: 14 running, 3 deferred answer 17" in lines
    title = "process client address state age requests held TLS kind streams received sent"
    assert title in lines


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["idle", "0s"]),
        ({"secure": True}, ["idle", "0s", "yes"]),
        ({"secure": True, "protocol": "http/1.1"}, ["idle", "0s", "http/1.1"]),
        ({"protocol": "h2", "secure": True}, ["idle", "0s", "h2"]),
    ],
)
def test_what_secures_a_connection(changes: dict[str, object], words: list[str]) -> None:
    connection = {"peer": "unix:", "local": "unix:", "state": "idle", "age": 0.0}
    connection |= {
        "requests": 0,
        "held": 0,
        "secure": False,
        "protocol": "",
        "kind": "",
        "messages": None,
        "streams": None,
    }
    reply = Reply(
        [{"process": 100, "generation": 1, "count": 1, "connections": [connection | changes]}]
    )
    line = rendered(connections_report(reply), 100).splitlines()[2].split()
    assert [each for each in line if each not in ("100", "unix:", "0", "B")] == words


def test_long_addresses_are_folded_and_not_cut() -> None:
    address = "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"
    connection = {"peer": address, "local": address, "state": "idle", "age": 0.0}
    connection |= {"requests": 0, "held": 0, "secure": False, "protocol": "", "kind": ""}
    connection |= {"messages": None, "streams": None}
    reply = Reply([{"process": 100, "generation": 1, "count": 1, "connections": [connection]}])
    text = rendered(connections_report(reply), 80)
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert text.count("65535") == 2
