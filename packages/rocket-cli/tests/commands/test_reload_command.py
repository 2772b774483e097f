from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from rocket_cli import main
from rocket_cli._commands import admin
from rocket_core.testing import PATIENCE, eventually


def test_command_says_that_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The application of the new processes may hang while it is imported."""
    monkeypatch.setattr(admin, "NOTICE", 0.01)
    path = tmp_path / "admin.sock"
    with socket.create_server(str(path), family=socket.AF_UNIX) as listener:
        arguments = ["reload", "--admin", str(path)]
        command = threading.Thread(
            target=main, args=(arguments,), kwargs={"standalone_mode": False}
        )
        command.start()
        with listener.accept()[0] as server:
            said = ""

            def told() -> bool:
                nonlocal said
                said += capsys.readouterr().err
                return "still waiting for the new processes" in said

            eventually(told)
            server.sendall(
                json.dumps({"answers": [{"generation": 2}], "ended": {}}).encode() + b"\n"
            )
            command.join(PATIENCE)
    assert capsys.readouterr().out == "reloaded\n"
