from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from rocket_tls import ACME, LETS_ENCRYPT, ACMEError, Challenge


def test_names_become_canonical(tmp_path: Path) -> None:
    acme = ACME(
        tmp_path, ["Example.ORG", "BÜCHER.example", "192.0.2.1", "2001:DB8::1", "example.org"]
    )
    assert acme._manager.settings.names == (
        "example.org",
        "xn--bcher-kva.example",
        "192.0.2.1",
        "2001:db8::1",
    )


def test_defaults(tmp_path: Path) -> None:
    settings = ACME(tmp_path, ["example.org"])._manager.settings
    assert settings.server == LETS_ENCRYPT
    assert settings.challenge is Challenge.TLS_ALPN_01


@pytest.mark.parametrize("name", ["", "two words", "a..b", "-a", "a/b", "example.org\n", "a" * 64])
def test_an_invalid_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="use a host name or an IP address"):
        ACME(tmp_path, [name])


def test_wildcards_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name each host, or use a certificate from files"):
        ACME(tmp_path, ["*.example.org"])


def test_at_least_one_name_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give a host name"):
        ACME(tmp_path, [])
    with pytest.raises(TypeError, match="use a list"):
        ACME(tmp_path, "example.org")


@pytest.mark.parametrize("server", ["", "example.org", "http://example.org/dir", "https:///dir"])
def test_an_invalid_server(tmp_path: Path, server: str) -> None:
    with pytest.raises(ValueError, match="use the https:// URL of its directory"):
        ACME(tmp_path, ["example.org"], server=server)


@pytest.mark.parametrize("email", ["", "me", "me@", "@example.org", "a b@example.org"])
def test_an_invalid_email_address(tmp_path: Path, email: str) -> None:
    with pytest.raises(ValueError, match="use one such as"):
        ACME(tmp_path, ["example.org"], email=email)


def test_an_unknown_challenge(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'dns-01' is not one of 'http-01', 'tls-alpn-01'"):
        ACME(tmp_path, ["example.org"], challenge="dns-01")


@pytest.mark.parametrize("account", [("", "c2VjcmV0"), ("id", ""), ("id", "not base64!")])
def test_an_invalid_external_account(tmp_path: Path, account: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="the id of a key and the key, in base64url"):
        ACME(tmp_path, ["example.org"], external_account=account)


def test_the_key_of_an_external_account_is_not_shown(tmp_path: Path) -> None:
    acme = ACME(tmp_path, ["example.org"], external_account=("id", "c2VjcmV0"))
    assert "c2VjcmV0" not in repr(acme._manager.settings)


def test_without_the_extra_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ACMEError) as raised:
        ACME(tmp_path, ["example.org"])
    assert str(raised.value) == (
        "acme is not installed, which ACME needs; install it with: pip install 'rocket-tls[acme]'"
    )


def test_a_path_that_cannot_be_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ACMEError, match="name a directory that this user may write to"):
        ACME(tmp_path / "file" / "acme", ["example.org"])
