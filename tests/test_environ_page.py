"""The page on the environ has the keys that requests have, with their types."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme

from systemtests.processes import APPLICATIONS, PATIENCE, ROOT, assert_quiet, serve
from systemtests.tables import rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from systemtests.certificates import Certificates

PAGE = ROOT / "docs" / "reference" / "environ.md"
ROWS = {key: (kind, present) for key, kind, present, *_ in rows(PAGE)}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
OPTIONS = [
    *("--bind", "http://127.0.0.1:0"),
    *("--executor-threads", "1"),
    "--request-ids",
    *("--trusted-proxies", "127.0.0.0/8"),
    *("--deadline-field", "X-Envoy-Expected-Rq-Timeout-Ms"),
    *("--tls-client-certificates", "optional"),
]

Environs = list[dict[str, str]]


@pytest.fixture(scope="module")
def environs(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[Environs]:
    """What applications have found: plain, over TLS, behind a proxy, with an upgrade."""
    folder = tmp_path_factory.mktemp("clients")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    with serve(
        "keys:application",
        *certificates.options,
        *OPTIONS,
        *("--tls-client-ca", str(folder / "ca.pem")),
        cwd=APPLICATIONS,
    ) as server:
        addresses = [server.address, server.wait_for(r"Listening on (\S+)")[1]]
        (secure,) = [each for each in addresses if each.startswith("https:")]
        (plain,) = [each for each in addresses if each.startswith("http:")]
        context = client_context(folder, authority, certificates)
        proxied = {"X-Forwarded-For": "192.0.2.1", "X-Envoy-Expected-Rq-Timeout-Ms": "1500"}
        with (
            httpx.Client(verify=context, timeout=PATIENCE, trust_env=False) as client,
            httpx.Client(
                verify=context, timeout=PATIENCE, trust_env=False, http2=True, http1=False
            ) as modern,
        ):
            yield [
                client.get(plain).raise_for_status().json(),
                client.post(plain, headers=proxied, data={"name": "value"}).json(),
                client.get(secure + "/path?query", headers=UPGRADE).json(),
                modern.get(secure).raise_for_status().json(),
                modern.get(secure.replace("127.0.0.1", "localhost")).json(),
            ]
    assert_quiet(server.log)


def client_context(
    folder: Path, authority: trustme.CA, certificates: Certificates
) -> ssl.SSLContext:
    """Trust the server, and show a certificate with a name and alternative names."""
    issued = authority.issue_cert("client@site.example", "client.example", common_name="client")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
    context = ssl.create_default_context(cafile=str(certificates.ca))
    context.check_hostname = False  # a name is asked for that is not in the certificate
    context.load_cert_chain(folder / "client.pem")
    return context


def pattern(key: str) -> re.Pattern[str]:
    return re.compile(re.escape(key).replace(r"\*", ".+") + r"\Z")


def rows_of(key: str) -> list[str]:
    """The rows of the page that are about a key. One without a star comes first."""
    return sorted((each for each in ROWS if pattern(each).match(key)), key=lambda row: "*" in row)


def test_every_key_is_on_the_page_with_its_type(environs: Environs) -> None:
    for environ in environs:
        for key, kind in environ.items():
            found = rows_of(key)
            assert found, f"the page has no {key}"
            stated, _ = ROWS[found[0]]
            # What is used by its methods may be an object that can be called, too.
            assert stated == kind or (stated, kind) == ("object", "function"), key


def test_every_key_of_the_page_exists(environs: Environs) -> None:
    found = {row for environ in environs for key in environ for row in rows_of(key)[:1]}
    assert set(ROWS) - found == set()


def test_keys_that_are_always_there(environs: Environs) -> None:
    always = {key for key, (_, present) in ROWS.items() if present == "always"}
    assert len(always) > 25
    for environ in environs:
        assert always - set(environ) == set()


def test_others_are_not_always_there(environs: Environs) -> None:
    for key, (_, present) in ROWS.items():
        # Whether there are IDs and an executor is a matter of the settings, not of the request.
        if present != "always" and key != "HTTP_*" and not present.startswith("with [`--"):
            if "with `--" in present:
                continue
            assert not all(any(map(pattern(key).match, each)) for each in environs), key
