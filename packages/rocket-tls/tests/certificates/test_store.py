"""The choice of a certificate, and replacing certificates."""

from __future__ import annotations

import logging
import ssl
import threading
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from helpers import Files, Serve, chain_of, data_of, der_of, der_of_chain, encrypted, write_pair
from rocket_tls import (
    CertificateDirectory,
    CertificateError,
    CertificateFiles,
    CertificateStore,
)

REPLACEMENTS = 300
HANDSHAKES = 100


@pytest.fixture(scope="module")
def leaves(ca: trustme.CA) -> dict[str, trustme.LeafCert]:
    names = {
        "default": ["default.test"],
        "exact": ["a.example.com", "b.example.com"],
        "wildcard": ["*.example.com"],
        "addresses": ["192.0.2.7", "2001:db8::7"],
    }
    return {each: ca.issue_cert(*names[each]) for each in names}


@pytest.mark.parametrize(
    ("name", "address", "expected"),
    [
        ("default.test", "127.0.0.1", "default"),
        ("a.example.com", "127.0.0.1", "exact"),
        ("B.Example.COM", "127.0.0.1", "exact"),
        ("c.example.com", "127.0.0.1", "wildcard"),
        ("*.example.com", "127.0.0.1", "wildcard"),
        ("a.c.example.com", "127.0.0.1", "default"),
        ("example.com", "127.0.0.1", "default"),
        ("elsewhere.test", "192.0.2.7", "default"),
        ("com", "192.0.2.7", "default"),
        (None, "192.0.2.7", "addresses"),
        (None, "2001:db8::7", "addresses"),
        (None, "192.0.2.8", "default"),
        (None, "", "default"),
    ],
)
def test_the_choice_of_a_certificate(
    leaves: dict[str, trustme.LeafCert], name: str | None, address: str, expected: str
) -> None:
    store = CertificateStore(map(data_of, leaves.values()))
    assert der_of_chain(store.choose(name, address)) == der_of(leaves[expected])


def test_of_two_certificates_for_a_name_the_first_is_served(ca: trustme.CA) -> None:
    first, second = ca.issue_cert("twice.test"), ca.issue_cert("twice.test", "second.test")
    store = CertificateStore([data_of(first), data_of(second)])
    assert der_of_chain(store.choose("twice.test", "")) == der_of(first)
    assert der_of_chain(store.choose("second.test", "")) == der_of(second)


@pytest.mark.parametrize("name", ["a.example.com", "c.example.com", "default.test"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_gets_the_certificate_of_the_name_it_asks_for(
    serve: Serve,
    leaves: dict[str, trustme.LeafCert],
    client_context: ssl.SSLContext,
    name: str,
    version: ssl.TLSVersion,
) -> None:
    served = serve(CertificateStore(map(data_of, leaves.values())), None)
    client_context.minimum_version = client_context.maximum_version = version
    sock = served.connect_plain()
    # The client verifies that the certificate is for the name.
    with client_context.wrap_socket(sock, server_hostname=name) as client:
        assert client.version() == version.name.replace("TLSv1_", "TLSv1.")


def test_a_client_that_connects_to_an_address_gets_the_certificate_of_that_address(
    serve: Serve,
    leaves: dict[str, trustme.LeafCert],
    ca: trustme.CA,
    client_context: ssl.SSLContext,
) -> None:
    local = ca.issue_cert("127.0.0.1")
    served = serve(CertificateStore([data_of(leaves["default"]), data_of(local)]), None)
    sock = served.connect_plain()
    with client_context.wrap_socket(sock, server_hostname="127.0.0.1") as client:
        assert client.getpeercert(binary_form=True) == der_of(local)


def test_the_address_that_a_proxy_announces_selects_the_certificate(
    serve: Serve, leaves: dict[str, trustme.LeafCert], client_context: ssl.SSLContext
) -> None:
    store = CertificateStore([data_of(leaves["default"]), data_of(leaves["addresses"])])
    served = serve(store, None, proxy_protocol=["127.0.0.1"])
    sock = served.connect_plain()
    sock.sendall(b"PROXY TCP4 198.51.100.1 192.0.2.7 1000 443\r\n")
    with client_context.wrap_socket(sock, server_hostname="192.0.2.7") as client:
        assert client.getpeercert(binary_form=True) == der_of(leaves["addresses"])


def test_there_must_be_a_source() -> None:
    with pytest.raises(ValueError, match="needs at least one source"):
        CertificateStore([])


def test_reload_reports_every_fault_and_loads_the_rest(tmp_path: Path, ca: trustme.CA) -> None:
    for name in "abc":
        write_pair(
            ca.issue_cert(f"{name}.test"), tmp_path / f"{name}.crt", tmp_path / f"{name}.key"
        )
    store = CertificateStore([CertificateDirectory(tmp_path)])
    write_pair(new := ca.issue_cert("new.test"), tmp_path / "b.crt", tmp_path / "b.key")
    (tmp_path / "a.crt").write_bytes(b"")
    (tmp_path / "c.key").write_bytes(b"")
    with pytest.raises(CertificateError) as raised:
        store.reload()
    assert "a.crt holds no certificate" in str(raised.value)
    assert "c.key holds no private key" in str(raised.value)
    assert [name for chain in store.chains for name in chain.names] == [
        "a.test",
        "new.test",
        "c.test",
    ]
    assert der_of_chain(store.choose("new.test", "")) == der_of(new)


@pytest.mark.usefixtures("impatient")
def test_source_that_cannot_be_read_counts_as_a_failure(tmp_path: Path, ca: trustme.CA) -> None:
    folder, away = tmp_path / "certificates", tmp_path / "away"
    write_pair(ca.issue_cert("a.test"), folder / "a.crt", folder / "a.key")
    store = CertificateStore([CertificateDirectory(folder)])
    folder.rename(away)
    store.choose("a.test", "")
    assert store.failed == 2  # the source, and the certificate that it had
    away.rename(folder)
    store.choose("a.test", "")
    assert store.failed == 0


@pytest.mark.usefixtures("impatient")
def test_a_new_name_in_another_file_is_found(files: Files, tmp_path: Path, ca: trustme.CA) -> None:
    second = CertificateFiles(tmp_path / "2.pem", tmp_path / "2-key.pem")
    write_pair(ca.issue_cert("old.test"), second.certificate, second.key_file)
    store = CertificateStore([CertificateFiles(files.certificate, files.key), second])
    write_pair(new := ca.issue_cert("new.test"), second.certificate, second.key_file)
    assert der_of_chain(store.choose("new.test", "")) == der_of(new)
    assert store.choose("old.test", "").names == {"localhost"}


def kubernetes_secret(folder: Path, leaf: trustme.LeafCert, number: int) -> None:
    """Replace the link ``..data``, as the kubelet does."""
    version = folder / f"..{number}"
    write_pair(leaf, version / "tls.crt", version / "tls.key")
    (folder / "..data_tmp").symlink_to(version.name)
    (folder / "..data_tmp").replace(folder / "..data")


def in_pieces(folder: Path, leaf: trustme.LeafCert, number: int) -> None:
    """Overwrite the files, as an editor or a careless script does."""
    del number
    for path, content in (
        (folder / "tls.crt", chain_of(leaf)),
        (folder / "tls.key", leaf.private_key_pem.bytes()),
    ):
        with path.open("wb", buffering=0) as file:
            for start in range(0, len(content), 400):
                file.write(content[start : start + 400])


def one_after_the_other(folder: Path, leaf: trustme.LeafCert, number: int) -> None:
    """Rename each file into its place."""
    write_pair(leaf, folder / f"{number}.crt", folder / f"{number}.key")
    (folder / f"{number}.crt").replace(folder / "tls.crt")
    (folder / f"{number}.key").replace(folder / "tls.key")


@pytest.mark.parametrize("replace", [kubernetes_secret, in_pieces, one_after_the_other])
def test_no_handshake_fails_while_files_are_replaced(
    tmp_path: Path,
    serve: Serve,
    ca: trustme.CA,
    caplog: pytest.LogCaptureFixture,
    replace: object,
) -> None:
    assert callable(replace)
    issued = [ca.issue_cert("localhost") for _ in range(3)]
    folder = tmp_path / "secret"
    if replace is kubernetes_secret:
        kubernetes_secret(folder, issued[0], 0)
        for name in ("tls.crt", "tls.key"):
            (folder / name).symlink_to(f"..data/{name}")
    else:
        write_pair(issued[0], folder / "tls.crt", folder / "tls.key")
    store = CertificateStore([CertificateFiles(folder / "tls.crt", folder / "tls.key")])
    served = serve(store, None, threads=3)
    known = {der_of(each) for each in issued}
    enough, ended = threading.Event(), threading.Event()

    def keep_replacing() -> None:
        number = 0
        while number < REPLACEMENTS or not enough.is_set():
            number += 1
            replace(folder, issued[number % 3], number)
        replace(folder, issued[1], number + 1)
        ended.set()

    replacing = threading.Thread(target=keep_replacing)
    replacing.start()
    seen = []
    while not ended.is_set():
        seen.append(served.certificate())
        if len(seen) >= HANDSHAKES:
            enough.set()
    replacing.join()

    assert set(seen) <= known
    assert served.certificate() == der_of(issued[1])
    assert served.tls_errors == {}
    if replace is kubernetes_secret:  # no reader sees half of it, but it may change all the time
        severe = [each.message for each in caplog.records if each.levelno > logging.INFO]
        assert not [
            message for message in severe if "keeps changing while it is read" not in message
        ]


def test_many_threads_choose_while_one_loads(files: Files, ca: trustme.CA) -> None:
    entered, leave = threading.Event(), threading.Event()

    def password() -> bytes:
        entered.set()
        assert leave.wait(30)
        return b"secret"

    leave.set()
    leaf = ca.issue_cert("localhost")
    files.certificate.write_bytes(chain_of(leaf))
    files.key.write_bytes(encrypted(leaf, b"secret"))
    store = CertificateStore([CertificateFiles(files.certificate, files.key, password)])
    entered.clear()
    leave.clear()
    files.key.touch()
    loading = threading.Thread(target=store.choose, args=("localhost", ""))
    loading.start()
    assert entered.wait(30)
    files.key.touch()  # this thread would load it, too
    assert der_of_chain(store.choose("localhost", "")) == der_of(leaf)  # does not wait
    leave.set()
    loading.join()


def test_loading_leaves_no_descriptor_open(files: Files, ca: trustme.CA) -> None:
    fds = Path("/proc/self/fd")
    if not fds.exists():
        pytest.skip("no /proc")
    store = CertificateStore([CertificateFiles(files.certificate, files.key)])
    files.write(ca.issue_cert("localhost"))
    before = len(list(fds.iterdir()))
    store.choose("localhost", "")
    assert len(list(fds.iterdir())) == before


def test_the_certificates_in_service_can_be_inspected(leaf: trustme.LeafCert) -> None:
    (chain,) = CertificateStore([data_of(leaf)]).chains
    certificate = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    assert chain.expires == certificate.not_valid_after_utc
    assert chain.source == "certificate given by code"
    assert "PRIVATE" not in repr(chain)
