"""Requests become spans by the usual WSGI middleware, in every process that serves."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from systemtests.processes import EXAMPLES, PATIENCE, PLAIN, serve

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION = EXAMPLES / "opentelemetry"


@pytest.mark.parametrize("processes", [1, 2])
def test_spans_of_requests(tmp_path: Path, processes: int) -> None:
    """Those that wait to be sent when a process ends are not lost."""
    path = tmp_path / "spans"
    options = [*PLAIN, "--processes", str(processes), "app:app"]
    trace = f"{7:032x}"
    with serve(*options, cwd=APPLICATION, variables={"SPANS": str(path)}) as server:
        told = ask_every_process(server.address, processes, f"00-{trace}-{9:016x}-01")
    spans = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    requests = [span for span in spans if span["kind"] == "SpanKind.SERVER"]
    assert len(requests) == len(told)
    for span in requests:
        assert span["context"]["trace_id"] == f"0x{trace}"
        assert span["parent_id"] == f"0x{9:016x}"
        assert span["attributes"]["http.status_code"] == 200
    assert sorted(map(process_of, requests)) == sorted(told)
    inner = [span for span in spans if span["name"] == "compute"]
    assert {span["parent_id"] for span in inner} == {
        span["context"]["span_id"] for span in requests
    }


def ask_every_process(address: str, processes: int, parent: str) -> list[int]:
    """The process that answered each request."""
    told: list[int] = []
    until = time.monotonic() + PATIENCE
    while len(set(told)) < processes or len(told) < 5:
        assert time.monotonic() < until, told
        headers = {"traceparent": parent, "Connection": "close"}
        answer = httpx.get(f"{address}/number", headers=headers, trust_env=False)
        told.append(int(answer.text.split()[-1]))
    return told


def process_of(span: dict[str, Any]) -> int:
    process: int = span["resource"]["attributes"]["process.pid"]
    return process
