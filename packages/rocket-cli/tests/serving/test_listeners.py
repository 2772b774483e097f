from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import trustme

from choosing import choose
from rocket_cli._errors import CommandError
from rocket_cli._serving.listeners import location, make_listeners
from rocket_cli._sockets.bound_sockets import open_sockets
from rocket_core import Connection, Listener, Server, State, TCPAddress, Worker

LOOPBACK = ["--bind", "127.0.0.1:0"]


class Echo(Worker):
    def serve(self, connection: Connection) -> State:
        connection.write(connection.take())
        return State.IDLE


def test_scheme_follows_the_certificate(certificate: Path, key: Path) -> None:
    binds = ["--bind", "127.0.0.1:0", "--bind", "http://127.0.0.1:0"]
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    assert [each.scheme for each in make_listeners(choose(*binds))] == ["http", "http"]
    assert [each.scheme for each in make_listeners(choose(*binds, *tls))] == ["https", "http"]


def test_key_in_the_file_of_the_certificate(
    authority: trustme.CA, leaf: trustme.LeafCert, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(both)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    listeners = make_listeners(choose(*LOOPBACK, "--tls-cert", str(both)))
    with Server(Echo, listeners, min_threads=1) as server:
        address = server.listeners[0].address
        assert isinstance(address, TCPAddress)
        with (
            socket.create_connection((address.host, address.port), 30) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
        ):
            client.sendall(b"ping")
            assert client.recv(4) == b"ping"


def test_certificate_that_cannot_be_used(tmp_path: Path, key: Path) -> None:
    missing = tmp_path / "missing.pem"
    with pytest.raises(CommandError) as caught:
        make_listeners(choose(*LOOPBACK, "--tls-cert", str(missing), "--tls-key", str(key)))
    assert str(caught.value).startswith(f"--tls-cert: certificate file {missing}")
    assert caught.value.__cause__ is not None


def test_client_certificates_need_their_authorities(certificate: Path, key: Path) -> None:
    options = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with pytest.raises(CommandError, match=r"^--tls-client-certificates: .*client_ca"):
        make_listeners(choose(*LOOPBACK, *options, "--tls-client-certificates", "required"))


def test_clients_without_a_certificate_are_refused(
    authority: trustme.CA, certificate: Path, key: Path, tmp_path: Path
) -> None:
    trusted = tmp_path / "clients.pem"
    authority.cert_pem.write_to_path(trusted)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    mutual = ["--tls-client-certificates", "required", "--tls-client-ca", str(trusted)]
    with Server(Echo, make_listeners(choose(*LOOPBACK, *tls, *mutual)), min_threads=1) as server:
        address = server.listeners[0].address
        assert isinstance(address, TCPAddress)
        # With TLS 1.3 the client learns of it when it reads.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with (
            socket.create_connection((address.host, address.port), 30) as plain,
            pytest.raises((ssl.SSLError, ConnectionError)),
        ):
            context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_certificate_that_is_missing(key: Path) -> None:
    with pytest.raises(CommandError, match=r"^--bind: https://:0 needs .* --tls-cert"):
        make_listeners(choose("--bind", "https://:0"))
    with pytest.raises(CommandError, match=r"^--tls-key has no effect without --tls-cert"):
        choose(*LOOPBACK, "--tls-key", str(key))


def test_location_of_a_url() -> None:
    listener = Listener("127.0.0.1:0")
    listener.bind()
    try:
        assert isinstance(listener.address, TCPAddress)
        assert location(listener) == f"http://127.0.0.1:{listener.address.port}"
    finally:
        listener.close()


def test_location_of_an_ipv6_url() -> None:
    assert location(Listener(TCPAddress("::1", 80))) == "http://[::1]:80"


def test_location_of_a_unix_socket(certificate: Path, key: Path) -> None:
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    (listener,) = make_listeners(choose("--bind", "unix:/run/rocket.sock", *tls))
    assert location(listener) == "unix:/run/rocket.sock"


def test_sockets_that_are_bound_already() -> None:
    chosen = choose(*LOOPBACK)
    (bound,) = open_sockets(chosen)
    with Server(Echo, make_listeners(chosen, sockets=[bound]), min_threads=1) as server:
        assert server.listeners[0].address == bound.address
