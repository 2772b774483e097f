"""The keys of cookies that the examples generate when they are started for the first time."""

from __future__ import annotations

import secrets
import sys
from importlib.util import module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING

import pytest

from systemtests.processes import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("module", "variable"),
    [
        ("chat/store.py", "CHAT_DATA"),
        ("flask/store.py", "NOTES_DATA"),
        ("django/project/settings.py", "NOTES_DATA"),
        ("prices/project/settings.py", "PRICES_DATA"),
    ],
)
def test_processes_that_start_at_once_have_the_same_key(
    module: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. One finds no key. 2. Another one does all, from the start. 3. The first one goes on."""
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.delenv("SECRET_KEY", raising=False)
    spec = spec_from_file_location("example", EXAMPLES / module)
    assert spec is not None
    assert spec.loader is not None
    example = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "example", example)
    spec.loader.exec_module(example)
    (tmp_path / "secret-key").unlink(missing_ok=True)
    generate = secrets.token_urlsafe
    keys: list[str] = []

    def generate_late(size: int) -> str:
        monkeypatch.setattr(secrets, "token_urlsafe", generate)
        keys.append(example.secret_key())
        return generate(size)

    monkeypatch.setattr(secrets, "token_urlsafe", generate_late)
    keys.append(example.secret_key())
    assert len(keys[0]) == 64
    assert keys == [keys[0]] * 2
    assert [each.name for each in tmp_path.iterdir()] == ["secret-key"]
    assert (tmp_path / "secret-key").stat().st_mode & 0o777 == 0o600
