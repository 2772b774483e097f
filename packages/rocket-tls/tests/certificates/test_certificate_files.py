"""A certificate and its key in files."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from helpers import Files, Serve, chain_of, der_of, der_of_chain, encrypted
from rocket_tls import (
    CertificateError,
    CertificateFiles,
    CertificateStore,
)
from rocket_tls._certificates import certificate_files as files_module
from rocket_tls._files import read_file


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
    assert der_of_chain(store.choose("localhost", "")) == der_of(new)


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
    assert der_of_chain(store.chains[0]) == der_of(new)
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
