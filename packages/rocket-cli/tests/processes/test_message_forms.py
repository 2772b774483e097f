"""The messages that processes may send, and the consequences of any other message."""

from __future__ import annotations

import json
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Write
from processes import Served
from rocket_cli._admin.inspector import Inspector
from rocket_cli._application.welcome_page import welcome
from rocket_cli._processes.channel import ChannelError, Message
from rocket_cli._processes.message_forms import Speaker
from rocket_core import Listener, Server
from rocket_core.testing import eventually
from rocket_wsgi import WSGIWorker

ANY = ["--bind", "127.0.0.1:0", "--processes", "2"]

SPEAKS = """
    import gc, os, threading

    def app(environ, start_response):
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/say":
            size = int(environ["CONTENT_LENGTH"])
            said = environ["wsgi.input"].read(size)
            threading.Thread(target=say, args=(said,), daemon=True).start()
        return [str(os.getpid()).encode()]

    def say(said):
        from rocket_cli._processes.control import Control
        (control,) = [each for each in gc.get_objects() if type(each) is Control]
        while True:
            control._channel._socket.sendall(said.removesuffix(b"..."))
            if not said.endswith(b"..."):
                control._channel._socket.sendall(b"\\n")
                return
"""

COUNTERS: Message = {
    "accepted": 3,
    "accept_errors": 0,
    "log_lines_lost": {"server": 0},
    "refused": 0,
    "refused_clients": 0,
    "limited": 0,
    "lined": 0,
    "requests": 5,
    "closes": {"served": 2},
    "tls_errors": {},
    "messages": {"websocket": {"received": 1, "sent": 2, "dropped": 0}},
    "outcomes": {"websocket": {"1000": 1}},
    "queue_time": {"sum": 0.5, "buckets": {"16": 5}},
    "service_time": {"sum": 0.0, "buckets": {}},
    "service_times": {
        name: {"sum": 0.0, "buckets": {}} for name in ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
    },
    "responses": {"2xx": 5},
    "own_responses": {"503": 1},
    "cpu": 0.25,
}

SAID = {
    "depth": b"[" * 100_000,
    "depth in an object": b'{"event":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "depth that can be read": b'{"answer": 1, "result": ' + b"[" * 400 + b"]" * 400 + b"}",
    "no JSON": b"nonsense",
    "no object": b"7",
    "no text": b"\xff\xfe",
    "a long number": b'{"answer": ' + b"9" * 5000 + b"}",
    "many parts": b'{"event": [' + b"[]," * 600_000 + b"[]]}",
    "no event": b'{"event": "begin"}',
    "an event of no name": b'{"event": ["ready"]}',
    "a missing field": b'{"event": "retire"}',
    "a wrong field": b'{"event": "retire", "why": {}}',
    "no counters": b'{"event": "final", "statistics": 5}',
    "wrong counters": json.dumps(
        {"event": "final", "statistics": {**COUNTERS, "cpu": 1e400}}
    ).encode(),
    "messages that are no numbers": json.dumps(
        {"event": "final", "statistics": {**COUNTERS, "messages": {"websocket": 5}}}
    ).encode(),
    "a question": b'{"ask": "drain", "id": 1, "arguments": {}}',
    "a question of no name": b'{"ask": [], "id": 1, "arguments": {}}',
    "more processes": b'{"ask": "resize-processes", "arguments": {"processes": 1000000}}',
    "an answer to nothing": b'{"answer": 1, "result": {}}',
    "an answer of no number": b'{"answer": [], "result": {}}',
    "events without end": b'{"event": "closed"}\n' * 100 + b"...",
    "a message without end": b"x" * 65536 + b"...",
}


REASONS = {
    "depth": "the line is not a JSON object",
    "depth in an object": "the line is not a JSON object",
    "depth that can be read": "the message has more than 16 levels",
    "no JSON": "the line is not a JSON object: b'nonsense'",
    "no object": "the line is not a JSON object: b'7'",
    "no text": "the line is not a JSON object: ",
    "a long number": "the line is not a JSON object: ",
    "many parts": "the message has more than 500000 parts",
    "no event": "a worker must not send {'event': 'begin'}",
    "an event of no name": "a worker must not send ",
    "a missing field": "the event retire has an invalid why",
    "a wrong field": "the event retire has an invalid why",
    "no counters": "the event final has an invalid statistics",
    "wrong counters": "the event final has an invalid statistics",
    "messages that are no numbers": "the event final has an invalid statistics",
    "a question": "a worker must not send {'ask': 'drain'",
    "a question of no name": "a worker must not send ",
    "more processes": "a worker must not send {'ask': 'resize-processes'",
    "an answer to nothing": "the process has sent an answer without a question",
    "an answer of no number": "the process has sent an answer without a question",
    "events without end": "the process has sent more than 16 events",
    "a message without end": "the message is longer than 16777216 bytes",
}


@pytest.mark.parametrize("said", SAID)
def test_an_invalid_message_costs_only_its_worker(
    tmp_path: Path, write: Write, client: httpx.Client, said: str
) -> None:
    """The supervisor and the other worker go on, and the worker is replaced."""
    write("speaks.py", SPEAKS)
    with Served(tmp_path, *ANY, "speaks") as served:
        url = served.location()
        before = set(served.workers())
        with suppress(httpx.TransportError):
            client.post(f"{url}/say", content=SAID[said])
        killed = int(
            served.wait_for(
                r"ERROR rocket_cli: invalid message from worker (\d+), killing it: " + REASONS[said]
            )[1]
        )
        assert killed in before
        served.wait_for(
            rf"worker {killed} was killed by SIGKILL \(out of memory\?\) after .*: replacing it in "
        )
        served.wait_for(r"worker \d+ serves")
        after = set(served.workers())
        assert len(after) == 2
        assert len(after & before) == 1
        served.send(signal.SIGTTIN)
        eventually(lambda: len(served.workers()) == 3)
        served.stop()


def test_last_messages_of_a_killed_worker(
    tmp_path: Path, write: Write, client: httpx.Client
) -> None:
    """The last messages of a worker are read before it is reaped."""
    write(
        "leaves.py",
        SPEAKS.replace("if not said", "os.kill(os.getpid(), 9)\n            if not said"),
    )
    with Served(tmp_path, *ANY, "leaves") as served:
        url = served.location()
        with suppress(httpx.TransportError):
            client.post(f"{url}/say", content=b"[" * 3000 + b"\n")
        served.wait_for(
            r"worker \d+ was killed by SIGKILL \(out of memory\?\) after .*: replacing it in "
        )
        served.wait_for(r"worker \d+ serves")
        served.stop()


KINDS: dict[str, list[Message]] = {
    "worker": [
        {"event": "ready", "name": "app", "found": None},
        {"event": "ready", "name": "a", "found": "b", "watch": {"directories": [], "since": 1.5}},
        {"event": "failed", "reason": "a", "traceback": "b"},
        {"event": "retire", "why": "has reached --max-requests"},
        {"event": "closed"},
        {"event": "final", "statistics": COUNTERS},
        {"answer": 1, "result": {"counters": COUNTERS, "anything": [{}]}},
    ],
    "observer": [
        {"event": "ready"},
        {"ask": "stats", "id": 1, "arguments": {}},
        {"ask": "threads", "id": 2, "arguments": {"stacks": True, "limit": 3}},
        {"ask": "log-level", "id": 3, "arguments": {"level": "debug"}},
        {"ask": "resize-threads", "id": 4, "arguments": {"threads": "2:4"}},
        {"ask": "resize-processes", "id": 5, "arguments": {"processes": 2}},
        {"ask": "reload", "id": 6, "arguments": {}},
        {"ask": "drain", "id": 7, "arguments": {}},
    ],
    "watcher": [{"event": "ready"}, {"ask": "reload"}],
    "new supervisor": [{"event": "ready"}, {"event": "failed", "reason": "a"}],
}


@pytest.mark.parametrize("kind", KINDS)
def test_messages_of_each_kind(kind: str) -> None:
    for message in KINDS[kind]:
        speaker = Speaker(kind)
        speaker.asked()
        speaker.hear(message)
    others = [each for other in KINDS for each in KINDS[other] if "event" not in each]
    for message in others:
        if message not in KINDS[kind] and message.get("ask") != "reload":
            with pytest.raises(ChannelError, match=rf"^a {kind} must not send"):
                Speaker(kind).hear(message)


def test_counters_of_a_server_are_valid() -> None:
    with Server(lambda: WSGIWorker(welcome), [Listener("127.0.0.1:0")]) as server:
        host, port = str(server.listeners[0].address).split(":")
        socket.create_connection((host, int(port)), 30).close()
        counters = json.loads(json.dumps(Inspector(server).counters()))
    Speaker("worker").hear({"event": "final", "statistics": counters})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("resize-processes", {"processes": 0}),
        ("resize-processes", {"processes": True}),
        ("resize-processes", {"processes": 100_000}),
        ("resize-processes", {"threads": "2"}),
        ("resize-threads", {"threads": "none"}),
        ("log-level", {}),
        ("log-level", {"level": "loud"}),
        ("stats", []),
        ("resize", {"processes": 1}),
    ],
)
def test_questions_with_invalid_arguments(name: str, arguments: Any) -> None:
    with pytest.raises(ChannelError):
        Speaker("observer").hear({"ask": name, "id": 1, "arguments": arguments})


@pytest.mark.parametrize(
    "changed",
    [
        {"requests": "7"},
        {"requests": True},
        {"requests": 1 << 64},
        {"cpu": float("nan")},
        {"closes": {"a": {}}},
        {"closes": {str(n): n for n in range(300)}},
        {"queue_time": {"sum": 1.0}},
        {"queue_time": {"sum": 1.0, "buckets": {"x": 1}}},
        {"service_times": {}},
        {"service_times": {**COUNTERS["service_times"], "7xx": {"sum": 0.0, "buckets": {}}}},
        {"service_times": {**COUNTERS["service_times"], "2xx": 1}},
        {"responses": {"2xx": "many"}},
        {"made-up": 1},
    ],
)
def test_counters_that_could_not_be_added(changed: Message) -> None:
    with pytest.raises(ChannelError, match="invalid statistics"):
        Speaker("worker").hear({"event": "final", "statistics": COUNTERS | changed})


words = st.sampled_from(["", "sum", "buckets", "threads", "processes", "level", "7", "\ud800"])


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return inner | st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)


json_values = nested(nested(st.none() | st.booleans() | st.integers() | st.floats() | words))


@given(
    kind=st.sampled_from(list(KINDS)),
    message=st.dictionaries(
        st.sampled_from(["event", "ask", "answer", "result", "statistics", "name", "why", "id"]),
        json_values | st.sampled_from(["ready", "final", "retire", "stats", "resize-threads"]),
    ),
)
def test_any_message_is_accepted_or_rejected(kind: str, message: Message) -> None:
    with suppress(ChannelError):
        Speaker(kind).hear(message)
