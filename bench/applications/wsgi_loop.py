"""A floor: one thread, epoll, a parser that trusts its clients, and the call of PEP 3333.

python -m bench.applications.wsgi_loop APPLICATION PORT

It serves GET without a body, and buffers nothing that a client does not take: enough for a floor.
"""

from __future__ import annotations

import argparse
import io
import select
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from bench.applications.fixed import END
from bench.applications.loading import load

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication, WSGIEnvironment


class Loop:
    """The clients of an application."""

    def __init__(self, application: WSGIApplication, port: int) -> None:
        self._application = application
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        self._clients: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self.poll: Callable[[], list[tuple[int, int]]] = self._epoll.poll
        self._environ: WSGIEnvironment = {
            "SCRIPT_NAME": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(port),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }

    def run(self) -> None:
        """Serve for ever, or until `poll` raises something."""
        accepting = self._listener.fileno()
        poll = self.poll
        while True:
            for descriptor, _ in poll():
                if descriptor == accepting:
                    self._accept()
                elif not self._serve(self._clients[descriptor]):
                    self._clients.pop(descriptor).close()

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self.add(self._listener.accept()[0])

    def add(self, client: socket.socket) -> None:
        """Serve one more client."""
        client.setblocking(False)
        self._clients[client.fileno()] = client
        self._epoll.register(client, select.EPOLLIN)

    def _serve(self, client: socket.socket) -> bool:
        try:
            data = client.recv(16384)
            if not data.endswith(END):
                return False
            environ = self._parse(data)
            client.send(self._answer(environ))
        except OSError:
            return False
        return environ.get("HTTP_CONNECTION") != "close"

    def _parse(self, data: bytes) -> WSGIEnvironment:
        line, *fields = data.decode("latin-1").split("\r\n")
        method, target, version = line.split(" ")
        environ = self._environ.copy()
        environ["REQUEST_METHOD"] = method
        environ["PATH_INFO"], _, environ["QUERY_STRING"] = target.partition("?")
        environ["SERVER_PROTOCOL"] = version
        environ["wsgi.input"] = io.BytesIO()
        for field in fields[:-2]:
            name, value = field.split(":", 1)
            environ["HTTP_" + name.upper().replace("-", "_")] = value.strip()
        return environ

    def _answer(self, environ: WSGIEnvironment) -> bytes:
        closes = environ.get("HTTP_CONNECTION") == "close"
        lines: list[str] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], _: object = None
        ) -> type[None]:
            lines.append(f"HTTP/1.1 {status}\r\n")
            lines.extend(f"{name}: {value}\r\n" for name, value in headers)
            return type(None)

        body = b"".join(self._application(environ, start_response))
        lines.append("Connection: close\r\n\r\n" if closes else "\r\n")
        return "".join(lines).encode("latin-1") + body


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("application")
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    Loop(load(options.application), options.port).run()


if __name__ == "__main__":
    main()
