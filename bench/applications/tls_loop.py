"""A floor for TLS: threads that accept, shake hands, answer once and close, each on its own.

python -m bench.applications.tls_loop PORT THREADS CERTIFICATE KEY
"""

from __future__ import annotations

import argparse
import socket
import ssl
import threading
from contextlib import suppress

from bench.applications.fixed import CLOSING_ANSWER, END


def loop(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Serve one client after the other for ever; none may be slow."""
    while True:
        plain, _ = listener.accept()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError), context.wrap_socket(plain, server_side=True) as client:
            data = b""
            while not data.endswith(END):
                piece = client.recv(16384)
                if not piece:
                    break
                data += piece
            else:
                client.sendall(CLOSING_ANSWER)
                client.unwrap()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("threads", type=int)
    parser.add_argument("certificate")
    parser.add_argument("key")
    options = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    listener = socket.create_server(("127.0.0.1", options.port), backlog=4096)
    for _ in range(options.threads - 1):
        threading.Thread(target=loop, args=(listener, context), daemon=True).start()
    loop(listener, context)


if __name__ == "__main__":
    main()
