"""The names that a certificate can be for."""

from __future__ import annotations

import pytest

from rocket_tls._names import canonical_name


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("Example.ORG", "example.org"),
        ("*.Example.org", "*.example.org"),
        ("my_service", "my_service"),
        ("B\u00dcCHER.Example", "xn--bcher-kva.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("a" * 63, "a" * 63),
    ],
)
def test_a_name_becomes_canonical(name: str, canonical: str) -> None:
    assert canonical_name(name) == canonical


@pytest.mark.parametrize(
    "name",
    [
        "",
        "*",
        "a.*",
        "two words",
        "a..b",
        ".a",
        "a.",
        "-a",
        "a-",
        "a/b",
        "a\n",
        "a" * 64,
        "a." * 127,
        "\u00fc" * 64,
        "\ud800",
    ],
)
def test_other_strings_are_not_names(name: str) -> None:
    assert canonical_name(name) is None
