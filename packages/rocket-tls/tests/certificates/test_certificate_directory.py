"""Pairs of files in a directory."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
import trustme

from helpers import chain_of, write_pair
from rocket_tls import (
    CertificateDirectory,
    CertificateError,
    CertificateStore,
)


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
