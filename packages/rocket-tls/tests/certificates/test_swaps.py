"""Certificates that are replaced while clients connect all the time."""

from __future__ import annotations

import itertools
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import trustme

from helpers import PATIENCE, Files, Serve, chain_of, der_of, exchange, replace_file

ROUNDS = int(os.environ.get("ROCKET_SOAK_ROUNDS", "15"))
CLIENTS = 20


class Watch:
    """The certificates that clients were served; ``now`` is the latest."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.now = b""
        self.seen: set[bytes] = set()
        self.requests = 0
        self.over = False

    def note(self, certificate: bytes) -> None:
        with self.changed:
            self.seen.add(certificate)
            self.requests += 2
            if certificate != self.now:
                self.now = certificate
                self.changed.notify_all()

    def wait_for(self, certificate: bytes) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: certificate in self.seen, PATIENCE)


def test_no_client_notices_that_certificates_are_replaced(
    serve: Serve,
    files: Files,
    ca: trustme.CA,
    client_context: ssl.SSLContext,
    record_property: Callable[[str, object], None],
) -> None:
    served = serve(threads=4)
    watch = Watch()

    def come_again_and_again() -> None:
        for number in itertools.count():
            if watch.over:
                return
            with (
                socket.create_connection(served.address, PATIENCE) as sock,
                client_context.wrap_socket(sock, server_hostname="localhost") as client,
            ):
                for _ in range(2):
                    assert exchange(client, f"shout hello {number}") == b"HELLO %d\n" % number
                certificate = client.getpeercert(binary_form=True)
                assert certificate is not None
            watch.note(certificate)

    slowest = 0.0
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(come_again_and_again) for _ in range(CLIENTS)]
        try:
            for _ in range(ROUNDS):
                leaf = ca.issue_cert("localhost")
                replace_file(files.key, leaf.private_key_pem.bytes())
                replace_file(files.certificate, chain_of(leaf))
                began = time.monotonic()
                watch.wait_for(der_of(leaf))
                slowest = max(slowest, time.monotonic() - began)
        finally:
            watch.over = True
    for each in clients:
        each.result()
    assert served.tls_errors == {}
    assert watch.requests >= 2 * ROUNDS
    record_property("slowest", slowest)
    record_property("requests", watch.requests)
    if "ROCKET_SOAK_ROUNDS" in os.environ:
        assert slowest < 1
