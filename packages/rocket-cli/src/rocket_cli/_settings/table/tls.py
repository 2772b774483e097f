"""TLS: certificates, protocol versions, client certificates, ACME, and the move to HTTPS."""

from __future__ import annotations

from typing import Final

from rocket_cli._settings.kinds import FILE, Choice, Text, Whole
from rocket_cli._settings.setting import Part, Setting, setting
from rocket_cli._settings.values import hsts, plain_tls_version, tls_version

_CERTIFICATE: Final = ("tls-cert", "tls-dir", "acme")
"""The settings that provide a certificate. All other TLS settings need one of them."""

TLS: Final[tuple[Setting, ...]] = (
    setting(
        "tls-cert",
        FILE,
        "Load the certificate and its chain from this PEM file.",
        gunicorn="certfile",
    ),
    setting(
        "tls-key",
        FILE,
        "Load the private key from this PEM file.",
        default_words="the file of --tls-cert",
        gunicorn="keyfile",
        needs="tls-cert",
    ),
    setting(
        "tls-key-password-file",
        FILE,
        "Read the password of encrypted private keys from the first line of this file, each time "
        "they are loaded.",
        default_words="keys are not encrypted",
        needs=("tls-cert", "tls-dir"),
    ),
    setting(
        "tls-dir",
        FILE,
        "Load certificates and their keys from this directory: NAME.crt and NAME.key, NAME.pem "
        "with the key in it, or directories in the layout of certbot or Kubernetes. Each client "
        "gets the certificate for the host name that it asks for.",
        many=True,
        metavar="DIR",
    ),
    setting(
        "tls-profile",
        Choice(["modern", "intermediate"]),
        "Choose TLS versions and ciphers by this recommendation of Mozilla.",
        part=Part.TLS_SETTINGS,
        keyword="profile",
        default="intermediate",
        needs=_CERTIFICATE,
    ),
    setting(
        "tls-min-version",
        Text(tls_version, plain=plain_tls_version),
        "Refuse TLS versions older than this.",
        part=Part.TLS_SETTINGS,
        keyword="min_version",
        default_words="that of the profile",
        metavar="1.2|1.3",
        gunicorn="ssl_version",
        needs=_CERTIFICATE,
    ),
    setting(
        "tls-ciphers",
        Text(str),
        "Use these ciphers for TLS 1.2, in OpenSSL's notation.",
        part=Part.TLS_SETTINGS,
        keyword="ciphers",
        default_words="those of the profile",
        metavar="CIPHERS",
        gunicorn="ciphers",
        needs=_CERTIFICATE,
    ),
    setting(
        "tls-client-certificates",
        Choice(["off", "optional", "required"]),
        "Ask clients for a certificate, and accept only valid ones: off, optional or required.",
        part=Part.TLS_SETTINGS,
        keyword="client_certificates",
        default="off",
        gunicorn="cert_reqs",
        needs=_CERTIFICATE,
    ),
    setting(
        "tls-client-ca",
        FILE,
        "Trust client certificates issued by the certificate authorities (CAs) in this PEM file.",
        part=Part.TLS_SETTINGS,
        keyword="client_ca",
        gunicorn="ca_certs",
        needs="tls-client-certificates",
    ),
    setting(
        "tls-client-crl",
        FILE,
        "Refuse client certificates that the revocation lists (CRLs) in this PEM file contain.",
        part=Part.TLS_SETTINGS,
        keyword="client_crl",
        needs="tls-client-ca",
    ),
    setting(
        "acme",
        Text(str),
        "Obtain a certificate for this host name or IP address from Let's Encrypt, or the CA of "
        "--acme-server, and renew it. By using this you accept the terms of service of the "
        "certificate authority.",
        many=True,
        metavar="NAME",
    ),
    setting(
        "acme-email",
        Text(str),
        "Let the CA send messages about the certificate to this e-mail address.",
        part=Part.ACME,
        keyword="email",
        metavar="ADDRESS",
        needs="acme",
    ),
    setting(
        "acme-challenge",
        Choice(["tls-alpn-01", "http-01"]),
        "Let the CA validate the names by a TLS handshake on port 443 (tls-alpn-01) or by HTTP on "
        "port 80 (http-01).",
        part=Part.ACME,
        keyword="challenge",
        default="tls-alpn-01",
        needs="acme",
    ),
    setting(
        "acme-dir",
        FILE,
        "Store the ACME account and the certificate in this directory.",
        default_words="rocket/acme/NAME in $XDG_DATA_HOME or, if that is not set, in "
        "~/.local/share",
        metavar="DIR",
        needs="acme",
    ),
    setting(
        "acme-server",
        Text(str),
        "Use the CA with this ACME directory URL.",
        part=Part.ACME,
        keyword="server",
        default="https://acme-v02.api.letsencrypt.org/directory",
        default_words="Let's Encrypt",
        metavar="URL",
        needs="acme",
    ),
    setting(
        "acme-server-ca",
        FILE,
        "Trust the CAs in this PEM file for the connection to --acme-server.",
        part=Part.ACME,
        keyword="server_ca",
        default_words="the CAs that browsers trust",
        needs="acme",
    ),
    setting(
        "acme-eab-key-id",
        Text(str),
        "Bind the ACME account to an existing account at the CA by this key ID (external account "
        "binding).",
        metavar="ID",
        needs="acme-eab-key",
    ),
    setting(
        "acme-eab-key",
        FILE,
        "Read the key for --acme-eab-key-id, in base64url, from this file.",
        needs="acme-eab-key-id",
    ),
    setting(
        "https-redirect",
        Whole(1, 65535),
        "Redirect plain HTTP requests to HTTPS at this port, as clients reach it.",
        part=Part.SITE,
        default_words="serve plain HTTP",
        metavar="PORT",
    ),
    setting(
        "hsts",
        Text(hsts),
        "Send Strict-Transport-Security with this value in responses over HTTPS, e.g. "
        "max-age=31536000.",
        part=Part.SITE,
        default_words="not sent",
        metavar="VALUE",
    ),
)
