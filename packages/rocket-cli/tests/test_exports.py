from __future__ import annotations

import importlib.metadata

import rocket_cli


def test_public_names() -> None:
    assert rocket_cli.__all__ == ["__version__", "main"]


def test_version_is_that_of_the_distribution() -> None:
    assert rocket_cli.__version__ == importlib.metadata.version("rocket-cli")
