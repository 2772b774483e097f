"""Migrations in the process of the test: what a configuration becomes."""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from choosing import choose
from rocket_cli._migration.document import document
from rocket_cli._migration.draft import Draft
from rocket_cli._migration.options import Fate
from rocket_cli._migration.sources import migrate_command, migrate_file


@dataclass(frozen=True)
class Migrated:
    """What a configuration has become.

    Attributes:
        settings: the settings in the file, which are valid.
        lost: the subjects of what is not carried over, with the reasons.
        check: those of what is to be checked.
        needless: those of what is not needed.
        draft: all of it.
    """

    settings: dict[str, Any]
    lost: dict[str, str]
    check: dict[str, str]
    needless: dict[str, str]
    draft: Draft


def migrated(directory: Path, name: str, text: str, kind: str | None = None) -> Migrated:
    """Write a configuration to the current directory, and migrate it."""
    path = Path(name)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return _result(directory, migrate_file(path, kind), name)


def migrated_command(directory: Path, words: Sequence[str]) -> Migrated:
    """Migrate a command."""
    return _result(directory, migrate_command(words, None), "a command")


def _result(directory: Path, draft: Draft, source: str) -> Migrated:
    text = document(draft, source)
    path = directory / "migrated.toml"
    path.write_text(text, encoding="utf-8")
    choose("--config", str(path))  # fails if a setting is not valid
    groups = {
        fate: {each.subject.partition(" = ")[0]: each.text for each in draft.findings
               if each.fate is fate}
        for fate in Fate
    }  # fmt: skip
    return Migrated(
        tomllib.loads(text), groups[Fate.LOST], groups[Fate.CARRIED], groups[Fate.NEEDLESS], draft
    )
