"""The hook for errors that cannot be raised."""

from __future__ import annotations

import gc
import sys

import pytest

from helpers import Serve


def test_other_errors_go_to_the_previous_hook(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    serve()
    serve()  # installs no second hook

    class Broken:
        def __del__(self) -> None:
            raise UnicodeDecodeError("ascii", b"x", 0, 1, "of another kind")

    Broken()
    gc.collect()
    assert len(seen) == 1
