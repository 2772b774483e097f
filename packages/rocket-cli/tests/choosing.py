"""The settings that the command reads from its arguments, without running it."""

from __future__ import annotations

from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.options import SettingsCommand


def choose(*arguments: str) -> Chosen:
    found: list[Chosen] = []

    def remember(chosen: Chosen) -> None:
        found.append(chosen)

    command = SettingsCommand("serve", callback=remember)
    command.main(list(arguments), standalone_mode=False)
    return found[0]
