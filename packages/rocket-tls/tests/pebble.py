"""Pebble, a real ACME server, behind a front that records requests and can answer them itself."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from helpers import chain_of
from rocket_core.testing import PATIENCE, eventually, unused_port

KEY_ID = "kid-1"
MAC_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


def require_pebble() -> str:
    """Return the command; without it the test is skipped, or fails in CI."""
    command = shutil.which("pebble")
    if command is None:
        message = "the ACME server pebble (Debian: apt install pebble) is not there"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return command


@dataclass
class Answer:
    """A response of the front in place of the server."""

    status: int
    body: str = ""
    fields: dict[str, str] = field(default_factory=dict)


def problem(status: int, kind: str, detail: str, **fields: str) -> Answer:
    """Return a refusal (RFC 7807)."""
    content = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail}
    fields = {name.replace("_", "-"): value for name, value in fields.items()}
    fields["Content-Type"] = "application/problem+json"
    return Answer(status, json.dumps(content), fields)


Intervene = Callable[[str, dict[str, Any]], Answer | None]
"""A function of the last part of a path and the signed object; for None the server answers."""


class Authority:
    """The ACME server.

    Attributes:
        url: of its directory.
        ca: a file with the authority that its own certificate comes from.
        http: a socket that listens where it validates by http-01.
        tls: one that listens where it validates by tls-alpn-01.
        asked: the last parts of the paths of all that was asked, in order.
        orders: what was ordered.
        intervene: may answer in its place.
        extra: what its directory has besides.
    """

    def __init__(self, ca: Path, http: socket.socket, tls: socket.socket) -> None:
        self.url = ""
        self.ca = ca
        self.http = http
        self.tls = tls
        self.asked: list[str] = []
        self.orders: list[dict[str, Any]] = []
        self.intervene: Intervene = lambda _path, _content: None
        self.extra: dict[str, str] = {}
        self.management = 0

    def root(self) -> str:
        """Return the root that issues the certificates of sites, in PEM form."""
        trust = ssl.create_default_context(cafile=self.ca)
        connection = http.client.HTTPSConnection("127.0.0.1", self.management, context=trust)
        connection.request("GET", "/roots/0")
        root = connection.getresponse().read().decode()
        connection.close()
        return root

    def note(self, kind: str, signed: dict[str, Any]) -> None:
        """Note a request."""
        self.asked.append(kind)
        if kind == "order-plz":
            self.orders.append(signed)

    def forget(self) -> None:
        """Forget the requests so far."""
        self.asked.clear()
        self.orders.clear()


@contextmanager
def running_authority(
    directory: Path, *, binding: bool = False, refused_nonces: int = 0
) -> Iterator[Authority]:
    """Run the server.

    ``binding``: it wants an account that was made elsewhere. ``refused_nonces``: it refuses so many
    of a hundred requests for their nonce.
    """
    command = require_pebble()
    own = trustme.CA()
    leaf = own.issue_cert("127.0.0.1")
    files = {each: directory / f"{each}.pem" for each in ("ca", "certificate", "key")}
    own.cert_pem.write_to_path(files["ca"])
    files["certificate"].write_bytes(chain_of(leaf))
    leaf.private_key_pem.write_to_path(files["key"])
    with ExitStack() as stack:
        http, tls = (stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2))
        authority = Authority(files["ca"], http, tls)
        trust = ssl.create_default_context(cafile=files["ca"])
        port = stack.enter_context(
            _pebble(
                command, directory, files, authority, binding=binding, refused_nonces=refused_nonces
            )
        )
        _front(stack, authority, port, trust, files)
        yield authority


@contextmanager
def _pebble(
    command: str,
    directory: Path,
    files: dict[str, Path],
    authority: Authority,
    *,
    binding: bool,
    refused_nonces: int,
) -> Iterator[int]:
    # It cannot be told to take a free port, so one that was free a moment ago may be taken.
    for attempt in range(5):
        port, authority.management = unused_port(), unused_port()
        config = {
            "listenAddress": f"127.0.0.1:{port}",
            "managementListenAddress": f"127.0.0.1:{authority.management}",
            "certificate": str(files["certificate"]),
            "privateKey": str(files["key"]),
            "httpPort": authority.http.getsockname()[1],
            "tlsPort": authority.tls.getsockname()[1],
            "externalAccountBindingRequired": binding,
            "externalAccountMACKeys": {KEY_ID: MAC_KEY},
        }
        path = directory / "pebble.json"
        path.write_text(json.dumps({"pebble": config}), encoding="ascii")
        log = directory / f"pebble-{attempt}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [command, "-config", str(path)],
                env={
                    **os.environ,
                    "PEBBLE_VA_NOSLEEP": "1",
                    "PEBBLE_AUTHZREUSE": "0",
                    "PEBBLE_WFE_NONCEREJECT": str(refused_nonces),
                },
                stdout=output,
                stderr=output,
            )
        try:
            eventually(lambda: process.poll() is not None or (_answers(port)))  # noqa: B023
            if process.poll() is None:
                yield port
                return
        finally:
            process.kill()
            process.wait(PATIENCE)
    pytest.fail(f"pebble does not start: {log.read_text(encoding='utf-8')}")


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except OSError:
        return False
    return True


_AGAIN = problem(400, "badNonce", "order again")
"""The client repeats what is refused for its nonce, and so gets another order."""


class Validations:
    """What the server has had its clients prove.

    It is told never to take an earlier proof for a new order, but compares such that it does for
    one order in a hundred.
    """

    def __init__(self) -> None:
        self._urls: set[str] = set()

    def reused(self, order: str) -> bool:
        """Return whether an order needs something that was needed for an earlier one."""
        urls = set(json.loads(order).get("authorizations", ()))
        reused = not urls.isdisjoint(self._urls)
        self._urls |= urls
        return reused


def _front(
    stack: ExitStack,
    authority: Authority,
    port: int,
    trust: ssl.SSLContext,
    files: dict[str, Path],
) -> None:
    validations = Validations()

    class Front(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            kind = self.path.split("/")[1]
            signed = _payload(body)
            answer = authority.intervene(kind, signed)
            if answer is None:
                answer = self.ask(body, kind)
            if answer is not _AGAIN:
                authority.note(kind, signed)
            self.send_response(answer.status)
            for name, value in answer.fields.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body.encode())))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body.encode())

        do_GET = do_HEAD = do_POST = answer  # noqa: N815 - as http.server calls them

        def ask(self, body: bytes, kind: str) -> Answer:
            server = http.client.HTTPSConnection("127.0.0.1", port, context=trust)
            server.request(self.command, self.path, body or None, dict(self.headers))
            response = server.getresponse()
            content = response.read().decode()
            server.close()
            fields = {
                name: value
                for name, value in response.getheaders()
                if name.lower() not in {"content-length", "connection", "transfer-encoding"}
            }
            if kind == "dir" and authority.extra:
                content = json.dumps({**json.loads(content), **authority.extra})
            if kind == "order-plz" and validations.reused(content):
                return _AGAIN
            return Answer(response.status, content, fields)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Front)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["certificate"], files["key"])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    stack.callback(server.server_close)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    stack.callback(thread.join)
    stack.callback(server.shutdown)
    authority.url = f"https://127.0.0.1:{server.server_port}/dir"


def _payload(body: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(body)["payload"]
        found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    except (ValueError, KeyError):
        return {}
    return found
