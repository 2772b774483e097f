"""Marked requests beside broken ones, over every protocol: no byte goes to another client.

With `ROCKET_CHAOS=1000000` there are as many answers; `nox -s chaos` asks for them, and prints how
many of each kind there were.
"""

from __future__ import annotations

import math
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import trustme
from marked_clients import NAMES, Site, Tally, broken, events, http1, http2, websocket

from systemtests.processes import APPLICATIONS, assert_quiet, serve

if TYPE_CHECKING:
    from pathlib import Path

ANSWERS = int(os.environ.get("ROCKET_CHAOS", "1600"))
SEED = int(os.environ.get("ROCKET_CHAOS_SEED", "20"))
BATCH = 200
"""The most answers of one connection."""


def test_each_answer_is_of_its_own_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = trustme.CA()
    options = []
    for name in NAMES:
        made = authority.issue_cert(name)
        made.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")
        options += ["--tls-cert", str(tmp_path / f"{name}.pem")]
    binds = ["--bind", "http://127.0.0.1:0", "--bind", "https://127.0.0.1:0", "--h2c"]
    tally = Tally()
    random = Random(SEED)
    with serve(
        "marked:app", *binds, *options, "--processes", "2", "--threads", "8", cwd=APPLICATIONS
    ) as server:
        secure = server.wait_for(r"Listening on (https://\S+)")[1]
        plain_at, secure_at = urlsplit(server.address), urlsplit(secure)
        assert plain_at.hostname
        assert plain_at.port
        assert secure_at.port
        plain = Site(plain_at.hostname, plain_at.port)
        tls = Site(plain_at.hostname, secure_at.port, tls=True)
        kinds = [
            *((kind, site) for kind in (http1, http2, broken) for site in (plain, tls)),
            (websocket, plain),
            (events, tls),
        ]
        with ThreadPoolExecutor(8) as pool:
            jobs = []
            batch = min(BATCH, ANSWERS // 6)  # two of the kinds get no answer that counts
            for number in range(math.ceil(ANSWERS / batch / 6) * len(kinds)):
                kind, site = kinds[number % len(kinds)]
                jobs.append(pool.submit(kind, site, Random(random.random()), tally, batch))
            for job in jobs:
                job.result()
        assert_quiet(server.log)
    assert set(tally.counts) == {
        "HTTP/1.1", "HTTP/1.1 over TLS", "HTTP/2", "HTTP/2 over TLS",
        "messages of websockets", "events", "broken requests",
    }  # fmt: skip
    with capsys.disabled():
        if "ROCKET_CHAOS" in os.environ:
            right = sum(tally.counts.values()) - tally.counts["broken requests"]
            sys.stdout.write(f"\nseed {SEED}: {right} answers, none wrong: {tally.counts}\n")
