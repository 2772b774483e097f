from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import rocket_tls


def test_public_names() -> None:
    assert rocket_tls.__all__ == [
        "ACME",
        "LETS_ENCRYPT",
        "ACMEError",
        "ACMEStatus",
        "CertificateChain",
        "CertificateData",
        "CertificateDirectory",
        "CertificateError",
        "CertificateFiles",
        "CertificateStore",
        "Challenge",
        "ClientCertificates",
        "IssuedCertificate",
        "LocalAuthority",
        "Profile",
        "TLSConnection",
        "TLSError",
        "TLSListener",
        "TLSSettings",
        "__version__",
        "load_context",
    ]


def test_version_is_that_of_the_distribution() -> None:
    assert rocket_tls.__version__ == importlib.metadata.version("rocket-tls")


def test_what_is_slow_to_import_waits_until_it_is_used() -> None:
    program = (
        "import sys, rocket_tls; rocket_tls.TLSSettings(client_certificates='off');"
        "print(*sorted({each.partition('.')[0] for each in sys.modules}"
        " & {'acme', 'cryptography', 'requests'}))"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"
