"""The certificates that the settings name: files, directories of files, and ACME."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rocket_cli._errors import CommandError
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.data_directory import data_directory
from rocket_cli._settings.setting import Part

if TYPE_CHECKING:
    from rocket_tls import ACME, CertificateStore


def has_certificate(chosen: Chosen) -> bool:
    """Return whether there is, or will be, a certificate for HTTPS."""
    return bool(chosen["tls-cert"] or chosen["tls-dir"] or chosen["acme"])


def make_acme(chosen: Chosen) -> ACME | None:
    """Return the ACME client if the settings ask for one, not started. Raises `CommandError`."""
    if not chosen["acme"]:
        return None
    from rocket_tls import ACME, ACMEError

    _check_addresses(chosen)
    try:
        return ACME(
            chosen["acme-dir"] or data_directory() / "acme" / chosen["acme"][0],
            chosen["acme"],
            external_account=_external_account(chosen),
            **chosen.arguments(Part.ACME),
        )
    except (ACMEError, ValueError) as error:
        raise CommandError(f"{chosen.origin('acme')}: {error}") from error


def make_store(chosen: Chosen, acme: ACME | None) -> CertificateStore:
    """Load the certificates from all sources. Raises `CommandError`."""
    from rocket_tls import (
        CertificateDirectory,
        CertificateError,
        CertificateFiles,
        CertificateStore,
    )

    sources: list[CertificateFiles | CertificateDirectory | ACME] = []
    password = _key_password(chosen)
    if chosen["tls-cert"]:
        sources.append(CertificateFiles(chosen["tls-cert"], chosen["tls-key"], password))
    sources += [CertificateDirectory(each, password) for each in chosen["tls-dir"]]
    if acme is not None:
        sources.append(acme)
    try:
        return CertificateStore(sources)
    except CertificateError as error:
        name = "tls-cert" if chosen["tls-cert"] else "tls-dir" if chosen["tls-dir"] else "acme"
        raise CommandError(f"{chosen.origin(name)}: {error}") from error


def answers_over_http(chosen: Chosen) -> bool:
    """Return whether the certificate authority validates over plain HTTP (http-01)."""
    return bool(chosen["acme"]) and chosen["acme-challenge"] == "http-01"


def _check_addresses(chosen: Chosen) -> None:
    secure = [each.secure(certificate=True) for each in chosen["bind"]]
    if not any(secure):
        raise CommandError(
            f"{chosen.origin('acme')} obtains a certificate, but no address uses HTTPS: "
            "add one, such as --bind https://:443"
        )
    if answers_over_http(chosen) and all(secure):
        raise CommandError(
            f"{chosen.origin('acme-challenge')}: http-01 needs plain HTTP: add "
            "--bind http://:80, or use tls-alpn-01"
        )


def _key_password(chosen: Chosen) -> Callable[[], bytes] | None:
    """Return a function that reads the password of encrypted keys; None if there is none."""
    path: Path | None = chosen["tls-key-password-file"]
    if path is None:
        return None

    def read() -> bytes:
        try:
            return path.read_bytes().split(b"\n", 1)[0].removesuffix(b"\r")
        except OSError as error:
            raise CommandError(
                f"{chosen.origin('tls-key-password-file')}: {path} cannot be read "
                f"({error.strerror}): name a file whose first line is the password"
            ) from error

    return read


def _external_account(chosen: Chosen) -> tuple[str, str] | None:
    path: Path | None = chosen["acme-eab-key"]
    if path is None:
        return None
    try:
        return chosen["acme-eab-key-id"], path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not base64"
        raise CommandError(
            f"{chosen.origin('acme-eab-key')}: {path} cannot be read ({reason}): name the file "
            "with the key that the certificate authority provided"
        ) from error
