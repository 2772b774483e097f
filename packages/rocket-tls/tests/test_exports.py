from __future__ import annotations

import importlib.metadata
import inspect
import subprocess
import sys
import typing
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

import rocket_tls
from rocket_tls._context.trust import Trust

PUBLIC = {
    "ACME",
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
    "HandshakeValidator",
    "IssuedCertificate",
    "LETS_ENCRYPT",
    "LocalAuthority",
    "Pair",
    "PairContent",
    "Profile",
    "Source",
    "TLSError",
    "TLSListener",
    "TLSSettings",
    "__version__",
}


def test_the_public_names_are_exactly_these() -> None:
    assert len(rocket_tls.__all__) == len(PUBLIC)
    assert set(rocket_tls.__all__) == PUBLIC
    found = {name for name in vars(rocket_tls) if not name.startswith("_")}
    assert found | {"__version__"} == PUBLIC


def test_public_classes_and_functions_name_the_public_door() -> None:
    public = [getattr(rocket_tls, name) for name in rocket_tls.__all__]
    modules = {each.__module__ for each in public if isinstance(each, type) or callable(each)}
    assert modules == {"rocket_tls"}


def test_annotations_can_be_resolved() -> None:
    """By frameworks that inject dependencies or make documentation, for example."""
    # Importing these takes long. They are the only names that are not resolved at run time.
    lazy = {"x509": x509, "PrivateKeyTypes": PrivateKeyTypes, "Trust": Trust}
    for value in (getattr(rocket_tls, name) for name in rocket_tls.__all__):
        for each in annotated(value):
            typing.get_type_hints(each, localns=lazy)


def annotated(value: object) -> list[Any]:
    """Return a function, or a class with its public methods and its constructor."""
    if not isinstance(value, type):
        return [value] if inspect.isfunction(value) else []
    methods = inspect.getmembers(value, inspect.isfunction)
    return [value, *(each for name, each in methods if name == "__init__" or name[0] != "_")]


def test_version_is_that_of_the_distribution() -> None:
    assert rocket_tls.__version__ == importlib.metadata.version("rocket-tls")


def test_slow_libraries_are_imported_when_they_are_used() -> None:
    program = (
        "import sys, rocket_tls; rocket_tls.TLSSettings(client_certificates='off');"
        "print(*sorted({each.partition('.')[0] for each in sys.modules}"
        " & {'acme', 'cryptography', 'requests'}))"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"
