from __future__ import annotations

from rocket_cli._errors import CommandError


def test_message_is_one_line() -> None:
    error = CommandError("cannot reach it: no database\nat this\r\naddress")
    assert str(error) == "cannot reach it: no database at this address"
