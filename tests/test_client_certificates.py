"""Mutual TLS from the client's certificate to the application."""

from __future__ import annotations

import json
import ssl
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme

from rocket_core import Server
from rocket_tls import TLSListener, TLSSettings
from rocket_wsgi import WSGIWorker
from rocket_wsgi.compat import Rocket
from systemtests.processes import PATIENCE, find_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIEnvironment

    from rocket_core import Address
    from systemtests.certificates import Certificates

FORGED = {
    "SSL-Client-Verify": "SUCCESS",
    "SSL_CLIENT_S_DN": "CN=root",
    "Ssl-Client-S-Dn-Cn": "root",
}


@dataclass(frozen=True)
class Site:
    address: str
    ca: Path
    alice: Path
    stranger: Path

    def client(self, certificate: Path | None) -> httpx.Client:
        context = ssl.create_default_context(cafile=self.ca)
        if certificate is not None:
            context.load_cert_chain(certificate)
        return httpx.Client(base_url=self.address, verify=context, timeout=PATIENCE)


def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    found = {key: value for key, value in environ.items() if key.startswith("SSL_")}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(found).encode()]


@pytest.fixture(params=["optional", "required", "original"])
def site(
    request: pytest.FixtureRequest, certificates: Certificates, tmp_path: Path
) -> Iterator[Site]:
    """An application that tells what it knows of its client."""
    clients = trustme.CA()
    clients.cert_pem.write_to_path(tmp_path / "clients.pem")
    alice, stranger = tmp_path / "alice.pem", tmp_path / "stranger.pem"
    issued = clients.issue_cert("alice@example.com", common_name="Alice")
    issued.private_key_and_cert_chain_pem.write_to_path(alice)
    other = trustme.CA().issue_cert("mallory@example.com")
    other.private_key_and_cert_chain_pem.write_to_path(stranger)
    authorities = tmp_path / "clients.pem"
    with serving(request.param, authorities, certificates) as address:
        yield Site(f"https://{address}", certificates.ca, alice, stranger)


@contextmanager
def serving(how: str, authorities: Path, certificates: Certificates) -> Iterator[Address]:
    """A server that wants certificates of clients, or the original's interface to one."""
    if how == "original":
        interface = ("127.0.0.1", 0, certificates.key, certificates.cert, authorities)
        rocket = Rocket(interface, "wsgi", {"wsgi_app": application})
        rocket.start(background=True)
        yield rocket.server.listeners[0].address
        rocket.stop()
        return
    settings = TLSSettings(client_certificates=how, client_ca=authorities)
    listener = TLSListener("127.0.0.1:0", certificates.cert, certificates.key, settings=settings)
    with Server(lambda: WSGIWorker(application), [listener]):
        yield listener.address


def test_the_application_knows_its_client(site: Site) -> None:
    with site.client(site.alice) as client:
        for _ in range(2):  # on one connection
            found = client.get("/", headers=FORGED).json()
            assert found["SSL_CLIENT_VERIFY"] == "SUCCESS"
            assert found["SSL_CLIENT_S_DN_CN"] == "Alice"
            assert found["SSL_CLIENT_SAN_Email_0"] == "alice@example.com"
            assert found["SSL_CLIENT_CERT"] in site.alice.read_text(encoding="ascii")


def test_a_stranger_is_not_let_in(site: Site) -> None:
    with site.client(site.stranger) as client, pytest.raises(httpx.TransportError):
        client.get("/")


@pytest.mark.parametrize("site", ["original"], indirect=True)
def test_the_certificate_has_the_name_that_the_original_gave_it(site: Site) -> None:
    with site.client(site.alice) as client:
        found = client.get("/", headers=FORGED).json()
    assert found["SSL_CLIENT_RAW_CERT"] == found["SSL_CLIENT_CERT"]
    with site.client(None) as client:
        found = client.get("/", headers={"SSL-Client-Raw-Cert": "x"}).json()
    assert "SSL_CLIENT_RAW_CERT" not in found


@pytest.mark.parametrize("site", ["optional", "original"], indirect=True)
def test_who_shows_no_certificate_cannot_forge_one(site: Site) -> None:
    with site.client(None) as client:
        found = client.get("/", headers=FORGED).json()
    assert found["SSL_CLIENT_VERIFY"] == "NONE"
    assert not [key for key in found if key.startswith("SSL_CLIENT_S_DN")]


@pytest.mark.parametrize("site", ["required"], indirect=True)
def test_who_shows_no_certificate_is_not_let_in(site: Site) -> None:
    with site.client(None) as client, pytest.raises(httpx.TransportError):
        client.get("/")


def test_curl(site: Site) -> None:
    command = [find_tool("curl"), "-sS", "--cacert", str(site.ca), "--cert", str(site.alice)]
    done = subprocess.run(
        [*command, site.address], capture_output=True, check=True, timeout=PATIENCE
    )
    assert json.loads(done.stdout)["SSL_CLIENT_S_DN_CN"] == "Alice"
