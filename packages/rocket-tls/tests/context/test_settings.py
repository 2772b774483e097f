"""The settings of a listener."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from helpers import Serve, exchange
from rocket_core import CloseReason
from rocket_tls import ClientCertificates, Profile, TLSSettings

V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def names(settings: TLSSettings) -> list[str]:
    ciphers = settings.make_context(None).get_ciphers()
    return [each["name"] for each in ciphers if not each["name"].startswith("TLS_")]


def test_the_intermediate_profile_is_the_default() -> None:
    # https://ssl-config.mozilla.org/guidelines/6.0.json
    assert TLSSettings() == TLSSettings(profile=Profile.INTERMEDIATE)
    assert TLSSettings().make_context(None).minimum_version is V1_2
    assert sorted(names(TLSSettings())) == [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-CHACHA20-POLY1305",
    ]
    options = TLSSettings().make_context(None).options
    assert options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert options & ssl.OP_NO_RENEGOTIATION
    assert options & ssl.OP_NO_COMPRESSION


def test_the_defaults_of_a_context() -> None:
    context = TLSSettings().make_context(None)
    assert context.minimum_version is V1_2
    assert context.maximum_version is ssl.TLSVersion.MAXIMUM_SUPPORTED
    assert ssl.OP_NO_RENEGOTIATION in context.options
    assert ssl.OP_NO_COMPRESSION in context.options
    assert ssl.OP_NO_TICKET not in context.options
    assert context.verify_mode is ssl.CERT_NONE


def test_a_profile_by_name() -> None:
    modern = TLSSettings(profile="modern")
    assert modern.profile is Profile.MODERN
    assert modern.make_context(None).minimum_version is V1_3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"profile": "old"}, "'old' is not one of 'modern', 'intermediate'"),
        ({"client_certificates": "maybe"}, "'maybe' is not one of 'off', 'optional', 'required'"),
        ({"min_version": ssl.TLSVersion.TLSv1_1}, "min_version must be"),
        ({"min_version": ssl.TLSVersion.MINIMUM_SUPPORTED}, "min_version must be"),
        ({"ciphers": "NO-SUCH-CIPHER"}, "ciphers 'NO-SUCH-CIPHER' select no cipher"),
        ({"client_certificates": "required"}, "client_certificates needs client_ca"),
        ({"protocols": []}, "protocols must have at least one name"),
        (
            {"protocols": ["h2", "h2"]},
            "protocols must have at least one name, and each of them once",
        ),
        ({"protocols": ["h2", ""]}, "protocols has '', which is not a name of ALPN"),
        ({"protocols": ["h" * 256]}, "which is not a name of ALPN"),
        ({"protocols": ["h\u00b2"]}, "which is not a name of ALPN"),
        ({"protocols": ["acme-tls/1"]}, "protocols cannot have 'acme-tls/1'"),
        ({"client_ca": Path("ca.pem")}, "client_ca and client_crl need client_certificates"),
        ({"client_crl": Path("crl.pem")}, "client_ca and client_crl need client_certificates"),
    ],
)
def test_invalid_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TLSSettings(**settings)


def test_protocols_are_a_list() -> None:
    assert TLSSettings(protocols=["h2", "http/1.1"]).protocols == ("h2", "http/1.1")
    with pytest.raises(TypeError, match=r"protocols must be a list of names, such as \['h2'\]"):
        TLSSettings(protocols="h2")


def test_client_certificates_are_off_by_default() -> None:
    assert TLSSettings().client_certificates is ClientCertificates.OFF
    assert TLSSettings().make_context(None).verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    "settings", [TLSSettings(profile="modern"), TLSSettings(min_version=V1_3)], ids=str
)
def test_tls_1_2_may_be_refused(
    serve: Serve, client_context: ssl.SSLContext, settings: TLSSettings
) -> None:
    served = serve(settings=settings)
    with served.connect() as client:
        assert client.version() == "TLSv1.3"
        assert exchange(client, "shout a") == b"A\n"  # with it come the tickets
    assert served.next_close() is CloseReason.CLIENT
    client_context.maximum_version = V1_2
    with pytest.raises(ssl.SSLError) as raised:
        served.connect(client_context)
    assert raised.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert served.next_close() is CloseReason.TLS
    assert served.tls_errors == {"unsupported protocol": 1}


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("AES256-GCM-SHA384", "AES128-GCM-SHA256"), "AES128-GCM-SHA256"),
        (("AES256-GCM-SHA384", "CHACHA20-POLY1305"), "AES256-GCM-SHA384"),
        (("CHACHA20-POLY1305", "AES128-GCM-SHA256"), "CHACHA20-POLY1305"),
    ],
)
def test_the_server_chooses_the_cipher_unless_the_client_prefers_chacha20(
    serve: Serve, offered: tuple[str, ...], chosen: str
) -> None:
    served = serve()
    served.context.maximum_version = V1_2
    served.context.set_ciphers(":".join(f"ECDHE-ECDSA-{each}" for each in offered))
    with served.connect() as client:
        cipher = client.cipher()
    assert cipher is not None
    assert cipher[0] == f"ECDHE-ECDSA-{chosen}"


def test_a_cipher_that_is_not_offered(serve: Serve, client_context: ssl.SSLContext) -> None:
    served = serve(settings=TLSSettings(ciphers="ECDHE-ECDSA-AES256-GCM-SHA384"))
    client_context.maximum_version = V1_2
    client_context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    with pytest.raises(ssl.SSLError):
        served.connect(client_context)
    assert served.next_close() is CloseReason.TLS
    assert served.tls_errors == {"no shared cipher": 1}
