"""The choice of a certificate for a client, and the places that certificates come from."""

from __future__ import annotations

import logging
import shutil
import ssl
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from helpers import Files, Serve, chain_of, der_of
from rocket_tls import (
    CertificateChain,
    CertificateData,
    CertificateDirectory,
    CertificateError,
    CertificateFiles,
    CertificateStore,
    TLSListener,
)
from rocket_tls._certificates import certificate_files as files_module
from rocket_tls._certificates import store as store_module
from rocket_tls._context.contexts import _NAME
from rocket_tls._files import read_file

REPLACEMENTS = 300
HANDSHAKES = 100


def data(leaf: trustme.LeafCert) -> CertificateData:
    return CertificateData(chain_of(leaf), leaf.private_key_pem.bytes())


def der(chain: CertificateChain) -> bytes:
    return chain.certificates[0].public_bytes(Encoding.DER)


def encrypted(leaf: trustme.LeafCert, password: bytes) -> bytes:
    key = load_pem_private_key(leaf.private_key_pem.bytes(), password=None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))


def write_pair(leaf: trustme.LeafCert, certificate: Path, key: Path) -> None:
    certificate.parent.mkdir(parents=True, exist_ok=True)
    certificate.write_bytes(chain_of(leaf))
    key.write_bytes(leaf.private_key_pem.bytes())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store look at all sources for each client."""
    monkeypatch.setattr(store_module, "_PAUSE", 0.0)


# -- choosing ----------------------------------------------------------------------------------


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
    store = CertificateStore(map(data, leaves.values()))
    assert der(store.choose(name, address)) == der_of(leaves[expected])


def test_of_two_certificates_for_a_name_the_first_is_served(ca: trustme.CA) -> None:
    first, second = ca.issue_cert("twice.test"), ca.issue_cert("twice.test", "second.test")
    store = CertificateStore([data(first), data(second)])
    assert der(store.choose("twice.test", "")) == der_of(first)
    assert der(store.choose("second.test", "")) == der_of(second)


@pytest.mark.parametrize("name", ["a.example.com", "c.example.com", "default.test"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_gets_the_certificate_of_the_name_it_asks_for(
    serve: Serve,
    leaves: dict[str, trustme.LeafCert],
    client_context: ssl.SSLContext,
    name: str,
    version: ssl.TLSVersion,
) -> None:
    served = serve(CertificateStore(map(data, leaves.values())), None)
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
    served = serve(CertificateStore([data(leaves["default"]), data(local)]), None)
    sock = served.connect_plain()
    with client_context.wrap_socket(sock, server_hostname="127.0.0.1") as client:
        assert client.getpeercert(binary_form=True) == der_of(local)


def test_the_address_that_a_proxy_announces_selects_the_certificate(
    serve: Serve, leaves: dict[str, trustme.LeafCert], client_context: ssl.SSLContext
) -> None:
    store = CertificateStore([data(leaves["default"]), data(leaves["addresses"])])
    served = serve(store, None, proxy_protocol=["127.0.0.1"])
    sock = served.connect_plain()
    sock.sendall(b"PROXY TCP4 198.51.100.1 192.0.2.7 1000 443\r\n")
    with client_context.wrap_socket(sock, server_hostname="192.0.2.7") as client:
        assert client.getpeercert(binary_form=True) == der_of(leaves["addresses"])


@pytest.mark.parametrize("name", ["bad name", "line\nbreak", "nul\0", "semi;colon"])
def test_invalid_server_names(name: str) -> None:
    assert not _NAME.fullmatch(name)


# -- sources -----------------------------------------------------------------------------------


def test_objects_of_cryptography(leaf: trustme.LeafCert) -> None:
    certificates = x509.load_pem_x509_certificates(chain_of(leaf))
    key = load_pem_private_key(leaf.private_key_pem.bytes(), password=None)
    store = CertificateStore([CertificateData(certificates, key)])
    assert store.chains[0].names == {"localhost"}
    assert store.chains[0].certificates == tuple(certificates)


def test_there_must_be_a_source() -> None:
    with pytest.raises(ValueError, match="needs at least one source"):
        CertificateStore([])


@pytest.mark.parametrize("how", ["bytes", "callback"])
def test_an_encrypted_key(files: Files, leaf: trustme.LeafCert, serve: Serve, how: str) -> None:
    files.key.write_bytes(encrypted(leaf, b"open sesame"))
    password = b"open sesame" if how == "bytes" else lambda: b"open sesame"
    store = CertificateStore([CertificateFiles(files.certificate, files.key, password)])
    assert serve(store, None).certificate() == der_of(leaf)
    assert "sesame" not in repr(CertificateFiles(files.certificate, files.key, password))


def test_the_wrong_password(files: Files, leaf: trustme.LeafCert) -> None:
    files.key.write_bytes(encrypted(leaf, b"open sesame"))
    with pytest.raises(CertificateError) as raised:
        CertificateStore([CertificateFiles(files.certificate, files.key, b"open barley")])
    assert str(raised.value) == (
        f"key file {files.key}: the private key cannot be decrypted; give the right password"
    )


def test_a_password_callback_that_fails(files: Files, leaf: trustme.LeafCert) -> None:
    def locked() -> bytes:
        raise LookupError("the vault is closed")

    files.key.write_bytes(encrypted(leaf, b"open sesame"))
    with pytest.raises(CertificateError, match="the vault is closed"):
        CertificateStore([CertificateFiles(files.certificate, files.key, locked)])


def test_a_password_callback_is_called_for_each_new_key(
    files: Files, leaf: trustme.LeafCert, ca: trustme.CA
) -> None:
    password = b"one"
    files.key.write_bytes(encrypted(leaf, password))
    store = CertificateStore([CertificateFiles(files.certificate, files.key, lambda: password)])
    new, password = ca.issue_cert("localhost"), b"two"
    files.key.write_bytes(encrypted(new, password))
    files.certificate.write_bytes(chain_of(new))
    assert der(store.choose("localhost", "")) == der_of(new)


def names(store: CertificateStore) -> list[str]:
    return [name for chain in store.chains for name in chain.names]


def test_pairs_in_a_directory(tmp_path: Path, ca: trustme.CA) -> None:
    write_pair(ca.issue_cert("a.test"), tmp_path / "a.crt", tmp_path / "a.key")
    write_pair(ca.issue_cert("b.test"), tmp_path / "b.pem", tmp_path / "b-key.pem")
    ca.issue_cert("c.test").private_key_and_cert_chain_pem.write_to_path(tmp_path / "c.pem")
    certbot, kubernetes = tmp_path / "d", tmp_path / "e"
    write_pair(ca.issue_cert("d.test"), certbot / "fullchain.pem", certbot / "privkey.pem")
    write_pair(ca.issue_cert("e.test"), kubernetes / "tls.crt", kubernetes / "tls.key")
    shutil.copytree(kubernetes, tmp_path / "..hidden")
    (tmp_path / "README").write_text("not a certificate")
    store = CertificateStore([CertificateDirectory(tmp_path)])
    assert names(store) == ["a.test", "b.test", "c.test", "d.test", "e.test"]


@pytest.mark.usefixtures("impatient")
def test_pairs_that_appear_and_disappear(
    tmp_path: Path, ca: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    write_pair(ca.issue_cert("a.test"), tmp_path / "a.crt", tmp_path / "a.key")
    store = CertificateStore([CertificateDirectory(tmp_path)])
    write_pair(ca.issue_cert("b.test"), tmp_path / "b.crt", tmp_path / "b.key")
    assert store.choose("b.test", "").names == {"b.test"}

    (tmp_path / "a.crt").unlink()
    assert store.choose("a.test", "").names == {"b.test"}
    assert names(store) == ["b.test"]
    assert not caplog.records

    (tmp_path / "b.crt").unlink()
    for _ in range(3):
        assert store.choose("b.test", "").names == {"b.test"}
    assert caplog.messages == [
        (
            f"certificate directory {tmp_path} holds no certificate; store one there, as NAME.crt "
            "with its key NAME.key (the previous certificates stay in service)"
        ),
        (
            f"certificate file {tmp_path / 'b.crt'} cannot be read (No such file or directory); "
            "name a PEM file that this user may read (the previous certificate stays in service)"
        ),
    ]


@pytest.mark.usefixtures("impatient")
def test_an_incomplete_pair_is_left_out(
    tmp_path: Path, ca: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rocket_tls")
    write_pair(ca.issue_cert("a.test"), tmp_path / "a.crt", tmp_path / "a.key")
    store = CertificateStore([CertificateDirectory(tmp_path)])
    late = ca.issue_cert("b.test")
    (tmp_path / "b.crt").write_bytes(chain_of(late))
    for _ in range(3):
        assert store.choose("b.test", "").names == {"a.test"}
    (tmp_path / "b.key").write_bytes(late.private_key_pem.bytes())
    assert store.choose("b.test", "").names == {"b.test"}
    assert caplog.messages == [
        (
            f"key file {tmp_path / 'b.key'} cannot be read (No such file or directory); "
            "name a PEM file that this user may read (this certificate is not in service)"
        ),
        f"certificate file {tmp_path / 'b.crt'} is in service",
    ]


def test_a_directory_of_certbot_with_one_certificate(tmp_path: Path, ca: trustme.CA) -> None:
    leaf = ca.issue_cert("a.test")
    write_pair(leaf, tmp_path / "fullchain.pem", tmp_path / "privkey.pem")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    ca.cert_pem.write_to_path(tmp_path / "chain.pem")
    assert names(CertificateStore([CertificateDirectory(tmp_path)])) == ["a.test"]


def test_an_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="holds no certificate"):
        CertificateStore([CertificateDirectory(tmp_path)])


def test_a_directory_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"cannot be read \(No such file"):
        CertificateStore([CertificateDirectory(tmp_path / "nowhere")])


# -- reloading ---------------------------------------------------------------------------------


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
    assert names(store) == ["a.test", "new.test", "c.test"]
    assert der(store.choose("new.test", "")) == der_of(new)


def test_a_new_name_in_another_file_is_found(
    files: Files, tmp_path: Path, ca: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_PAUSE", 0.0)
    second = CertificateFiles(tmp_path / "2.pem", tmp_path / "2-key.pem")
    write_pair(ca.issue_cert("old.test"), second.certificate, second.key_file)
    store = CertificateStore([CertificateFiles(files.certificate, files.key), second])
    write_pair(new := ca.issue_cert("new.test"), second.certificate, second.key_file)
    assert der(store.choose("new.test", "")) == der_of(new)
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


def test_a_pair_replaced_between_two_reads_is_read_again(
    files: Files, ca: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = ca.issue_cert("localhost")
    read: list[Path] = []

    def replacing_read_file(kind: str, path: Path) -> bytes:
        content = read_file(kind, path)
        if not read:
            files.write(new)
        read.append(path)
        return content

    monkeypatch.setattr(files_module, "read_file", replacing_read_file)
    store = CertificateStore([CertificateFiles(files.certificate, files.key)])
    assert der(store.chains[0]) == der_of(new)
    assert len(read) == 4


def test_a_pair_that_keeps_changing_is_tried_again_later(
    files: Files, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pair = CertificateFiles(files.certificate, files.key)
    store = CertificateStore([pair])
    (old,) = store.chains

    def replacing_read_file(kind: str, path: Path) -> bytes:
        content = read_file(kind, path)
        with path.open("ab") as file:
            file.write(b"\n")
        return content

    files.key.touch()
    with monkeypatch.context() as patch:
        patch.setattr(files_module, "read_file", replacing_read_file)
        assert store.choose("localhost", "") is old
    assert "keeps changing while it is read" in caplog.text
    assert store.choose("localhost", "") is not old


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_across_replacements(
    serve: Serve,
    files: Files,
    ca: trustme.CA,
    client_context: ssl.SSLContext,
    version: ssl.TLSVersion,
) -> None:
    client_context.minimum_version = client_context.maximum_version = version
    served = serve()
    with served.connect() as first:
        first.sendall(b"shout a\n")
        assert first.recv(100) == b"A\n"  # and the tickets, in TLS 1.3
        session = first.session
    files.write(new := ca.issue_cert("localhost"))
    assert served.certificate() == der_of(new)
    sock = served.connect_plain()
    with client_context.wrap_socket(sock, server_hostname="localhost", session=session) as second:
        second.sendall(b"shout b\n")
        assert second.recv(100) == b"B\n"
        assert second.session_reused


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
    assert der(store.choose("localhost", "")) == der_of(leaf)  # does not wait
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


def chains_of(sources: Iterable[CertificateData]) -> tuple[CertificateChain, ...]:
    return CertificateStore(sources).chains


def test_a_store_and_a_key_exclude_each_other(files: Files, leaf: trustme.LeafCert) -> None:
    with pytest.raises(ValueError, match="leave out key"):
        TLSListener("127.0.0.1:0", CertificateStore([data(leaf)]), files.key)


def test_the_certificates_in_service_can_be_inspected(leaf: trustme.LeafCert) -> None:
    (chain,) = chains_of([data(leaf)])
    certificate = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    assert chain.expires == certificate.not_valid_after_utc
    assert chain.source == "certificate given by code"
    assert "PRIVATE" not in repr(chain)
