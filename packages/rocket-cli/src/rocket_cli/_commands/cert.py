"""The command ``cert``."""

from __future__ import annotations

import ipaddress
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rocket_cli._errors import CommandError
from rocket_cli._settings.data_directory import data_directory

if TYPE_CHECKING:
    from rocket_tls import IssuedCertificate, LocalAuthority

_THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Store the certificate authority (CA) and its certificates in this directory. Default: "
    "rocket in $XDG_DATA_HOME or, if that is not set, in ~/.local/share.",
)
def cert(*, names: tuple[str, ...], directory: Path | None) -> None:
    """Make a certificate for development, and print how to use it.

    The certificate is for the NAMEs, which are host names and IP addresses. Default: localhost,
    127.0.0.1 and ::1. A local certificate authority (CA) issues it, which is created at the first
    call. Clients that trust the root certificate of this CA trust all certificates made here.

    Certificates are valid for 397 days, and the root for ten years. An existing one is used again,
    and replaced within 30 days of its expiry.
    """
    from rocket_tls import CertificateError, CertificateFiles, CertificateStore, LocalAuthority

    try:
        authority = LocalAuthority((directory or data_directory()).absolute())
        issued = authority.issue(names or _THIS_MACHINE)
        store = CertificateStore([CertificateFiles(issued.certificate, issued.key)])
    except CertificateError as error:
        raise CommandError(str(error)) from error
    for line in _report(authority, issued, names or _THIS_MACHINE, f"{store.chains[0].expires:%F}"):
        click.echo(line)


def _report(
    authority: LocalAuthority, issued: IssuedCertificate, names: tuple[str, ...], expires: str
) -> Iterator[str]:
    root, certificate, key = (
        shlex.quote(str(path)) for path in (authority.certificate, issued.certificate, issued.key)
    )
    host = next((name for name in names if "*" not in name), names[0].replace("*", "www"))
    url = f"https://{f'[{host}]' if _is_ipv6(host) else host}:8443"
    yield f"Certificate for {', '.join(names)}, until {expires}:"
    yield f"  {certificate}"
    yield "Keep its key secret, and the key of the root in the same directory:"
    yield f"  {key}"
    yield ""
    yield "Serve with it (a running server loads a newer one by itself):"
    yield "  rocket-cli serve --bind https://127.0.0.1:8443 \\"
    yield f"    --tls-cert {certificate} --tls-key {key}"
    yield ""
    yield "Let clients trust the root:"
    width = max(map(len, _TRUST[sys.platform == "darwin"]))
    for client, command in _TRUST[sys.platform == "darwin"].items():
        yield f"  {client:{width}}  {command.format(root=root, url=url)}"


_TRUST_ANYWHERE: Final = {
    "curl": "curl --cacert {root} {url}/",
    "httpx, OpenSSL": "export SSL_CERT_FILE={root}",
    "requests": "export REQUESTS_CA_BUNDLE={root}",
    "Firefox": "Settings, Certificates, View Certificates, Authorities, Import: {root}",
}
_TRUST: Final = {
    False: {
        **_TRUST_ANYWHERE,
        "Chrome": "certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n Rocket -i {root}",
        "Debian": "sudo install -m 644 {root} /usr/local/share/ca-certificates/rocket.crt && "
        "sudo update-ca-certificates",
        "Fedora": "sudo trust anchor {root}",
    },
    True: {
        **_TRUST_ANYWHERE,
        "macOS": "sudo security add-trusted-cert -d -k /Library/Keychains/System.keychain {root}",
    },
}


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
