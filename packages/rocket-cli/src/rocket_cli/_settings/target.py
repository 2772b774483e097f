"""The name of an application or function: ``MODULE:NAME``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rocket_cli._errors import CommandError


@dataclass(frozen=True, slots=True)
class Target:
    """The name of an application or function.

    Attributes:
        module: the dotted name of its module.
        attribute: its dotted name in the module; empty for the usual names.
        factory: whether it is a function that returns the application.
    """

    module: str
    attribute: str = ""
    factory: bool = False

    def __str__(self) -> str:
        if not self.attribute:
            return self.module
        return f"{self.module}:{self.attribute}{'()' if self.factory else ''}"


def parse_target(text: str) -> Target:
    """Read ``MODULE``, ``MODULE:ATTRIBUTE`` or ``MODULE:FACTORY()``; both names may have dots.

    Raises `CommandError`.
    """
    module, colon, attribute = text.partition(":")
    if module.endswith(".py") or "/" in module:
        raise CommandError(_mistaken_path(module, attribute))
    factory = attribute.endswith("()")
    name = attribute.removesuffix("()")
    if "(" in name:
        raise CommandError(
            f"cannot serve {text!r}: a factory is called without arguments; "
            f"write {module}:{name.partition('(')[0]}()"
        )
    if not _is_dotted_name(module) or (colon and not _is_dotted_name(name)):
        raise CommandError(
            f"cannot serve {text!r}: use MODULE:APP, such as project.wsgi:application, "
            "or MODULE:FACTORY(), such as project:create_app()"
        )
    return Target(module, name, factory)


def _is_dotted_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _mistaken_path(file: str, attribute: str) -> str:
    path = Path(file)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    outside = path.is_absolute() or ".." in path.parts
    parts = [path.stem] if outside else path.with_suffix("").parts
    module = ".".join(parts)
    right = f"{module}:{attribute}" if attribute else module
    where = f", in the directory {path.parent}" if outside else ""
    return f"{file!r} is a file name, but a module name is needed: use {right}{where}"
