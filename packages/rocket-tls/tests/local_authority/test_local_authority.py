from __future__ import annotations

import ssl
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from helpers import Serve, exchange, load_context
from rocket_tls import CertificateError, IssuedCertificate, LocalAuthority
from rocket_tls._local_authority import issuing

NAMES = ["localhost", "127.0.0.1", "::1", "*.example.test"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "of" / "mine"


@pytest.fixture
def authority(directory: Path) -> LocalAuthority:
    return LocalAuthority(directory)


def content(issued: IssuedCertificate) -> tuple[bytes, bytes]:
    return issued.certificate.read_bytes(), issued.key.read_bytes()


def days_later(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    moment = datetime.now(UTC) + timedelta(days=days)
    monkeypatch.setattr(issuing, "_now", lambda: moment)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "www.example.test"])
def test_a_client_that_trusts_the_root_is_served(
    serve: Serve, authority: LocalAuthority, name: str
) -> None:
    issued = authority.issue(NAMES)
    served = serve(issued.certificate, issued.key)
    context = ssl.create_default_context(cafile=authority.certificate)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    sock = served.connect_plain()
    with context.wrap_socket(sock, server_hostname=name) as client:
        assert exchange(client, "shout hello") == b"HELLO\n"


def test_a_name_that_was_not_requested_is_not_covered(
    serve: Serve, authority: LocalAuthority
) -> None:
    issued = authority.issue(NAMES)
    served = serve(issued.certificate, issued.key)
    context = ssl.create_default_context(cafile=authority.certificate)
    with pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(served.connect_plain(), server_hostname="example.org")


def test_only_the_owner_can_read_the_keys(authority: LocalAuthority, directory: Path) -> None:
    authority.issue(NAMES)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    keys = list(directory.glob("*-key.pem"))
    assert len(keys) == 2
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    for certificate in set(directory.glob("*.pem")) - set(keys):
        assert b"PRIVATE" not in certificate.read_bytes()


def test_no_temporary_file_is_left_behind(authority: LocalAuthority, directory: Path) -> None:
    issued = authority.issue(NAMES)
    assert set(directory.iterdir()) == {
        authority.certificate,
        directory / "root-key.pem",
        issued.certificate,
        issued.key,
    }


def test_existing_files_are_reused(authority: LocalAuthority, directory: Path) -> None:
    root = authority.certificate.read_bytes()
    issued = authority.issue(NAMES)
    before = content(issued)

    again = LocalAuthority(directory)
    assert again.issue(list(reversed(NAMES))) is not None
    assert content(again.issue(NAMES)) == before
    assert again.certificate.read_bytes() == root


def test_other_names_have_files_of_their_own(authority: LocalAuthority) -> None:
    first = authority.issue(["localhost"])
    before = content(first)
    second = authority.issue(["localhost", "127.0.0.1"])
    assert {first.certificate, first.key}.isdisjoint({second.certificate, second.key})
    assert content(first) == before


def test_a_certificate_is_renewed_near_its_expiry(
    authority: LocalAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = authority.certificate.read_bytes()
    before = content(authority.issue(NAMES))
    days_later(monkeypatch, 366)
    assert content(authority.issue(NAMES)) == before
    days_later(monkeypatch, 368)
    assert content(authority.issue(NAMES)) != before
    assert authority.certificate.read_bytes() == root


def test_the_root_is_renewed_near_its_expiry_and_its_certificates_with_it(
    authority: LocalAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    days_later(monkeypatch, 3619)
    issued = authority.issue(NAMES)
    root = authority.certificate.read_bytes()
    before = content(issued)
    leaf = x509.load_pem_x509_certificate(before[0])
    assert leaf.not_valid_after_utc == x509.load_pem_x509_certificate(root).not_valid_after_utc

    days_later(monkeypatch, 3621)
    after = content(authority.issue(NAMES))
    assert authority.certificate.read_bytes() != root
    assert after != before
    new_root = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    x509.load_pem_x509_certificate(after[0]).verify_directly_issued_by(new_root)


@pytest.mark.parametrize("damage", ["missing", "empty", "another's"])
def test_damaged_files_are_replaced(authority: LocalAuthority, damage: str) -> None:
    issued = authority.issue(NAMES)
    match damage:
        case "missing":
            issued.key.unlink()
        case "empty":
            issued.certificate.write_bytes(b"")
        case "another's":
            issued.key.write_bytes(authority.issue(["example.test"]).key.read_bytes())
    assert authority.issue(NAMES) == issued
    load_context(issued.certificate, issued.key)


def test_a_lost_root_key_means_a_new_root(directory: Path, authority: LocalAuthority) -> None:
    root = authority.certificate.read_bytes()
    (directory / "root-key.pem").unlink()
    authority.issue(NAMES)
    assert authority.certificate.read_bytes() != root


def test_names_are_written_in_ascii(authority: LocalAuthority) -> None:
    issued = authority.issue(["BÜCHER.example.test"])
    certificate = x509.load_pem_x509_certificate(issued.certificate.read_bytes())
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert extension.value.get_values_for_type(x509.DNSName) == ["xn--bcher-kva.example.test"]


@pytest.mark.parametrize("name", ["", "two words", "../up", "a..b", "-a", "*", "localhost\n"])
def test_an_invalid_name_is_refused(authority: LocalAuthority, name: str) -> None:
    with pytest.raises(CertificateError) as raised:
        authority.issue(["localhost", name])
    assert str(raised.value) == (
        f"cannot issue a certificate for {name!r}; give a host name or an IP address"
    )


def test_issuing_without_a_name_is_refused(authority: LocalAuthority) -> None:
    with pytest.raises(CertificateError, match="give a host name or an IP address"):
        authority.issue([])


def test_a_path_that_cannot_be_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CertificateError) as raised:
        LocalAuthority(tmp_path / "file")
    assert str(raised.value) == (
        f"cannot keep certificates in {tmp_path / 'file'} (File exists); "
        "name a directory that this user may write to"
    )


def test_processes_that_start_together_share_one_authority(directory: Path) -> None:
    barrier = threading.Barrier(8)

    def issue() -> tuple[bytes, bytes, bytes]:
        barrier.wait(30)
        authority = LocalAuthority(directory)
        return authority.certificate.read_bytes(), *content(authority.issue(NAMES))

    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(issue) for _ in range(8)]
    assert len({result.result() for result in results}) == 1
