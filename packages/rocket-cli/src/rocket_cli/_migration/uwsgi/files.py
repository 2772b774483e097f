"""The files of uWSGI: ini, YAML, XML and JSON, with their placeholders."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from rocket_cli._errors import CommandError
from rocket_cli._migration.options import Given
from rocket_cli._migration.texts import read_text

_MATH: Final = re.compile(r"(\d+)\s*([-+*/])\s*(\d+)")
_COMMENT: Final = re.compile(r"\s+[;#].*$")
_FORMATS: Final = frozenset({"log-format", "logformat", "env"})
"""The options whose values may contain a number sign, or have placeholders of their own."""


def read_options(path: Path, known: Callable[[str], object]) -> list[Given]:
    """Return the options of a file, with placeholders replaced. Raises `CommandError`.

    Names that the file has made up for its own placeholders, and that are not ``known`` to be
    options, are left out.
    """
    text = read_text(path)
    head = text.lstrip()
    if path.suffix == ".xml" or head.startswith("<"):
        found = _xml(path, text)
    elif path.suffix in {".json", ".js"} or head.startswith("{"):
        found = _json(path, text)
    elif path.suffix in {".yaml", ".yml"} or re.match(r"(#.*\n|\s)*uwsgi:", text):
        found = _yaml(path, text)
    else:
        found = _ini(path, text)
    used = set(re.findall(r"%\(([\w-]+)", text))
    options = [each for each in _replaced(path, found) if each.name not in used or known(each.name)]
    if not options:
        raise CommandError(f"{path} has no options of uWSGI: a section [uwsgi] is needed")
    return options


def _ini(path: Path, text: str) -> Iterator[Given]:
    inside = False
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in ";#":
            continue
        if stripped[0] == "[":
            inside = stripped.rstrip() == "[uwsgi]"
            continue
        if inside:
            name, equals, value = stripped.partition("=")
            name, value = name.strip(), value.strip()
            if name not in _FORMATS:
                value = _COMMENT.sub("", value)
            yield Given(name, value if equals else "true", f"{path}:{number}")


def _yaml(path: Path, text: str) -> Iterator[Given]:
    """Read names and values, one a line, as uWSGI's own reader does; and lists of values."""
    name = ""
    inside = False
    for number, line in enumerate(text.split("\n"), 1):
        content = _COMMENT.sub("", line).rstrip()
        if not content.strip() or content.lstrip()[0] == "#":
            continue
        if not content[0].isspace():
            inside = content.rstrip() == "uwsgi:"
            continue
        if not inside:
            continue
        item = content.strip()
        if item.startswith("- "):
            yield Given(name, _unquoted(item[2:]), f"{path}:{number}")
            continue
        name, colon, value = item.partition(":")
        name = name.strip()
        if colon and value.strip():
            yield Given(name, _unquoted(value), f"{path}:{number}")


def _unquoted(value: str) -> str:
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def _xml(path: Path, text: str) -> Iterator[Given]:
    try:
        root = ET.fromstring(text)  # noqa: S314 - the user's own file, which uWSGI reads, too
    except ET.ParseError as error:
        raise CommandError(f"{path} is not valid XML: {error}") from error
    section = root if root.tag == "uwsgi" else root.find(".//uwsgi")
    for element in [] if section is None else section:
        yield Given(element.tag, (element.text or "true").strip(), str(path))


def _json(path: Path, text: str) -> Iterator[Given]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise CommandError(f"{path} is not valid JSON: {error}") from error
    section = document.get("uwsgi") if isinstance(document, dict) else None
    for name, value in section.items() if isinstance(section, dict) else ():
        for each in value if isinstance(value, list) else [value]:
            yield Given(name, "true" if each is True else str(each), str(path))


def _replaced(path: Path, options: Iterator[Given]) -> Iterator[Given]:
    """Replace placeholders: ``%(name)``, ``%k``, ``$(VARIABLE)`` and others."""
    absolute = path.absolute()
    magic = {
        "k": str(os.cpu_count() or 1),
        "n": absolute.stem,
        "s": absolute.name,
        "p": str(absolute),
        "d": f"{absolute.parent}/",
        "c": absolute.parent.name,
        "h": os.uname().nodename,
        "u": str(os.getuid()),
        "g": str(os.getgid()),
        "%": "%",
    }
    names: dict[str, str] = {}
    for given in options:
        value = str(given.value)
        if given.name not in {"log-format", "logformat"}:
            value = _expand(value, names, magic)
        names[given.name] = value
        yield Given(given.name, value, given.place)


def _expand(value: str, names: dict[str, str], magic: dict[str, str]) -> str:
    value = re.sub(r"\$\(([^)]+)\)", lambda match: os.environ.get(match[1], match[0]), value)

    def inner(match: re.Match[str]) -> str:
        text = re.sub(r"%?(\w[\w-]*)", lambda word: _known(word[0], names, magic), match[1])
        result = _MATH.fullmatch(text.strip())
        if result is None:
            return names.get(match[1], match[0])
        left, right = int(result[1]), int(result[3])
        if result[2] == "/":
            return str(left // right) if right else match[0]
        return str({"+": left + right, "-": left - right, "*": left * right}[result[2]])

    value = re.sub(r"%\(([^)]+)\)", inner, value)
    return re.sub(r"%([knspdchug%])(?!\w)", lambda match: magic[match[1]], value)


def _known(word: str, names: dict[str, str], magic: dict[str, str]) -> str:
    if word.startswith("%"):
        return magic.get(word[1:], word)
    return names.get(word, word)
