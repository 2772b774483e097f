"""The protocol that a connection speaks."""

from __future__ import annotations

import socket
import ssl

import pytest

from helpers import Files, MemoryClient, Serve, exchange, load_context
from rocket_core import Connection, Peer
from rocket_tls._connection.connection import TLSConnection
from rocket_tls._context.alpn import Purpose, purpose_of

SOMEBODY = Peer("", 0)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        ([], None),
        (["http/1.1"], "http/1.1"),
        (["h2", "http/1.1"], "http/1.1"),
        (["h2"], None),
        (["acme-tls/1"], None),
    ],
)
def test_the_connection_knows_the_protocol_that_was_agreed_on(
    serve: Serve, offered: list[str], agreed: str | None, version: ssl.TLSVersion
) -> None:
    served = serve()
    served.context.minimum_version = served.context.maximum_version = version
    if offered:
        served.context.set_alpn_protocols(offered)
    with served.connect() as client:
        assert client.selected_alpn_protocol() == agreed
        assert exchange(client, "tell protocol") == f"{agreed or ''}\n".encode()


def test_a_resumed_session_has_a_protocol_too(serve: Serve) -> None:
    served = serve()
    served.context.set_alpn_protocols(["http/1.1"])
    with served.connect() as first:
        assert exchange(first, "tell protocol") == b"http/1.1\n"
        session = first.session
    sock = served.connect_plain()
    with served.context.wrap_socket(sock, server_hostname="localhost", session=session) as second:
        assert exchange(second, "tell protocol") == b"http/1.1\n"
        assert second.session_reused


def test_there_is_no_protocol_before_the_handshake_is_complete(
    files: Files, client_context: ssl.SSLContext
) -> None:
    ours, theirs = socket.socketpair()
    client_context.set_alpn_protocols(["http/1.1"])
    client = MemoryClient(client_context)
    connection = TLSConnection(ours, load_context(files.certificate, files.key), SOMEBODY, SOMEBODY)
    with theirs:
        theirs.sendall(client.first_flight())
        while not connection.handshake():
            assert connection.protocol == ""
            client.receive(theirs)
            client.shake_hands()
            theirs.sendall(client.outgoing.read())
        assert connection.protocol == "http/1.1"
        connection.close()


def test_a_connection_without_tls_has_no_protocol() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        connection = Connection(ours, SOMEBODY, SOMEBODY)
        assert connection.protocol == ""
        connection.close()


@pytest.mark.parametrize(
    ("offered", "purpose"),
    [
        ([], Purpose.SERVICE),
        ([b"http/1.1"], Purpose.SERVICE),
        ([b"acme-tls/1"], Purpose.VALIDATION),
        ([b"acme-tls/1", b"http/1.1"], Purpose.SERVICE),
    ],
)
def test_only_an_authority_offers_nothing_but_its_protocol(
    offered: list[bytes], purpose: Purpose
) -> None:
    assert purpose_of(offered) is purpose
